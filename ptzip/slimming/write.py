"""Second step of `slim`: writing the planned file, once more where a cast overflows, and reporting what it lost.

One pass reads each byte once. No plan can know that a cast overflows. Tensors that did are planned again as they were, and the
file is written again before it gets its name: that costs nothing where nothing overflows, whereas a scan of all values
beforehand would add half the time of writing to every file (14 ms to 26 ms at 56 MB).
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.errors import EditError
from ptzip.io.atomic_output import NewFile, new_file
from ptzip.io.compression import compress, compression_named
from ptzip.io.payloads import CheckedPayload
from ptzip.slimming.details import TensorNames, cast_tensors, overflowing_tensors
from ptzip.slimming.options import Options
from ptzip.slimming.plan import Plan, make_plan
from ptzip.slimming.report import CastTensor, Check, SlimReport
from ptzip.tensors.cast import Stretch
from ptzip.tensors.rounding import Loss
from ptzip.zip.crc_messages import crc_lines

Progress = Callable[[int, int], None]
"""Called with the bytes done so far and the total number of bytes."""


class NothingToGain(Exception):
    """Every tensor that a plan was to cast overflows, so the new file would be the input."""


def planned_report(checkpoint: Checkpoint, plan: Plan, options: Options) -> SlimReport:
    """The report of a dry run; without changes where the file is slim already."""
    size, account = checkpoint.source.size, plan.edit.account
    record = checkpoint.main.record
    report = SlimReport(
        path=checkpoint.source.name,
        output=None,
        recipe=plan.recipe,
        old_size=size,
        new_size=size,
        saved={},
        warnings=(*crc_lines([record] if record else []), *account.warnings),
        dtype=options.dtype,
        on_overflow=options.on_overflow,
    )
    if not account.has_gain:
        return report
    return replace(report, new_size=plan.file.size, saved=plan.finished.saved, changes=tuple(account.changes))


def write_slim(
    checkpoint: Checkpoint,
    plan: Plan,
    options: Options,
    target: Path,
    progress: Progress | None = None,
    with_tensors: bool = False,
    with_check: bool = False,
) -> SlimReport:
    """Write the file, and report what it lost.

    `with_tensors` adds the names of all tensors that were cast, `with_check` a comparison of the written file with the input.
    Raises EditError for values out of range under `on_overflow="error"`, FormatError where the check fails.
    """
    source = Path(checkpoint.source.name)
    in_place = target.exists() and target.samefile(source)
    try:
        with new_file(target, like=source, sync=in_place) as descriptor:
            last, kept = _write_without_overflow(checkpoint, plan, options, descriptor, target, progress)
            names = TensorNames(checkpoint, last.edit.cuts) if with_tensors else None
            return replace(
                planned_report(checkpoint, last, options),
                output=str(target),
                new_size=os.fstat(descriptor).st_size,
                check=_check(checkpoint, f"/dev/fd/{descriptor}", last, options) if with_check else None,
                loss=sum((cast.loss for cast in last.finished.casts), Loss()),
                warnings=(*_crc_warnings(last), *last.edit.account.warnings),
                wide=tuple(name for one in kept for name in one.names),
                tensors=(*cast_tensors(names, last.finished), *kept) if names else (),
            )
    except NothingToGain:
        return replace(planned_report(checkpoint, plan, options), changes=(), saved={}, new_size=checkpoint.source.size)


def _write_without_overflow(
    checkpoint: Checkpoint, plan: Plan, options: Options, descriptor: int, target: Path, progress: Progress | None
) -> tuple[Plan, list[CastTensor]]:
    """Write a plan, and others until no cast overflows that must not. Returns the last, and the tensors that keep their dtype.

    Raises NothingToGain where the last plan changes nothing.
    """
    kept, overflowing = list[CastTensor](), set[Stretch]()
    while True:
        _write(plan.file, descriptor, target, progress)
        casts = plan.finished.casts
        found = {cast.origin for cast in casts if cast.origin is not None and cast.loss.overflowed}
        if not found or options.on_overflow in ("saturate", "inf"):
            return plan, kept
        kept += overflowing_tensors(TensorNames(checkpoint, plan.edit.cuts), plan.finished)
        if options.on_overflow == "error":
            raise EditError(_refusal(kept, options.dtype))
        overflowing |= found  # a storage that a deduplicated one stood for may overflow only in the next round
        plan = make_plan(checkpoint, options, overflowing)
        if not plan.edit.account.has_gain:
            raise NothingToGain


def _refusal(overflowing: list[CastTensor], dtype: str) -> str:
    count, names = sum(one.loss.overflowed for one in overflowing), [name for one in overflowing for name in one.names]
    more = f" and {len(names) - 3} more tensors" if len(names) > 3 else ""
    return f"{count:,} values are beyond the range of {dtype}, in {', '.join(names[:3])}{more}"


def _write(file: NewFile, descriptor: int, target: Path, progress: Progress | None) -> None:
    """Replace the content of an open file; the name of `target`, which it will get, says how it is compressed."""
    done, total = 0, sum(payload.length for payload in file.payloads)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    if not compression_named(target):
        file.write(descriptor, advance)
        return
    import tempfile  # few outputs are compressed

    with tempfile.TemporaryFile(dir=target.parent) as plain:  # a zip is not written in order, and zstd only is
        file.write(plain.fileno(), advance)
        compress(plain.fileno(), descriptor)


def _check(checkpoint: Checkpoint, written: str, plan: Plan, options: Options) -> Check:
    from ptzip.slimming.check import check  # it loads numpy

    with open_checkpoint(written, checkpoint.limits) as after:
        return check(checkpoint, after, plan.edit.account, options.on_overflow == "saturate", options.plain)


def _crc_warnings(plan: Plan) -> tuple[str, ...]:
    """Mismatches of CRCs among all records that were read: for the plan, as storages, and copied as they were."""
    storages = set(map(id, plan.finished.storages))
    records = [payload for payload in plan.file.payloads if isinstance(payload, CheckedPayload) and id(payload) not in storages]
    return crc_lines(plan.finished.read + records)
