"""What values hold: the values right below one, and all that can be reached from one.

Rule: every container that `constructors` makes is known here; a value of any other type holds nothing.
"""

import argparse
import types
from collections import Counter, OrderedDict, deque
from collections.abc import Iterator

from ptzip.allowlist.table import is_allowed
from ptzip.errors import UnsupportedError
from ptzip.tensors.tensor import Tensor
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import Array, RandomState
from ptzip.values.torch_values import Generator

SIMPLE = (argparse.Namespace, types.SimpleNamespace)
"""Classes of objects that are nothing but their attributes."""


def below(value: object) -> list[object]:
    """The values right below one, keys too."""
    if isinstance(value, dict):
        attributes = list(value.__dict__.values()) if isinstance(value, OrderedDict | Counter) else []
        return [*value.keys(), *value.values(), *attributes]
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(value)
    if isinstance(value, Opaque):
        return [
            *(value.args or ()),
            *value.kwargs.values(),
            value.state,
            *value.items,
            *(x for pair in value.pairs for x in pair),
        ]
    if isinstance(value, Tensor):
        return [*value.components.values(), *value.attributes.values()]
    if isinstance(value, SIMPLE):
        return list(value.__dict__.values())
    return _inside(value)


def _inside(value: object) -> list[object]:
    """The same of what is rarely met."""
    if isinstance(value, Array):
        return list(value.data) if isinstance(value.data, list) else []
    if isinstance(value, RandomState):
        return [value.state]
    return [value.state] if isinstance(value, Generator) else []


def reachable(root: object) -> Iterator[object]:
    """Every value that holds others below `root`, once; a value after those that it holds, as far as they do not hold it."""
    seen: set[int] = set()
    pending: list[tuple[object, bool]] = [(root, False)]
    while pending:
        value, is_done = pending.pop()
        if is_done:
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            held = below(value)
            if held or isinstance(value, Opaque):
                pending.append((value, True))
                pending += [(item, False) for item in reversed(held)]


def refuse_names(root: object) -> None:
    """Raise UnsupportedError where a class or function that is not known is part of a value."""
    for value in reachable(root):
        if isinstance(value, Opaque) and not is_allowed(value.module, value.name):
            raise UnsupportedError(f"the pickle holds {value.path}, which is not known to be harmless")
