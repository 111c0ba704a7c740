"""The report of `ptzip scan` as text: one line for each file, then its findings; and the explanation of a rule."""

from collections.abc import Iterator

from ptzip.render.words import printable
from ptzip.scanning.report import Finding, ScanReport, Severity, Verdict
from ptzip.scanning.rules import RULES

WORDS = {Verdict.CLEAN: "OK", Verdict.REVIEW: "REVIEW", Verdict.MALICIOUS: "MALICIOUS", Verdict.UNREADABLE: "UNREADABLE"}
MOST_SHOWN = 20
"""The number of findings of a file that are printed; JSON has all."""

MOST_NAMES = 3
"""The number of trusted names that are printed; JSON has all."""


def lines(report: ScanReport) -> Iterator[str]:
    """The line of a file, and its findings, the worst first."""
    reason = f": {report.reason}" if report.verdict == Verdict.UNREADABLE else ""
    yield printable(f"{WORDS[report.verdict]}: {report.path}{reason}")
    if report.trusted:
        yield f"  {printable(_trusted(report))}"
    findings = sorted(report.findings, key=lambda finding: -finding.severity)
    for finding in findings[:MOST_SHOWN]:
        yield f"  {printable(spelled(finding))}"
    if len(findings) > MOST_SHOWN:
        yield f"  ... {len(findings) - MOST_SHOWN:,} more findings (--format json has all)"


def _trusted(report: ScanReport) -> str:
    """What passed only because the user trusts it."""
    shown = ", ".join(report.trusted[:MOST_NAMES])
    more = f" and {len(report.trusted) - MOST_NAMES:,} more" if len(report.trusted) > MOST_NAMES else ""
    return f"trusted ({', '.join(report.trust)}): {shown}{more}"


def spelled(finding: Finding) -> str:
    """A finding in one line."""
    inside = f" in {finding.inside}" if finding.inside else ""
    parts = [part for part in (finding.record, "" if finding.offset is None else f"byte {finding.offset}{inside}") if part]
    where = f" {', '.join(parts)}:" if parts else ":"
    often = f" ({finding.times:,} times)" if finding.times > 1 else ""
    return f"{finding.rule} {finding.severity.name.lower()}{where} {finding.message}{often}"


def explained(wanted: str) -> str | None:
    """The explanation of a rule; None where there is no such rule."""
    found = next((rule for rule in RULES if rule.id == wanted.upper()), None)
    if found is None:
        return None
    return f"{found.id} ({Severity(found.severity).name.lower()}): {found.title}\n\n{found.why}"
