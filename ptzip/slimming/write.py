"""Second step of `slim`: writing what was planned, once more where `overflow` demands it, and reporting what it lost.

One pass over a plan reads each byte once.
"""

from dataclasses import replace
from pathlib import Path

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.editing.new_file import check_target, content_name
from ptzip.io.atomic_output import NewFile, Output, new_files
from ptzip.io.payloads import ByteCounter, CheckedPayload, CopiedFile, Progress
from ptzip.slimming.details import TensorNames, cast_tensors
from ptzip.slimming.options import Options, Run
from ptzip.slimming.overflow import NothingToGain, OverflowPolicy
from ptzip.slimming.plan import Plan, make_plan
from ptzip.slimming.report import Check, SlimReport
from ptzip.tensors.rounding import Loss
from ptzip.zip.crc_messages import crc_lines


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


def write_slim(checkpoint: Checkpoint, options: Options, target: Path, run: Run) -> SlimReport:
    """Write the slim file, and report what it lost; what is slim already is not written.

    With `run.with_tensors` the report names all tensors that were cast, with `run.check` it compares the written file with the
    input. Raises EditError for values out of range under `on_overflow="error"`, FormatError where the check fails, and whatever
    `check_target` and `new_files` raise.
    """
    plan = make_plan(checkpoint, options)
    report = planned_report(checkpoint, plan, options)
    if report.already_slim:
        return report
    check_target(target, checkpoint.source, content_name(plan.is_safetensors), run.overwrite, bool(checkpoint.collection))
    policy = OverflowPolicy(checkpoint, options)
    try:
        with new_files([target], checkpoint.source, overwrite=run.overwrite, sync=run.sync) as files:
            output = files.outputs[0]
            _write(plan.file, output, run.progress)
            while policy.found_in(plan):
                del plan  # before the next, since a plan of many tensors takes much memory
                plan = policy.next_plan()
                _write(plan.file, output, run.progress)
            written = _report(checkpoint, plan, policy, output, run)
    except NothingToGain:
        return replace(report, changes=(), saved={}, new_size=report.old_size)
    return replace(written, warnings=(*written.warnings, *files.warnings))


def write_copy(checkpoint: Checkpoint, report: SlimReport, target: Path, run: Run) -> SlimReport:
    """Write the bytes of the file as they are; raises whatever `new_files` raises.

    They are compressed as the name says, not as the input is.
    """
    with new_files([target], checkpoint.source, overwrite=run.overwrite, sync=run.sync) as files:
        files.outputs[0].write(CopiedFile(checkpoint.unpacked))
        size = files.outputs[0].size
    return replace(report, output=str(target), new_size=size, warnings=(*report.warnings, *files.warnings))


def _report(checkpoint: Checkpoint, plan: Plan, policy: OverflowPolicy, output: Output, run: Run) -> SlimReport:
    """The report on a file that was written."""
    options = policy.options
    names = TensorNames(checkpoint, plan.edit.cuts) if run.with_tensors else None
    return replace(
        planned_report(checkpoint, plan, options),
        output=str(output.target),
        new_size=output.size,
        check=_check(checkpoint, output.path, plan, options, run.progress) if run.check else None,
        loss=sum((cast.loss for cast in plan.finished.casts), Loss()),
        warnings=(*_crc_warnings(plan), *plan.edit.account.warnings),
        wide=tuple(name for one in policy.kept for name in one.names),
        tensors=(*cast_tensors(names, plan.finished), *policy.kept) if names else (),
    )


def _write(file: NewFile, output: Output, progress: Progress | None) -> None:
    output.write(file, ByteCounter(progress, sum(payload.length for payload in file.payloads)).add)


def _check(checkpoint: Checkpoint, written: Path, plan: Plan, options: Options, progress: Progress | None) -> Check:
    from ptzip.slimming.check import check  # it loads numpy

    checkpoint.drop_tree()  # before the other file is opened, since a tree takes more memory than its tensors
    with open_checkpoint(written, checkpoint.limits) as after:
        saturate = options.on_overflow == "saturate"
        return check(checkpoint, after, plan.edit.account, saturate, options.plain, progress)


def _crc_warnings(plan: Plan) -> tuple[str, ...]:
    """Mismatches of CRCs among all records that were read: for the plan, as storages, and copied as they were."""
    storages = set(map(id, plan.finished.storages))
    records = [payload for payload in plan.file.payloads if isinstance(payload, CheckedPayload) and id(payload) not in storages]
    return crc_lines(plan.finished.read + records)
