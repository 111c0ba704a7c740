"""The report of `ptzip repair`."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ptzip.errors import Problem
from ptzip.json_output import notebook_html, report_dict


class DroppedEntry(NamedTuple):
    """An entry of the old file that is not in the new one, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class RepairReport:
    """The repair of one file; each tensor is in one of the four lists, under all its names.

    `whole`: the bytes match a recorded CRC, or are complete in a format without any (`has_crcs` is False). `lost`: some bytes
    are missing, and the new file has NaN in place of floats and 0 in place of other numbers. `damaged`: the bytes do not match
    their CRC, or their number differs from that in the pickle; they were kept. `unverifiable`: no CRC is known for the bytes,
    or it is not certain which tensor they belong to; they were kept. `doubt` is the reason why no name, shape or value is
    reliable, or "". `problems` are those of the old file (see `verify`). `output` is "" where there was nothing to repair;
    sizes are in bytes. `warnings` are about the output.
    """

    path: str
    output: str
    size: int
    new_size: int = 0
    whole: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    unverifiable: tuple[str, ...] = ()
    doubt: str = ""
    dropped: tuple[DroppedEntry, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    has_crcs: bool = True

    @property
    def is_saved(self) -> bool:
        """Whether every tensor has the bytes that were once saved, as far as checksums can tell."""
        return not (self.lost or self.damaged or self.unverifiable or self.doubt)

    @property
    def ok(self) -> bool:
        """Whether every tensor was recovered, or there was nothing to repair."""
        return self.is_saved or not self.output

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return report_dict(self.ok, **self.__dict__ | {"output": self.output or None, "doubt": self.doubt or None})

    _repr_html_ = notebook_html
