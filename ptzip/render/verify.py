"""The report of `ptzip verify` as text: one line for each file, then its problems."""

from collections.abc import Iterator

from ptzip.errors import Problem
from ptzip.render.needs import lasting, pinned
from ptzip.render.words import count, printable
from ptzip.verifying.report import Loading, Rest, VerifyReport

MOST_SHOWN = 20
"""The number of problems and names of a file that are printed; JSON has all."""

OTHERWISE = (
    ("joblib pickle", "joblib.load reads it"),
    *((f" in {one}", "torch loads it after decompression") for one in ("gzip", "zstd", "bzip2", "xz", "zlib")),
    ("DCP shard", "torch.load does not read several zips in a row: use torch.distributed.checkpoint"),
)
"""Formats that torch.load does not read as they are, and what does: the first that fits."""


def lines(report: VerifyReport) -> Iterator[str]:
    """`OK:` or `ERROR:`, and the details below."""
    yield printable(f"{'OK' if report.ok else 'ERROR'}: {report.path}: {_verdict(report)}")
    for problem in report.problems[:MOST_SHOWN]:
        yield f"  {printable(spelled(problem))}"
    if len(report.problems) > MOST_SHOWN:
        yield f"  ... {len(report.problems) - MOST_SHOWN:,} more problems (--json has all)"
    if report.rest is not None:
        yield f"  {printable(_left(report.rest))}"
    yield from (f"  warning: {printable(spelled(warning))}" for warning in report.warnings)
    if report.unchecked:
        yield f"  {count(len(report.unchecked), 'record')} without a CRC: not verifiable"
    for found in report.numbers[:MOST_SHOWN]:
        yield f"  {printable(found.name)}: {found.nan:,} NaN, {found.infinite:,} infinite"
    if report.loading is not None:
        yield f"  {printable(_loads(report.loading))}"
    yield from [f"  {text}" for sign, text in OTHERWISE if report.ok and sign in report.format][:1]


def spelled(problem: Problem) -> str:
    """A problem in one line."""
    place = f" {problem.place}" if problem.place else ""
    inside = f" in {problem.inside}" if problem.inside else ""
    where = "" if problem.offset is None else f" (byte {problem.offset:,}{inside})"
    return f"{problem.kind}{place}: {problem.message}{where}"


def _verdict(report: VerifyReport) -> str:
    if not report.ok:
        return count(len(report.problems), "problem")
    crcs = "its CRC matches" if report.records == 1 else f"all {report.records:,} CRCs match"
    return f"{report.format}, {crcs if report.records else 'no checksums'}"


def _left(rest: Rest) -> str:
    if not rest.whole and not rest.lost:
        return "the object, which has no tensors, is intact"
    total = len(rest.whole) + len(rest.lost)
    names = ", ".join(rest.lost[:3]) + (f" and {len(rest.lost) - 3:,} more" if len(rest.lost) > 3 else "")
    return f"{len(rest.whole):,} of {count(total, 'tensor')} intact" + (f"; lost: {names}" if rest.lost else "")


def _loads(loading: Loading) -> str:
    since = f"torch {loading.low[0]}.{loading.low[1]} and later" if loading.low else "every torch"
    modes = [word for word, does in (("mmap=True", loading.mmap), ("weights_only=True", loading.weights_only)) if does]
    text = f"loads in {since}" + (f", also with {' and '.join(modes)}" if modes else "")
    if words := lasting(loading.needs):
        text += f"; needs {', '.join(words)}"
    if words := pinned(loading.needs):
        text += f"; pinned to {', '.join(words)}"
    if loading.blocked:
        more = f" and {len(loading.blocked) - 3:,} more" if len(loading.blocked) > 3 else ""
        text += f"; weights_only=True refuses {', '.join(loading.blocked[:3])}{more}"
    return text
