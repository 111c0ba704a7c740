"""What a recipe is: a name, how it knows its files, and what it does to them."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup

Weights = Callable[[Node], Iterable[tuple[str, Node]]]
"""The modules and dicts of tensors that are cast, by their paths."""


def under(*keys: str) -> Weights:
    """The weights that stand under some top-level keys."""

    def find(root: Node) -> list[tuple[str, Node]]:
        return [(key, found) for key in keys if (found := lookup(root, key)) is not None]

    return find


MODEL = under("model")


class Recipe(NamedTuple):
    """`matches` looks at the tree only; `drop` takes away; `weights` are what is then cast, but for `keep_float32`."""

    name: str
    summary: str
    matches: Callable[[Node], bool]
    drop: Callable[[Edit], None]
    weights: Weights = MODEL
    keep_float32: tuple[str, ...] = ()
