"""A forecast of what `slim` saves by default, from the tree alone: no storage is read and nothing is written."""

from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.recipes import choose
from ptzip.recipes.apply import cast_weights, start_edit


class Forecast(NamedTuple):
    """The bytes of storages and texts that slimming a file would save; 0 for a file that is slim already."""

    recipe: str
    saved: int


def forecast(checkpoint: Checkpoint) -> Forecast:
    """What slimming an open checkpoint with the default options would save.

    Raises PtzipError for a file that cannot be slimmed. The lengths of records are not compared with those of storages.
    """
    edit = start_edit(checkpoint)
    recipe = choose(edit.root)
    recipe.drop(edit)
    cast_weights(edit, recipe)
    return Forecast(recipe.name, sum(edit.outlook().values()) if edit.has_gain else 0)
