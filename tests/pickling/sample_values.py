"""Values to pickle: nested builtins, graphs of values that are shared or contain themselves, and objects of every kind.

They are pickled by both picklers of Python, at every protocol.
"""

import collections
import copyreg
import datetime
import enum
import functools
import io
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from ptzip.pickling.new_nodes import take_out
from ptzip.pickling.nodes import Node, pair_slots, text

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)

Pickler = Callable[[Any, int], bytes]


def c_dumps(value: Any, protocol: int) -> bytes:
    """The pickler in C."""
    return pickle.dumps(value, protocol)


def pure_dumps(value: Any, protocol: int) -> bytes:
    """The pickler in Python, which splits frames and batches a little differently."""
    stream = io.BytesIO()
    pickle._Pickler(stream, protocol).dump(value)
    return stream.getvalue()


def c_loads(data: bytes) -> Any:
    return pickle.loads(data)


def pure_loads(data: bytes) -> Any:
    return pickle._Unpickler(io.BytesIO(data)).load()


PICKLERS = (c_dumps, pure_dumps)
UNPICKLERS = (c_loads, pure_loads)

any_text = st.text(st.characters(exclude_categories=()), max_size=20)
"""Lone surrogates too."""

huge = st.integers(-300, 3000).map(lambda bits: -(1 << -bits) - 7 if bits < 0 else (1 << bits) - 1)

hashables = st.none() | st.booleans() | st.integers() | huge | any_text | st.binary(max_size=20) | st.floats(allow_nan=False)

atoms = hashables | st.floats() | st.binary(max_size=20).map(bytearray)


def _nested(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(values, max_size=5)
    sets = st.frozensets(hashables, max_size=5)
    return lists | lists.map(tuple) | st.dictionaries(hashables, values, max_size=4) | sets | sets.map(set)


nests = st.recursive(atoms, _nested, max_leaves=15)
"""Any nested builtins."""


@st.composite
def graphs(draw: st.DrawFn) -> list[Any]:
    """Lists, dicts and tuples that share one another, contain one another, or contain themselves."""
    made: list[Any] = draw(st.lists(st.sampled_from([list, dict]).map(lambda kind: kind()), min_size=1, max_size=4))
    made += draw(st.lists(atoms, max_size=3))
    for _ in range(draw(st.integers(0, 4))):
        made.append(tuple(draw(st.lists(st.sampled_from(made), max_size=5))))
    for holder in made[:4]:
        if isinstance(holder, list):
            holder += draw(st.lists(st.sampled_from(made), max_size=4))
        elif isinstance(holder, dict):
            holder.update(enumerate(draw(st.lists(st.sampled_from(made), max_size=4))))
    return draw(st.lists(st.sampled_from(made), min_size=1, max_size=4))


class Thing:
    """An object with a `__dict__`."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class Slotted:
    """An object without a `__dict__`, whose state is a pair."""

    __slots__ = ("first", "second")

    def __init__(self, first: Any) -> None:
        self.first = first


class Reduced:
    """An object whose `__reduce__` gives arguments, state, items and pairs."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.items: list[Any] = []
        self.pairs: dict[Any, Any] = {}

    def extend(self, items: list[Any]) -> None:
        self.items += items

    def append(self, item: Any) -> None:
        self.items.append(item)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.pairs[key] = value

    def __reduce__(self) -> tuple[Any, ...]:
        return Reduced, self.arguments, {"state": 1}, iter(self.items), iter(self.pairs.items())


class Keyworded:
    """An object created with keyword arguments (NEWOBJ_EX)."""

    def __new__(cls, *, size: int) -> "Keyworded":
        made = super().__new__(cls)
        made.size = size
        return made

    size: int

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, int]]:
        return (), {"size": self.size}


class Stateful:
    """An object whose state is not a dict."""

    state: Any = ("some", "state")

    def __getstate__(self) -> Any:
        return self.state

    def __setstate__(self, state: Any) -> None:
        self.state = state


class Registered:
    """An object whose pickling is registered elsewhere."""


