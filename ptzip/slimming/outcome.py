"""What comes of a plan: foretold before a byte is written, and told once the file is written.

Rule: a cast that meets numbers beyond the range, which no plan can know, is planned anew before the file gets its place.
"""

import os
from dataclasses import replace
from pathlib import Path

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.errors import EditError
from ptzip.io.atomic_output import new_file
from ptzip.slimming.cast_names import Names, cast_tensors, wide_tensors
from ptzip.slimming.options import Options
from ptzip.slimming.plan import Planned, plan
from ptzip.slimming.report import CastTensor, Check, SlimReport
from ptzip.slimming.write import Progress, crc_warnings, overflowed, write
from ptzip.tensors.cast import Stretch
from ptzip.tensors.rounding import Loss
from ptzip.zip.crc_messages import crc_lines


class NothingToGain(Exception):
    """All that a plan was to cast is beyond the range."""


def foretold(checkpoint: Checkpoint, planned: Planned, options: Options) -> SlimReport:
    """The report of a dry run; one without changes, where the file is slim already."""
    edit, size = planned.edit, checkpoint.source.size
    return SlimReport(
        path=checkpoint.source.name,
        output=None,
        recipe=planned.recipe,
        old_size=size,
        new_size=planned.file.size if edit.has_gain else size,
        saved=planned.finished.saved if edit.has_gain else {},
        changes=tuple(edit.changes) if edit.has_gain else (),
        warnings=(*crc_lines([checkpoint.main.record] if checkpoint.main.record else []), *edit.warnings),
        dtype=options.dtype,
        on_overflow=options.on_overflow,
    )


def written(
    checkpoint: Checkpoint,
    planned: Planned,
    options: Options,
    target: Path,
    progress: Progress | None = None,
    with_tensors: bool = False,
    with_check: bool = False,
) -> SlimReport:
    """Write the file, and tell what it lost; with the names of all tensors that were cast, and with what a check of the
    written file finds, if they are asked for."""
    source = Path(checkpoint.source.name)
    in_place = target.exists() and target.samefile(source)
    try:
        with new_file(target, like=source, sync=in_place) as descriptor:
            last, wide = _settled(checkpoint, planned, options, descriptor, target, progress)
            check = _checked(checkpoint, f"/dev/fd/{descriptor}", last, options) if with_check else None
            size = os.fstat(descriptor).st_size
            done = replace(foretold(checkpoint, last, options), output=str(target), new_size=size, check=check)
            return _accounted(checkpoint, last, done, wide, with_tensors)
    except NothingToGain:
        return replace(foretold(checkpoint, planned, options), changes=(), saved={}, new_size=checkpoint.source.size)


def _settled(
    checkpoint: Checkpoint,
    planned: Planned,
    options: Options,
    descriptor: int,
    target: Path,
    progress: Progress | None,
) -> tuple[Planned, tuple[CastTensor, ...]]:
    """Write a plan, and others until none loses what is to be kept; the last, and the casts that were taken back.

    Mostly the first is the last. Raises NothingToGain where the last is that of the file as it is.
    """
    taken_back, beyond = list[CastTensor](), set[Stretch]()
    while True:
        write(planned.file, descriptor, target, progress)
        found = overflowed(planned.finished)
        if not found or options.on_overflow in ("saturate", "inf"):
            return planned, tuple(taken_back)
        taken_back += wide_tensors(Names(checkpoint, planned.edit.cuts), planned.finished)
        if options.on_overflow == "error":
            raise EditError(_refusal(taken_back))
        beyond |= found  # an equal storage that stood for another one may show only now
        planned = plan(checkpoint, options, beyond)
        if not planned.edit.has_gain:
            raise NothingToGain


def _checked(checkpoint: Checkpoint, written: str, planned: Planned, options: Options) -> Check:
    """Compare the written file, opened again, with the input."""
    from ptzip.slimming.check import check  # here, since it needs numpy

    with open_checkpoint(written, checkpoint.limits) as after:
        return check(checkpoint, after, planned.edit, options.on_overflow == "saturate", options.plain)


def _accounted(
    checkpoint: Checkpoint, last: Planned, done: SlimReport, wide: tuple[CastTensor, ...], with_tensors: bool
) -> SlimReport:
    """The report of what was written, with what it lost."""
    return replace(
        done,
        loss=sum((cast.loss for cast in last.finished.casts), Loss()),
        warnings=(*crc_warnings(last), *last.edit.warnings),
        wide=tuple(name for one in wide for name in one.names),
        tensors=(*cast_tensors(Names(checkpoint, last.edit.cuts), last.finished), *wide) if with_tensors else (),
    )


def _refusal(wide: list[CastTensor]) -> str:
    count, names = sum(one.loss.overflowed for one in wide), [name for one in wide for name in one.names]
    more = f" and {len(names) - 3} more tensors" if len(names) > 3 else ""
    return f"{count:,} values are beyond the range of the new dtype, in {', '.join(names[:3])}{more}"
