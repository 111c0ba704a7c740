"""The account of one slimmed file: values, which `reports` puts into words."""

from dataclasses import dataclass
from typing import NamedTuple

from ptzip.editing.account import Category, Change
from ptzip.tensors.cast_error import CastError
from ptzip.tensors.rounding import Loss


class CastTensor(NamedTuple):
    """One cast: the tensors it was made for, by their names in the input, their elements, and what was lost of them.

    `dtype` is what it is now: where a tensor stayed wide since numbers in it are beyond the range, the old one.
    """

    names: tuple[str, ...]
    old_dtype: str
    dtype: str
    numel: int
    loss: Loss

    @property
    def stayed(self) -> bool:
        return self.dtype == self.old_dtype


class Key(NamedTuple):
    """What happened to a top-level key: `size` are the bytes of the storages and texts below it, once for the first of them."""

    name: str
    what: str
    size: int


class Check(NamedTuple):
    """What a check found in `tensors` that were read back: how many are `equal`, how far the others are, and how many of the
    input are `missing` because a module became its state dict; `unread` ones are too large, or have no form in numpy."""

    tensors: int = 0
    equal: int = 0
    worst: CastError = CastError()
    missing: int = 0
    unread: int = 0


@dataclass(frozen=True)
class SlimReport:
    """What slimming one file did, or would do; sizes in bytes.

    `saved` is by step, `rest` what the pickle and the zip around the storages take less (or more). `output` is None where
    nothing was written: on a dry run, or where the file is slim already. `loss` is known once the bytes were read; `wide`
    are then the names of the tensors that kept their dtype, since numbers in them are beyond the range of the other.
    `keys` are told on a dry run, `tensors` and `check` where they were asked for.
    """

    path: str
    output: str | None
    recipe: str
    old_size: int
    new_size: int
    saved: dict[Category, int]
    changes: tuple[Change, ...] = ()
    loss: Loss | None = None
    warnings: tuple[str, ...] = ()
    dtype: str = "float16"
    on_overflow: str = "keep"
    wide: tuple[str, ...] = ()
    keys: tuple[Key, ...] = ()
    tensors: tuple[CastTensor, ...] = ()
    check: Check | None = None

    @property
    def already_slim(self) -> bool:
        """Whether there was nothing to gain."""
        return not self.changes

    @property
    def rest(self) -> int:
        return self.old_size - self.new_size - sum(self.saved.values())

    @property
    def saved_share(self) -> float:
        """The part of the old size that is gone, from 0 to 1."""
        return 1 - self.new_size / self.old_size
