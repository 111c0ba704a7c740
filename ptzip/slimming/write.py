"""Second step of `slim`: writing the planned file, once more where `overflow` demands it, and reporting what it lost.

One pass over a plan reads each byte once.
"""

import os
from dataclasses import replace
from pathlib import Path

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.errors import EditError
from ptzip.io.atomic_output import NewFile, new_file
from ptzip.io.compression import compress, compression_named
from ptzip.io.payloads import ByteCounter, CheckedPayload, Progress
from ptzip.slimming.details import TensorNames, cast_tensors
from ptzip.slimming.options import Options
from ptzip.slimming.overflow import NothingToGain, OverflowPolicy
from ptzip.slimming.plan import Plan
from ptzip.slimming.report import Check, SlimReport
from ptzip.tensors.rounding import Loss
from ptzip.zip.crc_messages import crc_lines

TENSORS_SUFFIX, TORCH_SUFFIXES = ".safetensors", (".pt", ".pth", ".bin", ".ckpt")


def planned_report(checkpoint: Checkpoint, plan: Plan, options: Options) -> SlimReport:
    """The report of a dry run; without changes where the file is slim already."""
    size, account = checkpoint.source.size, plan.edit.account
    record = plan.edit.part.record
    report = SlimReport(
        path=checkpoint.source.name,
        output=None,
        recipe=plan.recipe,
        old_size=size,
        new_size=size,
        saved={},
        warnings=(*crc_lines([record] if record else []), *account.warnings),
        notes=tuple(account.notes),
        dtype=options.target,
        on_overflow=options.on_overflow,
        rest_name="header" if plan.is_safetensors else "pickle and zip",
    )
    if not plan.is_worthwhile:
        return report
    return replace(report, new_size=plan.file.size, saved=plan.finished.saved, changes=tuple(account.changes))


def check_suffix(target: Path, source: str | None, plan: Plan) -> None:
    """Raise EditError where a file would have the name of another format, unless it replaces its input."""
    suffix = (target.with_suffix("") if compression_named(target) else target).suffix.lower()
    is_wrong = suffix in TORCH_SUFFIXES if plan.is_safetensors else suffix == TENSORS_SUFFIX
    if is_wrong and not (source and target.exists() and target.samefile(source)):
        what = "safetensors" if plan.is_safetensors else "a file of torch.save"
        raise EditError(f"the output would be {what}, which {target} does not say: use ptzip convert for another format")


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
    source = Path(checkpoint.path) if checkpoint.path else None
    in_place = source is not None and target.exists() and target.samefile(source)
    try:
        with new_file(target, like=source, sync=in_place) as descriptor:
            policy, last = OverflowPolicy(checkpoint, options), plan
            _write(last.file, descriptor, target, progress)
            while again := policy.next_plan(last):
                last = again
                _write(last.file, descriptor, target, progress)
            names = TensorNames(checkpoint, last.edit.cuts) if with_tensors else None
            return replace(
                planned_report(checkpoint, last, options),
                output=str(target),
                new_size=os.fstat(descriptor).st_size,
                check=_check(checkpoint, f"/dev/fd/{descriptor}", last, options) if with_check else None,
                loss=sum((cast.loss for cast in last.finished.casts), Loss()),
                warnings=(*_crc_warnings(last), *last.edit.account.warnings),
                wide=tuple(name for one in policy.kept for name in one.names),
                tensors=(*cast_tensors(names, last.finished), *policy.kept) if names else (),
            )
    except NothingToGain:
        return replace(planned_report(checkpoint, plan, options), changes=(), saved={}, new_size=checkpoint.source.size)


def _write(file: NewFile, descriptor: int, target: Path, progress: Progress | None) -> None:
    """Replace the content of an open file; the name of `target`, which it will get, says how it is compressed."""
    counter = ByteCounter(progress, sum(payload.length for payload in file.payloads))
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    if not compression_named(target):
        file.write(descriptor, counter.add)
        return
    import tempfile  # few outputs are compressed

    with tempfile.TemporaryFile(dir=target.parent) as plain:  # a zip is not written in order, and zstd only is
        file.write(plain.fileno(), counter.add)
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
