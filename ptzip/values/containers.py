"""Containers of Python: how opcodes fill them, and which keys they may have."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ptzip.errors import FormatError, LimitError, beyond
from ptzip.pickling.nodes import Dict, Set
from ptzip.values.opaque import Opaque

DEEPEST_KEY = 100
"""How many tuples may be nested in a dict key: Python hashes one by recursion."""

BITS_PER_STEP, BYTES_PER_STEP = 1 << 9, 1 << 6
"""How much of a long integer is hashed, or of a text copied, in about the time and memory of an item of a tuple."""


class KeyCost(NamedTuple):
    """What it takes to hash a value: steps, which shared tuples multiply, and levels of recursion."""

    steps: int = 1
    levels: int = 0


TEXT_COST = KeyCost()


class Effort:
    """What building the values of a pickle takes beyond reading it, counted before it is done: `most` steps are allowed.

    A pickle may hash one nested tuple, or copy one list, many times. The costs of tuples are kept by their identity. Keys of
    equal hashes are counted, since each is compared with all others; the hashes of texts are random in each process, so only
    other keys can collide by intent.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.spent = 0
        self.costs: dict[int, KeyCost] = {}
        self.first: dict[int, object] = {}
        """The first key of each hash that a file can choose."""
        self.others: dict[int, int] = {}
        """How many further keys have the hash of another."""
        self.given: set[int] = set()
        """The long texts that were copied once, which is as often as an honest file does it."""

    def noted(self, found: tuple[object, ...]) -> tuple[object, ...]:
        """A new tuple, whose cost is kept unless it is clear from its length."""
        nested = [self.cost(item) for item in found if isinstance(item, tuple | int)]
        steps, levels = len(found) + sum(cost.steps - 1 for cost in nested), max((cost.levels for cost in nested), default=0)
        if levels or steps > len(found):
            self.costs[id(found)] = KeyCost(min(1 + steps, self.most + 1), 1 + levels)
        return found

    def cost(self, key: object) -> KeyCost:
        """The cost of a value whose parts are known."""
        if isinstance(key, tuple):
            return self.costs.get(id(key)) or KeyCost(1 + len(key), 1)
        return KeyCost(1 + key.bit_length() // BITS_PER_STEP) if isinstance(key, int) else TEXT_COST

    def check(self, keys: Iterable[object]) -> None:
        """Count keys before they are hashed. Raises LimitError where that takes too many steps or too much recursion."""
        for key in keys:
            if type(key) is str or type(key) is bytes:
                continue
            cost = self.cost(key)
            if cost.levels > DEEPEST_KEY:
                raise LimitError(f"a key consists of more than {DEEPEST_KEY} nested tuples")
            self.spend(cost.steps)
            if not isinstance(key, int) or key.bit_length() > HASHED_AS_ITSELF:
                self._collide(key, cost)

    def _collide(self, key: object, cost: KeyCost) -> None:
        try:
            found = hash(key)
        except TypeError:
            return  # it cannot be a key, which is an error when the container is filled
        first = self.first.setdefault(found, key)
        if first is not key and first != key:
            self.others[found] = others = self.others.get(found, 0) + 1
            self.spend(others * cost.steps)

    def copied(self, value: object) -> None:
        """Count what copying the items of a value takes, and hashing those that a dict or a set may take as keys."""
        if isinstance(value, list | tuple):
            self.spend(len(value))
            self.check(value)
            self.check(item[0] for item in value if isinstance(item, list | tuple) and item)
        elif isinstance(value, dict | set | frozenset | deque):
            self.spend(len(value))
            self.check(value)
        elif isinstance(value, str | bytes | bytearray) and len(value) >= BYTES_PER_STEP:
            self.spend(len(value) // BYTES_PER_STEP if id(value) in self.given else 0)
            self.given.add(id(value))

    def spend(self, steps: int) -> None:
        """Count steps. Raises LimitError above the limit."""
        self.spent += steps
        if self.spent > self.most:
            raise beyond("opcodes", self.most, "building the objects takes more steps, for shared or hashed values, than")


HASHED_AS_ITSELF = 60
"""Bits of an integer that is its own hash, so that no two collide (on all machines of 64 bits)."""


def new_dict(effort: Effort, node: Dict, items: list[object]) -> object:
    """The dict of keys and values in turn."""
    try:
        return filled(effort, {}, items)
    except TypeError as error:
        raise FormatError(f"a dict has a key that no dict can have: {error}", node.offset) from error


def new_set(effort: Effort, node: Set, items: list[object]) -> set[object] | frozenset[object]:
    effort.check(items)
    try:
        return frozenset(items) if node.op == "FROZENSET" else set(items)
    except TypeError as error:
        raise FormatError(f"a set contains a value that no set can contain: {error}", node.offset) from error


def filled(effort: Effort, value: object, items: list[object]) -> object:
    """A dict, after keys and values in turn are set in it."""
    if isinstance(value, Opaque):
        value.pairs += zip(items[::2], items[1::2], strict=True)
    elif isinstance(value, dict):
        effort.check(items[::2])
        for key, item in zip(items[::2], items[1::2], strict=True):
            value[key] = item
    else:
        raise TypeError("it has no keys")
    return value


def append(_: Effort, value: object, items: list[object]) -> object:
    if isinstance(value, Opaque):
        value.items += items
    elif isinstance(value, list | deque):
        value.extend(items)
    else:
        raise TypeError("nothing can be appended to it")
    return value


def add(effort: Effort, value: object, items: list[object]) -> object:
    if isinstance(value, Opaque):
        value.items += items
    elif isinstance(value, set):
        effort.check(items)
        value.update(items)
    else:
        raise TypeError("nothing can be added to it")
    return value


FILLS: dict[str, Callable[[Effort, object, list[object]], object]] = {
    "SETITEM": filled,
    "SETITEMS": filled,
    "APPEND": append,
    "APPENDS": append,
    "ADDITEMS": add,
}
"""What the opcodes do that fill a container."""
