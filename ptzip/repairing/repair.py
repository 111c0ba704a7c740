"""Repairs a file of torch.save: writes what can be recovered to a new file, and reports what cannot.

The old file is never modified, and everything that is not as it was saved is named in the report.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ptzip.checkpoint import opened_bytes
from ptzip.errors import EditError, LimitError, Problem, UnsupportedError
from ptzip.formats.signatures import described, is_legacy
from ptzip.io.atomic_output import NewFile, check_not_input, check_overwrite, new_files
from ptzip.io.compression import compression_named
from ptzip.io.payloads import ByteCounter, Progress
from ptzip.io.sources import Openable, Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.repairing.candidates import candidates
from ptzip.repairing.legacy_stream import dtypes_of, recovered
from ptzip.repairing.rebuild import rebuilt
from ptzip.repairing.record_search import RecordState
from ptzip.repairing.report import RepairReport
from ptzip.repairing.salvage import salvage
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from ptzip.values.tensor_names import named_tensors
from ptzip.zip import writer
from ptzip.zip.find_archives import is_zip
from ptzip.zip.header_search import read_headers
from ptzip.zip.line_ends import EXPANDED, converted_line_ends, with_line_feeds
from ptzip.zip.structs import LOCAL_SIGNATURE

LEAST_MAX_FILL, MOST_GROWTH = 1 << 30, 16
"""What is filled by default: so many bytes, or so many times the input. The pickle of a small file may name any size."""


def repair(
    source: Openable,
    output: str | os.PathLike[str],
    find_problems: Callable[[Source], tuple[Problem, ...]],
    *,
    overwrite: bool = False,
    max_fill: int | None = None,
    sync: bool = True,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> RepairReport:
    """Write what can be recovered of a truncated or damaged zip of torch.save, or of a truncated legacy stream, to `output`, as
    a zip that torch loads.

    `find_problems` finds the problems of a file, as `verify` does; a file without any is not repaired. An existing output is
    replaced only with `overwrite`. At most `max_fill` bytes are written in place of missing ones.

    Raises EditError where the output is the source or would be compressed, UnsupportedError for anything but a file of
    torch.save, FormatError where its pickle is lost, FileExistsError, LimitError, or OSError.
    """
    path = Path(source) if isinstance(source, str | os.PathLike) else None
    _check_output(path, Path(output), overwrite)
    with opened_bytes(source, limits) as opened:
        report, planned = _recovered(opened, find_problems, max_fill, limits)
        if not report.problems:
            return replace(report, dropped=())
        counter = ByteCounter(progress, sum(payload.length for payload in planned.payloads))
        with new_files([Path(output)], opened, overwrite=overwrite, sync=sync) as files:
            files.outputs[0].write(planned, counter.add)
        return replace(report, output=str(output), new_size=planned.size, warnings=tuple(files.warnings))


def _check_output(path: Path | None, output: Path, overwrite: bool) -> None:
    """Raise unless the output can be written."""
    if path:
        check_not_input(output, path)
    if compression_named(output):
        raise EditError(f"the output {output} would be compressed, but a repaired file is a plain zip: choose another suffix")
    check_overwrite(output, overwrite)


def _recovered(
    source: Source, find_problems: Callable[[Source], tuple[Problem, ...]], max_fill: int | None, limits: Limits
) -> tuple[RepairReport, NewFile]:
    """The report before anything is written, and the new file."""
    if is_legacy(source):
        return _of_legacy_stream(source, find_problems(source), max_fill, limits)
    if source.read(0, min(source.size, len(LOCAL_SIGNATURE))) != LOCAL_SIGNATURE and not is_zip(source):
        raise UnsupportedError(f"this is {described(source)}: only files of torch.save are repaired")
    problems = find_problems(source)
    restored = with_line_feeds(source) if problems and converted_line_ends(source) == EXPANDED else source
    headers = read_headers(restored)
    found = salvage(restored, headers, candidates(restored, headers), limits)
    tensors = named_tensors(build(found.part, unknown="keep", limits=limits), limits.paths)
    new = rebuilt(found, dtypes_of(tensors))
    _check_fill(new.filled, source, max_fill)
    states = {key: found.storages[key].state.value if key in found.storages else LOST for key in found.part.storages}
    report = _report(source, problems, states, tensors)
    return replace(report, dropped=new.dropped, doubt=new.doubt), writer.plan(new.records, new.alignment)


def _of_legacy_stream(
    source: Source, problems: tuple[Problem, ...], max_fill: int | None, limits: Limits
) -> tuple[RepairReport, NewFile]:
    """The same for a legacy stream, which can only be recovered where it was cut off."""
    other = next((problem for problem in problems if problem.kind != "cut"), None)
    if other is not None:
        raise UnsupportedError(f"a legacy stream is repaired only where it was cut off, but {other.message}")
    new = recovered(source, limits)
    _check_fill(new.filled, source, max_fill)
    states = {key: RecordState.WHOLE.value if is_complete else LOST for key, is_complete in new.storages.items()}
    report = _report(source, problems, states, new.tensors)
    return replace(report, dropped=new.dropped, has_crcs=False), writer.plan(new.records)


def _report(source: Source, problems: tuple[Problem, ...], states: dict[str, str], tensors: dict[str, Tensor]) -> RepairReport:
    """The report on tensors whose storages are in some states, by key."""
    whole, unverifiable, damaged, lost = _tensors_by_state(states, tensors)
    return RepairReport(
        path=source.name,
        output="",
        size=source.size,
        new_size=source.size,
        whole=whole,
        lost=lost,
        damaged=damaged,
        unverifiable=unverifiable,
        problems=problems,
    )


def _check_fill(size: int, source: Source, max_fill: int | None) -> None:
    """Raise LimitError where more bytes are missing than may be written in their place."""
    limit = max(LEAST_MAX_FILL, MOST_GROWTH * source.size) if max_fill is None else max_fill
    if size > limit:
        raise LimitError(
            f"{size:,} bytes that the pickle mentions are missing, more than the {limit:,} that are filled "
            f"(--max-fill {size} fills them)"
        )


LOST = "lost"

STATES = (RecordState.WHOLE.value, RecordState.UNVERIFIABLE.value, RecordState.DAMAGED.value, LOST)
"""What may become of a storage, from the best to the worst."""


def _tensors_by_state(states: dict[str, str], tensors: dict[str, Tensor]) -> list[tuple[str, ...]]:
    """For each of `STATES`, the tensors of which it is the worst state of a storage; and storages without tensors."""
    keys = {name: tensor.storage_keys & states.keys() for name, tensor in tensors.items()}
    unused = states.keys() - set().union(*keys.values())
    keys |= {f"storage {key}": {key} for key in states if key in unused}
    worst = {name: max((states[key] for key in own), key=STATES.index, default=STATES[0]) for name, own in keys.items()}
    return [tuple(name for name in worst if worst[name] == state) for state in STATES]
