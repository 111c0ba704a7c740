"""The report of `ptzip convert`."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from ptzip.json_output import notebook_html, report_dict
from ptzip.tensors.rounding import Loss


class LeftOut(NamedTuple):
    """A tensor that is not in the output, and why."""

    name: str
    why: str


class Removed(NamedTuple):
    """What was taken for a state of training, or replaced, and so is not in the output."""

    path: str
    what: str


@dataclass(frozen=True)
class ConvertReport:
    """One conversion: `outputs` are the files that were written, `size` their bytes, `tensors` the number of tensors in them.

    `ties` maps names that share a tensor with another name to that name. `left_out` are tensors that the format cannot
    represent, `others` the top-level keys of non-tensor values; `larger` says why the output is larger
    than the input, if it is. Nothing is written where `strict` and `left_out` say so.

    `removed` is what `recipe` left out of a checkpoint, `notes` what else it found. `cast` tensors have the new `dtype`, with
    the `loss`; those named in `wide` kept theirs, since values in them are beyond its range. `shared_prefix` is what all names
    begin with and `strip` would remove.
    """

    path: str
    outputs: tuple[str, ...]
    format: str
    tensors: int
    size: int
    ties: Mapping[str, str]
    left_out: tuple[LeftOut, ...]
    others: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    larger: str = ""
    recipe: str = ""
    removed: tuple[Removed, ...] = ()
    notes: tuple[str, ...] = ()
    dtype: str = "keep"
    cast: int = 0
    loss: Loss | None = None
    wide: tuple[str, ...] = ()
    shared_prefix: str = ""

    @property
    def ok(self) -> bool:
        """Whether the output was written."""
        return bool(self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        loss = asdict(self.loss or Loss())
        return report_dict(self.ok, **{name: value for name, value in self.__dict__.items() if name != "loss"}, **loss)

    _repr_html_ = notebook_html
