"""What a recipe is: a name, how it knows its files, and what it does to them."""

from collections.abc import Callable
from dataclasses import dataclass

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node


@dataclass(frozen=True)
class Recipe:
    """`matches` looks at the tree only; `drop` takes away. What is then under `model` is cast by `casting.halve`."""

    name: str
    summary: str
    matches: Callable[[Node], bool]
    drop: Callable[[Edit], None]
