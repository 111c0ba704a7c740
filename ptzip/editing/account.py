"""The account of an edit: what was done under which step, and what is then to be written.

Rule: values only; who does what is in `edit`.
"""

from enum import StrEnum
from typing import NamedTuple

from ptzip.io.payloads import CheckedPayload, Payload
from ptzip.tensors.cast import Cast


class Category(StrEnum):
    """The steps of the original recipe, in its order, then those that it had no step for."""

    RESULTS = "results"
    OPTIMIZER = "optimizer"
    EMA = "EMA or duplicate model"
    HALF = "half precision"
    DEAD = "dead bytes"
    SHARED = "identical storages"
    OTHER = "other"


CATEGORY_OF = {
    "training_results": Category.RESULTS,
    "best_fitness": Category.RESULTS,
    "results": Category.RESULTS,
    "optimizer": Category.OPTIMIZER,
    "optimizer_state": Category.OPTIMIZER,
    "optimizer_states": Category.OPTIMIZER,
    "scaler": Category.OPTIMIZER,
    "trainer": Category.OPTIMIZER,
    "ema": Category.EMA,
    "ema_state_dict": Category.EMA,
    "state_dict_ema": Category.EMA,
    "updates": Category.EMA,
    "model": Category.EMA,
    "state_dict": Category.EMA,
}
"""Under which step a top-level key is accounted for."""


def category_of(path: str) -> Category:
    return CATEGORY_OF.get(path.partition(".")[0], Category.OTHER)


class Change(NamedTuple):
    """One thing that an edit did: `path` is where, "" the object itself, `what` a few words.

    A change without `gain` is only made along with others: alone it is no reason to write a file anew.
    """

    category: Category
    path: str
    what: str
    gain: bool = True


class Cut(NamedTuple):
    """Elements of a storage from `first` to before `stop` that became `length` elements from `at`."""

    first: int
    stop: int
    at: int
    length: int


class Dropped(NamedTuple):
    """What was taken out of the tree: the storages below it, and the bytes of its text."""

    category: Category
    keys: set[str]
    text_bytes: int


class Finished(NamedTuple):
    """What is to be written, the storages in order, and the bytes of an element of each; the bytes saved by step; the records
    of the input that this reads."""

    pickle: bytes
    storages: list[Payload]
    items: list[int]
    saved: dict[Category, int]
    read: list[CheckedPayload]
    casts: list[Cast]
