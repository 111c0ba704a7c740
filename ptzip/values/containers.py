"""Containers of Python: how opcodes fill them, and which keys they may have."""

from collections import deque
from collections.abc import Callable, Iterable

from ptzip.errors import FormatError, LimitError
from ptzip.pickling.nodes import Set
from ptzip.values.opaque import Opaque

DEEPEST_KEY = 100
"""How many tuples may be nested in a dict key: Python hashes one by recursion."""


class TupleNesting:
    """How many levels of tuples are nested, by the identity of the outermost tuple; one level is not listed."""

    def __init__(self) -> None:
        self.levels: dict[int, int] = {}

    def noted(self, found: tuple[object, ...]) -> tuple[object, ...]:
        """A new tuple, whose levels are counted."""
        nested = [self.levels.get(id(item), 1) for item in found if type(item) is tuple]
        if nested:
            self.levels[id(found)] = 1 + max(nested)
        return found

    def check(self, keys: Iterable[object]) -> None:
        """Raise LimitError for a key whose hash would take more recursion than Python allows."""
        if self.levels and any(self.levels.get(id(key), 0) > DEEPEST_KEY for key in keys):
            raise LimitError(f"a key consists of more than {DEEPEST_KEY} nested tuples")


def new_set(nesting: TupleNesting, node: Set, items: list[object]) -> set[object] | frozenset[object]:
    nesting.check(items)
    try:
        return frozenset(items) if node.op == "FROZENSET" else set(items)
    except TypeError as error:
        raise FormatError(f"a set contains a value that no set can contain: {error}", node.offset) from error


def filled(nesting: TupleNesting, value: object, items: list[object]) -> object:
    """A dict, after keys and values in turn are set in it."""
    if isinstance(value, Opaque):
        value.pairs += zip(items[::2], items[1::2], strict=True)
    elif isinstance(value, dict):
        nesting.check(items[::2])
        for key, item in zip(items[::2], items[1::2], strict=True):
            value[key] = item
    else:
        raise TypeError("it has no keys")
    return value


def append(_: TupleNesting, value: object, items: list[object]) -> object:
    if isinstance(value, Opaque):
        value.items += items
    elif isinstance(value, list | deque):
        value.extend(items)
    else:
        raise TypeError("nothing can be appended to it")
    return value


def add(nesting: TupleNesting, value: object, items: list[object]) -> object:
    if isinstance(value, Opaque):
        value.items += items
    elif isinstance(value, set):
        nesting.check(items)
        value.update(items)
    else:
        raise TypeError("nothing can be added to it")
    return value


FILLS: dict[str, Callable[[TupleNesting, object, list[object]], object]] = {
    "SETITEM": filled,
    "SETITEMS": filled,
    "APPEND": append,
    "APPENDS": append,
    "ADDITEMS": add,
}
"""What the opcodes do that fill a container."""
