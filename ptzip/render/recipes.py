"""The recipes, a line each."""

from collections.abc import Iterator

from ptzip.recipes import RECIPES


def recipe_lines() -> Iterator[str]:
    """Name and summary, in the order in which `auto` tries them."""
    width = max(len(recipe.name) for recipe in RECIPES)
    yield from (f"{recipe.name:<{width}}  {recipe.summary}" for recipe in RECIPES)
