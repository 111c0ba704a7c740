"""The report of `ptzip average`."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ptzip.json_output import notebook_html, report_dict


class Weighted(NamedTuple):
    """One of the files, and its share of the average, of all together 1."""

    path: str
    share: float


class LeftOut(NamedTuple):
    """A state of training of the first file that is not in the output, or weights that an average replaced."""

    path: str
    what: str


@dataclass(frozen=True)
class AverageReport:
    """One average: `inputs` are the files in order, `output` is what was written, of `size` bytes.

    Of its `tensors`, `averaged` were averaged, in `precision` where they have at most 32 bits; `kept` are the names of those
    that are not averaged, differ, and are the first file's. `recipe` left out `removed`. `nan` are the names of tensors in
    which a NaN of one file is now in the average, `notes` what else is good to know.
    """

    inputs: tuple[Weighted, ...]
    output: str
    size: int
    tensors: int
    averaged: int
    precision: str
    kept: tuple[str, ...] = ()
    recipe: str = ""
    removed: tuple[LeftOut, ...] = ()
    nan: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The file that the report is about: the output."""
        return self.output

    @property
    def ok(self) -> bool:
        return True

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return report_dict(self.ok, self.path, **self.__dict__)

    _repr_html_ = notebook_html
