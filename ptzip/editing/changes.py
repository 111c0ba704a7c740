"""The account of an edit: what was done under which step, and what is then to be written.

Rule: values only; who does what is in `edit`.
"""

from enum import StrEnum
from typing import NamedTuple

from ptzip.io.payloads import CheckedPayload, Payload
from ptzip.tensors.cast import Cast


class Step(StrEnum):
    """The steps of the original recipe, in its order, then those that it had no step for."""

    RESULTS = "results"
    OPTIMIZER = "optimizer"
    EMA = "EMA or duplicate model"
    HALF = "half precision"
    DEAD = "dead bytes"
    SHARED = "identical storages"
    OTHER = "other"


STEP_OF = {
    "training_results": Step.RESULTS,
    "best_fitness": Step.RESULTS,
    "results": Step.RESULTS,
    "optimizer": Step.OPTIMIZER,
    "optimizer_state": Step.OPTIMIZER,
    "optimizer_states": Step.OPTIMIZER,
    "scaler": Step.OPTIMIZER,
    "trainer": Step.OPTIMIZER,
    "ema": Step.EMA,
    "ema_state_dict": Step.EMA,
    "state_dict_ema": Step.EMA,
    "updates": Step.EMA,
    "model": Step.EMA,
    "state_dict": Step.EMA,
}
"""Under which step a top-level key is accounted for."""


def step_of(path: str) -> Step:
    return STEP_OF.get(path.partition(".")[0], Step.OTHER)


class Change(NamedTuple):
    """One thing that an edit did: `path` is where, "" the object itself, `what` a few words.

    A change without `gain` is only made along with others: alone it is no reason to write a file anew.
    """

    step: Step
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

    step: Step
    keys: set[str]
    text_bytes: int


class Finished(NamedTuple):
    """What is to be written, the storages in order, and the bytes of an element of each; the bytes saved by step; the records
    of the input that this reads."""

    pickle: bytes
    storages: list[Payload]
    items: list[int]
    saved: dict[Step, int]
    read: list[CheckedPayload]
    casts: list[Cast]
