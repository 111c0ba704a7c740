"""The report of `ptzip repair` as text: what was recovered, and the names of everything that was not."""

from collections.abc import Iterator, Sequence

from ptzip.render.verify import spelled
from ptzip.render.words import printable
from ptzip.repairing.report import RepairReport

MOST_SHOWN = 20
"""The number of names of each list that are printed; JSON has all."""


def lines(report: RepairReport) -> Iterator[str]:
    """The result, then the problems of the input, then the tensors that are not as they were saved."""
    if report.output:
        yield printable(f"{report.path} -> {report.output}: {_saved(report)}")
    else:
        yield printable(f"{report.path}: nothing to repair, nothing written")
    if report.output and report.new_size > report.size:
        yield "  larger than the input: it has what a whole zip has, uncompressed"
    yield from _listed("problems in the input", [spelled(problem) for problem in report.problems])
    if report.doubt:
        yield f"  in doubt: {printable(report.doubt)}"
    yield from _listed("lost, NaN or 0 in the new file", report.lost)
    yield from _listed("damaged, kept as they are", report.damaged)
    yield from _listed("unverifiable, kept as they are", report.unverifiable)
    yield from _listed("dropped", [f"{one.name}: {one.reason}" for one in report.dropped])
    if report.output and not report.has_crcs:
        yield "  the format has no checksums: the other tensors are as they were in the file"
    elif report.output and report.is_saved:
        yield "  every tensor matches its CRC"


def _saved(report: RepairReport) -> str:
    count = len(report.whole) + len(report.lost) + len(report.damaged) + len(report.unverifiable)
    if report.doubt:
        return f"none of {count:,} tensors can be verified"
    return f"{len(report.whole):,} of {count:,} tensors recovered"


def _listed(what: str, names: Sequence[str]) -> Iterator[str]:
    """A heading with a count, and the names below it."""
    if not names:
        return
    yield f"  {what} ({len(names):,}):"
    yield from (f"    {printable(name)}" for name in names[:MOST_SHOWN])
    if len(names) > MOST_SHOWN:
        yield f"    ... {len(names) - MOST_SHOWN:,} more (--json has all)"
