"""What a scan reports: findings, each by a rule, and a verdict.

A file is clean only if it was read completely and has nothing beyond the allow list; an unreadable file never is.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

from ptzip.json_output import notebook_html, report_dict


class Severity(IntEnum):
    """How serious a finding is; a file with notes only is clean."""

    NOTE = 0
    REVIEW = 1
    MALICIOUS = 2


class Verdict(StrEnum):
    """The result for one file."""

    CLEAN = "clean"
    REVIEW = "review"
    MALICIOUS = "malicious"
    UNREADABLE = "unreadable"


class Hit(NamedTuple):
    """What a rule found: a message, the offset in bytes in what the subject was read from, and the word for `--trust` that
    would allow it, "" where none would."""

    message: str
    offset: int | None = None
    trust: str = ""


class Rule(NamedTuple):
    """One rule: `check` yields its hits in a subject of the type `of`; its docstring is the explanation of the rule."""

    id: str
    severity: Severity
    title: str
    of: type
    check: Callable[[Any], Iterator[Hit]]

    @property
    def why(self) -> str:
        """The explanation, in one line."""
        return " ".join((self.check.__doc__ or "").split())


class Finding(NamedTuple):
    """One hit of a rule: `record` is the location inside the file, "" for the file itself.

    `offset` counts bytes from the start of the file or, where that has them only compressed or encoded, of what `inside` names.
    `times` is the number of hits with the same message; the offset is that of the first.
    `trust` is the word for `--trust` that would allow it, "" where none would.
    """

    rule: str
    severity: Severity
    message: str
    record: str
    offset: int | None = None
    times: int = 1
    inside: str = ""
    trust: str = ""

    def __str__(self) -> str:
        at = "" if self.offset is None else f", byte {self.offset}" + (f" in {self.inside}" if self.inside else "")
        often = f" ({self.times} times)" if self.times > 1 else ""
        return f"{self.rule} {self.record}{at}: {self.message}{often}"


class ScanReport(NamedTuple):  # a dataclass would take a tenth of the time of a small scan to import
    """The scan of one file. `globals` are the names that its pickles would import, as "module.name", sorted.

    `reason` is what could not be read and why, "" where everything was. `trust` is what the user trusts, presets and names;
    `trusted` are those of `globals` that only pass for that.
    """

    path: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    globals: tuple[str, ...] = ()
    reason: str = ""
    trust: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()

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
                finding._asdict()
                | {
                    "severity": finding.severity.name.lower(),
                    "record": finding.record or None,
                    "inside": finding.inside or None,
                    "trust": finding.trust or None,
                }
                for finding in self.findings
            ],
            globals=list(self.globals),
            trust=list(self.trust),
            trusted=list(self.trusted),
        )

    def _repr_html_(self) -> str:
        return notebook_html(self)


def verdict(findings: list[Finding], reason: str) -> Verdict:
    """The verdict for a file with these findings; `reason` is what could not be read, "" if nothing."""
    worst = max((finding.severity for finding in findings), default=Severity.NOTE)
    if worst == Severity.MALICIOUS:
        return Verdict.MALICIOUS
    if reason:
        return Verdict.UNREADABLE
    return Verdict.REVIEW if worst == Severity.REVIEW else Verdict.CLEAN
