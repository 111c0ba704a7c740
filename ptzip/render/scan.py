"""The report of `ptzip scan` as text: one line for each file, then its findings; and the explanation of a rule."""

from collections.abc import Iterator

from ptzip.render.words import printable
from ptzip.scanning.advice import UnknownNames, unknown_names
from ptzip.scanning.report import Finding, ScanReport, Severity, Verdict
from ptzip.scanning.rules import RULES
from ptzip.text import did_you_mean

WORDS = {Verdict.CLEAN: "OK", Verdict.REVIEW: "REVIEW", Verdict.MALICIOUS: "MALICIOUS", Verdict.UNREADABLE: "UNREADABLE"}
MOST_SHOWN = 20
"""The number of findings of a file that are printed; JSON has all."""

MOST_NAMES = 3
"""The number of trusted names that are printed; JSON has all."""


def lines(report: ScanReport, everything: bool = False) -> Iterator[str]:
    """The line of a file, and its findings, the worst first; unknown names are grouped unless `everything` is shown."""
    reason = f": {report.reason}" if report.verdict == Verdict.UNREADABLE else ""
    yield printable(f"{WORDS[report.verdict]}: {report.path}{reason}")
    if report.trusted:
        yield f"  {printable(_trusted(report))}"
    findings = sorted(report.findings, key=lambda finding: -finding.severity)
    shown = findings if everything else [finding for finding in findings if not _is_grouped(finding)][:MOST_SHOWN]
    yield from (f"  {printable(spelled(finding))}" for finding in shown)
    grouped = 0 if everything else sum(map(_is_grouped, findings))
    if len(findings) > len(shown) + grouped:
        yield f"  ... {len(findings) - len(shown) - grouped:,} more findings (-v shows them)"
    groups = list(unknown_names(report)) if grouped else []
    yield from (f"  {printable(_group(group))}" for group in groups[:MOST_SHOWN])
    if len(groups) > MOST_SHOWN:
        yield f"  ... unknown names of {len(groups) - MOST_SHOWN:,} more packages (-v shows them)"


def _is_grouped(finding: Finding) -> bool:
    return bool(finding.trust) and finding.severity == Severity.REVIEW


def _group(group: UnknownNames) -> str:
    return f"{group}: {group.flag or '-v shows the flags to trust each'}"


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


def explained(wanted: str) -> str:
    """The explanation of a rule. Raises ValueError where there is no such rule."""
    found = next((rule for rule in RULES if rule.id == wanted.upper()), None)
    if found is None:
        raise ValueError(f"there is no rule {wanted}{did_you_mean(wanted.upper(), [rule.id for rule in RULES])}")
    return f"{found.id} ({Severity(found.severity).name.lower()}): {found.title}\n\n{found.why}"
