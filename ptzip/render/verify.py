"""Verifications for people and for programs: one line a file, then what is wrong and where; JSON."""

from collections.abc import Iterator
from typing import Any

from ptzip.errors import Problem
from ptzip.render.escape import printable
from ptzip.verifying.report import Loading, Rest, VerifyReport

MOST_SHOWN = 20
"""Problems and names of one file that are printed; JSON has all."""

OTHERWISE = (
    (" in gzip", "torch loads it once it is unpacked"),
    (" in zstd", "torch loads it once it is unpacked"),
    ("DCP shard", "torch.load takes no zips one after the other: only torch.distributed.checkpoint reads them"),
)
"""What is said of formats that torch.load does not take as they are."""


def lines(report: VerifyReport) -> Iterator[str]:
    """`OK:` or `ERROR:`, and the details below."""
    yield printable(f"{'OK' if report.is_whole else 'ERROR'}: {report.path}: {_told(report)}")
    for problem in report.problems[:MOST_SHOWN]:
        yield f"  {printable(spelled(problem))}"
    if len(report.problems) > MOST_SHOWN:
        yield f"  ... {len(report.problems) - MOST_SHOWN:,} more problems (--json has all)"
    if report.rest is not None:
        yield f"  {printable(_left(report.rest))}"
    if report.unchecked:
        yield f"  {len(report.unchecked):,} records were saved without a CRC, so nobody can tell whether they are right"
    for found in report.numbers[:MOST_SHOWN]:
        yield f"  {printable(found.name)}: {found.nan:,} NaN, {found.infinite:,} infinite"
    if report.loading is not None:
        yield f"  {printable(_loads(report.loading))}"
    yield from (f"  {said}" for sign, said in OTHERWISE if report.is_whole and sign in report.format)


def spelled(problem: Problem) -> str:
    """A problem in one line."""
    place = f" {problem.place}" if problem.place else ""
    where = "" if problem.offset is None else f" (byte {problem.offset:,})"
    return f"{problem.kind}{place}: {problem.message}{where}"


def _told(report: VerifyReport) -> str:
    if not report.is_whole:
        return f"{len(report.problems):,} {'problem' if len(report.problems) == 1 else 'problems'}"
    checked = f"{report.records:,} records have the CRC that is recorded" if report.records else "it has no checksums"
    return f"{report.format}, {checked}"


def _left(rest: Rest) -> str:
    count = len(rest.whole) + len(rest.lost)
    names = ", ".join(rest.lost[:3]) + (f" and {len(rest.lost) - 3:,} more" if len(rest.lost) > 3 else "")
    return f"{len(rest.whole):,} of {count:,} tensors are whole" + (f", lost are {names}" if rest.lost else "")


def _loads(loading: Loading) -> str:
    since = f"torch {loading.low[0]}.{loading.low[1]} and later" if loading.low else "every torch"
    modes = [word for word, does in (("mmap=True", loading.mmap), ("weights_only=True", loading.weights_only)) if does]
    said = f"loads in {since}" + (f", also with {' and '.join(modes)}" if modes else "")
    if loading.blocked:
        more = f" and {len(loading.blocked) - 3:,} more" if len(loading.blocked) > 3 else ""
        said += f"; weights_only=True refuses {', '.join(loading.blocked[:3])}{more}"
    return said


def verify_data(report: VerifyReport) -> dict[str, Any]:
    """One file's report as plain data."""
    return {
        "path": report.path,
        "ok": report.is_whole,
        "size": report.size,
        "format": report.format,
        "problems": [problem._asdict() for problem in report.problems],
        "records": report.records,
        "unchecked": list(report.unchecked),
        "rest": report.rest._asdict() if report.rest else None,
        "loading": report.loading._asdict() if report.loading else None,
        "numbers": [found._asdict() for found in report.numbers],
    }
