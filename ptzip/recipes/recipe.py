"""What a recipe is: a name, how it knows its files, and what it does to them."""

from collections.abc import Callable
from dataclasses import dataclass

from ptzip.pickling.nodes import Node
from ptzip.recipes.edit import Edit


@dataclass(frozen=True)
class Recipe:
    """`matches` looks at the tree only; `drop` takes away. What is then under `model` is cast by `halving.halve`."""

    name: str
    summary: str
    matches: Callable[[Node], bool]
    drop: Callable[[Edit], None]
