"""Warnings and notes of several recipes: what looks like a state of training and was kept, and weights that are there twice."""

from collections.abc import Iterable

from ptzip.editing.edit import Edit
from ptzip.recipes.find_training import Found
from ptzip.recipes.training_states import Holdings
from ptzip.recipes.weights import is_average

MOST_PATHS = 5
"""How many paths have a warning of their own."""


def leftovers(edit: Edit, found: Iterable[Found]) -> list[str]:
    """The paths of what looks like a state of training and is left, none of them below another."""
    paths, holdings, skipped = list[str](), Holdings(), set[str]()
    for one in found:
        above = one.inside.path if one.inside else ""
        is_skipped = above in skipped or edit.account.is_gone(one.path, above)
        if not is_skipped and one.is_left(holdings):
            paths.append(one.path)
            is_skipped = True
        if is_skipped:
            skipped.add(one.path)
    return paths


def averages_and_live(paths: Iterable[str]) -> tuple[list[str], list[str]]:
    """The paths of averaged weights and of live ones, of those of all weights."""
    averages, live = list[str](), list[str]()
    for path in paths:
        (averages if is_average(path) else live).append(path or "the object")
    return averages, live


def name_leftovers(edit: Edit, found: Iterable[Found]) -> None:
    """Warn of what looks like a state of training and is left, of what was found before anything was removed."""
    paths = leftovers(edit, found)
    edit.account.warnings += [
        f"{path} looks like the state of a training, and was kept (--drop {path} removes it)" for path in paths[:MOST_PATHS]
    ]
    if paths[MOST_PATHS:]:
        more = f"{len(paths) - MOST_PATHS} more values look like states of a training, and were kept"
        edit.account.warnings.append(f"{more}: {', '.join(paths[MOST_PATHS:])}")


def name_averages(edit: Edit, paths: list[str]) -> None:
    """Note where averaged weights and live ones are both kept."""
    averages, live = averages_and_live(paths)
    if averages and live:
        options = ", ".join(f"--drop {path}" for path in averages)
        edit.account.notes.append(
            f"{', '.join(averages)} (averaged weights) and {', '.join(live)} are both kept ({options} removes the averages)"
        )
