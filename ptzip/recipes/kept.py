"""Warnings and notes of several recipes: what looks like a state of training and was kept, and weights that are there twice."""

from collections.abc import Iterable

from ptzip.editing.edit import Edit
from ptzip.recipes.find_training import Found
from ptzip.recipes.weights import is_average

MOST_PATHS = 5
"""How many paths have a warning of their own."""


def name_leftovers(edit: Edit, found: Iterable[Found]) -> None:
    """Warn of what looks like a state of training and is left, of what was found before or after others were removed."""
    paths = list[str]()
    for one in found:
        if one.is_left() and not any(one.path.startswith(f"{path}.") for path in paths):
            paths.append(one.path)
    edit.account.warnings += [
        f"{path} looks like the state of a training, and was kept (--drop {path} removes it)" for path in paths[:MOST_PATHS]
    ]
    if paths[MOST_PATHS:]:
        more = f"{len(paths) - MOST_PATHS} more values look like states of a training, and were kept"
        edit.account.warnings.append(f"{more}: {', '.join(paths[MOST_PATHS:])}")


def name_averages(edit: Edit, paths: list[str]) -> None:
    """Note where averaged weights and live ones are both kept."""
    averages = [path for path in paths if is_average(path)]
    live = [path or "the object" for path in paths if not is_average(path)]
    if averages and live:
        options = ", ".join(f"--drop {path}" for path in averages)
        edit.account.notes.append(
            f"{', '.join(averages)} (averaged weights) and {', '.join(live)} are both kept ({options} removes the averages)"
        )
