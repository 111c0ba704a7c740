"""The report of `ptzip verify`."""

from typing import Any, NamedTuple

from ptzip.allowlist.needs import Need
from ptzip.errors import Problem
from ptzip.json_output import notebook_html, report_dict


class Loading(NamedTuple):
    """What loads an intact, uncompressed file of torch.save: torch from release `low` on (None: any), with `mmap=True`, with
    `weights_only=True`; `blocked` are the names that the latter refuses, `needs` what else not every loader has."""

    low: tuple[int, int] | None
    mmap: bool
    weights_only: bool
    blocked: tuple[str, ...] = ()
    needs: tuple[Need, ...] = ()


class Rest(NamedTuple):
    """What remains of a file that was cut off: how many bytes are missing (at least, if it ends before its first storage), and
    which tensors are complete."""

    missing: int
    whole: tuple[str, ...]
    lost: tuple[str, ...]


class NonFinite(NamedTuple):
    """A tensor with values that are NaN or infinite, and how many."""

    name: str
    nan: int
    infinite: int


class VerifyReport(NamedTuple):  # not a dataclass: importing those takes a tenth of the time that most files take
    """The integrity of one file: `records` CRCs match, the `unchecked` records were saved without a CRC.

    `warnings` are what torch.load minds only with options that it does not have by default.
    """

    path: str
    size: int
    format: str = ""
    problems: tuple[Problem, ...] = ()
    records: int = 0
    unchecked: tuple[str, ...] = ()
    rest: Rest | None = None
    loading: Loading | None = None
    numbers: tuple[NonFinite, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return report_dict(self.ok, **self._asdict())

    def _repr_html_(self) -> str:
        return notebook_html(self)
