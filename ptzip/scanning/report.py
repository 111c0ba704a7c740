"""What a scan says: findings, each by a rule, and a verdict over all of them.

Rule: clean is only what was read whole and found to hold nothing beyond the allow list; what could not be read never is.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from ptzip.json_output import report_dict


class Severity(IntEnum):
    """How much a finding weighs: a note leaves a file clean."""

    NOTE = 0
    REVIEW = 1
    MALICIOUS = 2


class Verdict(StrEnum):
    """What may be said of a file."""

    CLEAN = "clean"
    REVIEW = "review"
    MALICIOUS = "malicious"
    UNREADABLE = "unreadable"


class Hit(NamedTuple):
    """What a rule found: a sentence, and the byte of the record (or file) that it is about."""

    message: str
    offset: int | None = None


class Rule(NamedTuple):
    """One rule: `check` gives its hits in a subject of the type `of`, and its docstring says what it is about."""

    id: str
    severity: Severity
    title: str
    of: type
    check: Callable[[Any], Iterator[Hit]]

    @property
    def why(self) -> str:
        """What the rule is about, in one line."""
        return " ".join((self.check.__doc__ or "").split())


class Finding(NamedTuple):
    """One hit of a rule, and where it is: `record` names the place inside the file, `offset` counts bytes from its start.

    `times` is how often the same was found; the offset is that of the first.
    """

    rule: str
    severity: Severity
    message: str
    record: str
    offset: int | None = None
    times: int = 1

    def __str__(self) -> str:
        at = "" if self.offset is None else f", byte {self.offset}"
        often = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.rule} {self.record}{at}: {self.message}{often}"


@dataclass(frozen=True)
class ScanReport:
    """The scan of one file. `globals` are the names that its pickles would import, as "module.name", sorted.

    `reason` is what could not be read and why, "" where everything was.
    """

    path: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    globals: tuple[str, ...] = ()
    reason: str = ""

    @property
    def ok(self) -> bool:
        return self.verdict == Verdict.CLEAN

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        return report_dict(
            self.ok,
            path=self.path,
            verdict=self.verdict.value,
            reason=self.reason or None,
            findings=[
                finding._asdict() | {"severity": finding.severity.name.lower(), "record": finding.record or None}
                for finding in self.findings
            ],
            globals=list(self.globals),
        )


def verdict(findings: list[Finding], reason: str) -> Verdict:
    """The verdict over some findings of a file that was read, but for what `reason` says."""
    worst = max((finding.severity for finding in findings), default=Severity.NOTE)
    if worst == Severity.MALICIOUS:
        return Verdict.MALICIOUS
    if reason:
        return Verdict.UNREADABLE
    return Verdict.REVIEW if worst == Severity.REVIEW else Verdict.CLEAN
