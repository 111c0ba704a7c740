"""What a repair saved and what it could not: values, which `reports` puts into words."""

from typing import NamedTuple

from ptzip.verifying.report import Problem


class Dropped(NamedTuple):
    """An entry of the old file that is not in the new one, and why."""

    name: str
    reason: str


class RepairReport(NamedTuple):
    """One file; the four lists of tensors have every tensor once, under all its names.

    `whole`: bytes that have the CRC that was recorded for them. `lost`: some bytes are not there, and the new file has NaN in
    place of floats and 0 in place of other numbers. `damaged`: bytes that do not have their CRC, or are not as many as the
    pickle says; they were kept. `unverifiable`: bytes for which no CRC is known, or of which it is not sure whose they are;
    they were kept. `doubt` says why no name, shape or value can be relied on, or is "". `problems` are those of the old file
    (see `verify`). `output` is "" where there was nothing to repair; sizes are in bytes.
    """

    path: str
    output: str
    size: int
    new_size: int = 0
    whole: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    unverifiable: tuple[str, ...] = ()
    dropped: tuple[Dropped, ...] = ()
    problems: tuple[Problem, ...] = ()
    doubt: str = ""

    @property
    def is_saved(self) -> bool:
        """Whether every tensor is what was saved once, as far as checksums can tell."""
        return not (self.lost or self.damaged or self.unverifiable or self.doubt)
