"""The report of `ptzip convert`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ptzip.json_output import report_dict


class LeftOut(NamedTuple):
    """A tensor that is not in the output, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class ConvertReport:
    """One conversion: `outputs` are the files that were written, `size` their bytes, `tensors` the number of tensors in them.

    `ties` maps names that share a tensor with another name to that name. `left_out` are tensors that the format cannot
    represent, `others` the top-level keys of non-tensor values; `larger` says why the output is larger
    than the input, if it is. Nothing is written where `strict` and `left_out` say so.
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

    @property
    def ok(self) -> bool:
        """Whether the output was written."""
        return bool(self.outputs)

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return report_dict(self.ok, **self.__dict__)
