"""What a loader does and `scan` does not say, input by input.

A difference is an input with the verdict `clean` of which a loader resolves a name that the report does not list, or one that
no allow list has, or that kills a loader; or one of which the scan raises an
error. Names that are not listed although the verdict is another are counted, too: a report
should be complete, but nobody is harmed.
"""

import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple

from ptzip.scanning.report import ScanReport, Verdict
from ptzip.scanning.scan import scan
from tests.fuzz.pickles import MARKER
from tests.fuzz.sandbox import Resolved, Sandbox

BATCH = 1024
CRASH = "crash"
UNITS_PER_MIB = 1 << 20 if sys.platform == "darwin" else 1 << 10


class Difference(NamedTuple):
    """An input, and loader -> what it resolves though the scan says nothing; the loader is "crash" where one died."""

    data: bytes
    by: Resolved

    @property
    def kind(self) -> str:
        return "/".join(sorted(self.by))


class Totals:
    """Counts over a run. Times are seconds of processor time, memory is the growth of this process in MiB."""

    def __init__(self) -> None:
        self.inputs = 0
        self.verdicts = Counter[str]()
        self.resolving = 0
        """Inputs of which some loader resolves a name."""
        self.unlisted = Counter[str]()
        """Loader -> inputs whose names are not all listed, although the verdict is not `clean`."""
        self.unlisted_example: bytes | None = None
        self.deaths = 0
        self.slowest = 0.0
        self.slowest_input = b""
        self.first_peak = peak()

    @property
    def memory(self) -> float:
        return peak() - self.first_peak


def peak() -> float:
    """The most memory that this process had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / UNITS_PER_MIB


def unlisted(resolved: Resolved, report: ScanReport) -> Resolved:
    """Loader -> names that it resolves and the report does not list, or lists without an objection."""
    listed = set(report.globals)
    if report.ok:
        listed = {name for name in listed if name.partition(".")[0] not in (MARKER, "os")}
    missing = {loader: sorted(set(names) - listed) for loader, names in resolved.items()}
    return {loader: names for loader, names in missing.items() if names}


def scanned(data: bytes, totals: Totals) -> ScanReport | Difference:
    """The report, or what went wrong: a scan raises nothing."""
    before = time.process_time()
    try:
        report = scan(data)
    except Exception as error:
        return Difference(data, {f"scan raises {type(error).__name__}": [str(error)]})
    taken = time.process_time() - before
    if taken > totals.slowest:
        totals.slowest, totals.slowest_input = taken, data
    return report


def differences(inputs: Iterable[bytes], box: Sandbox, totals: Totals) -> Iterator[Difference]:
    """Give the inputs to the loaders and to `scan`, which works while they do."""
    rest = iter(inputs)
    while batch := list(islice(rest, BATCH)):
        box.give(batch)
        reports = [scanned(data, totals) for data in batch]
        loaded = list(box.results(batch))
        for data, report, resolved in zip(batch, reports, loaded, strict=True):
            totals.inputs += 1
            if isinstance(report, Difference):
                yield report
                continue
            totals.verdicts[report.verdict.value] += 1
            totals.resolving += bool(resolved)
            is_dead = resolved.pop(CRASH, None) is not None
            totals.deaths += is_dead
            missing = unlisted(resolved, report)
            if report.verdict is not Verdict.CLEAN:
                totals.unlisted.update(missing.keys())
                totals.unlisted_example = totals.unlisted_example or (data if missing else None)
            elif missing or is_dead:
                yield Difference(data, missing or {CRASH: []})


def shortened(data: bytes, still: Callable[[bytes], bool], rounds: int = 400) -> bytes:
    """A short input for which `still` holds, by cutting ever smaller pieces; `still` is asked at most `rounds` times."""
    size = max(len(data) // 2, 1)
    while size:
        at = 0
        while at < len(data) and rounds:
            shorter, rounds = data[:at] + data[at + size :], rounds - 1
            if still(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    return data


def shortest(found: Difference, box: Sandbox) -> bytes:
    """A short input with a difference of the same kind."""
    return shortened(found.data, lambda data: any(one.kind == found.kind for one in differences([data], box, Totals())))