copyreg.pickle(Registered, lambda _: (Registered, ()))


class Coloured(enum.Enum):
    """Values that are restored by calling their class."""

    RED = 1


class Listed(list[Any]):
    """A list with attributes."""


class Mapped(dict[Any, Any]):
    """A dict with attributes."""


Pair = collections.namedtuple("Pair", "left right")


class Text(str):
    """A subclass of str, which is pickled as a call with a str."""

    __slots__ = ()


def set_state(thing: "Late", state: Any) -> None:
    """The state setter of `Late`."""
    thing.__dict__.update(state)


class Late:
    """An object whose state is set by a call whose result is popped, as cloudpickle does."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Late, (), {"a": 1}, None, None, set_state


def objects() -> Iterator[Any]:
    """One or two of every kind."""
    filled = Reduced(1, "two")
    filled.items += [3, [4]]
    filled.pairs.update({"five": 6, 7: None})
    listed, mapped, slotted = Listed([1, 2]), Mapped(a=1), Slotted("x")
    listed.name, mapped.name = "n", "m"  # type: ignore[attr-defined]
    yield from (Thing(), Thing(a=1, b=[Thing()]), slotted, filled, Reduced(), Keyworded(size=3), Stateful(), Registered())
    yield from (Coloured.RED, listed, mapped, Pair(1, Thing()), Text("text"), complex(1, -2), range(3), slice(1, 2, 3))
    yield from (collections.OrderedDict(a=1, b=2), collections.Counter("aab"), collections.deque([1, 2], 5))
    yield from (collections.defaultdict(list, {1: [2]}), collections.OrderedDict(), datetime.datetime(2026, 1, 2))
    yield from (len, Thing, dict.fromkeys, functools.partial(int, base=2), NotImplemented, ..., type(None))


def recursive() -> Iterator[Any]:
    """Values that contain themselves."""
    listed: list[Any] = []
    listed.append(listed)
    mapped: dict[Any, Any] = {}
    mapped["self"] = mapped
    yield from (listed, mapped)
    for size in (1, 2, 3, 4, 7):
        inner: list[Any] = []
        around = (inner, *range(size - 1))
        inner.append(around)
        yield around
        yield [inner, around, {"again": around}]
    for kind in (set, frozenset):
        thing = Thing()
        thing.home = kind([thing])  # type: ignore[attr-defined]
        yield from (thing, thing.home)  # type: ignore[attr-defined]
    yield from _recursive_objects()


def _recursive_objects() -> Iterator[Any]:
    thing, other = Thing(), Thing()
    thing.self, thing.other, other.back = thing, other, (thing, other)  # type: ignore[attr-defined]
    filled = Reduced()
    filled.items.append(filled)
    filled.pairs["self"] = filled
    listed = Listed()
    listed += [listed, (listed,)]
    stateful = Stateful()
    stateful.state = (stateful, [stateful])
    ordered: collections.OrderedDict[str, Any] = collections.OrderedDict()
    ordered["self"] = (ordered,)
    yield from (thing, other, filled, listed, stateful, ordered)


@dataclass(frozen=True)
class Kept:
    """Pickled as a persistent id, as torch does with storages."""

    id: Any


class Keeping(pickle.Pickler):
    """A pickler with persistent ids."""

    def persistent_id(self, value: Any) -> Any:
        return value.id if isinstance(value, Kept) else None


class PureKeeping(pickle._Pickler):
    """The same, in python."""

    def persistent_id(self, value: Any) -> Any:
        return value.id if isinstance(value, Kept) else None


def kept(value: Any, protocol: int, kind: type[Any] = Keeping) -> bytes:
    """A pickle in which every `Kept` is written as its id."""
    stream = io.BytesIO()
    kind(stream, protocol).dump(value)
    return stream.getvalue()


def discard(node: Node, key: str) -> None:
    """Remove `key` from a dict."""
    for found, slot in reversed(list(pair_slots(node))):
        if text(found) == key:
            take_out(node, slot)
