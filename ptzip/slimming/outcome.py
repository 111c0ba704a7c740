"""What comes of a plan: foretold before a byte is written, and told once the file is in its place."""

import contextlib
from dataclasses import replace
from pathlib import Path

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.errors import EditError
from ptzip.limits import Limits
from ptzip.slimming.naming import Names, cast_tensors, wide_tensors
from ptzip.slimming.options import Options
from ptzip.slimming.planning import Planned, plan
from ptzip.slimming.report import CastTensor, Check, SlimReport
from ptzip.slimming.writing import NothingToGain, Progress, crc_lines, crc_warnings, write
from ptzip.tensors.cast import Stretch
from ptzip.tensors.loss import Loss


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
    with contextlib.ExitStack() as opened:
        taken_back = list[CastTensor]()

        def beyond(tried: Planned, wide: set[Stretch]) -> Planned | None:
            if options.on_overflow in ("saturate", "inf"):
                return None
            taken_back.extend(_wide(checkpoint, tried))
            if options.on_overflow == "error":
                raise EditError(_refusal(tuple(taken_back)))
            again = opened.enter_context(open_checkpoint(source, checkpoint.limits))
            return plan(again, options, wide)

        checks: list[Check] = []

        def look(last: Planned, path: str) -> None:
            if with_check:
                checks.append(_checked(source, path, last, options, checkpoint.limits))

        try:
            last, size = write(planned, target, source, beyond, look, progress)
        except NothingToGain:
            return replace(foretold(checkpoint, planned, options), changes=(), saved={}, new_size=checkpoint.source.size)
        done = replace(foretold(checkpoint, last, options), output=str(target), new_size=size)
        done = _accounted(checkpoint, last, done, tuple(taken_back), with_tensors)
        return replace(done, check=checks[0]) if checks else done


def _checked(source: Path, written: str, planned: Planned, options: Options, limits: Limits) -> Check:
    """The written file beside the input, both opened anew."""
    from ptzip.slimming.checking import check  # here, since it needs numpy

    with open_checkpoint(source, limits) as before, open_checkpoint(written, limits) as after:
        return check(before, after, planned.edit, options.on_overflow == "saturate", options.plain)


def _accounted(
    checkpoint: Checkpoint, last: Planned, done: SlimReport, wide: tuple[CastTensor, ...], with_tensors: bool
) -> SlimReport:
    """The report of what was written, with what it lost."""
    return replace(
        done,
        loss=sum((cast.loss for cast in last.finished.casts), Loss()),
        warnings=(*crc_warnings(last), *last.edit.warnings),
        wide=tuple(name for one in wide for name in one.names),
        tensors=(*_casts(checkpoint, last), *wide) if with_tensors else (),
    )


def _casts(checkpoint: Checkpoint, planned: Planned) -> tuple[CastTensor, ...]:
    return cast_tensors(_names(checkpoint, planned), planned.finished)


def _wide(checkpoint: Checkpoint, planned: Planned) -> tuple[CastTensor, ...]:
    return wide_tensors(_names(checkpoint, planned), planned.finished)


def _names(checkpoint: Checkpoint, planned: Planned) -> Names:
    """The tree of `checkpoint` was edited, so the names are those of another opening."""
    with open_checkpoint(checkpoint.source.name, checkpoint.limits) as fresh:
        return Names(fresh, planned.edit.cuts)


def _refusal(wide: tuple[CastTensor, ...]) -> str:
    count, names = sum(one.loss.overflowed for one in wide), [name for one in wide for name in one.names]
    more = f" and {len(names) - 3} more tensors" if len(names) > 3 else ""
    return f"{count:,} values are beyond the range of the new dtype, in {', '.join(names[:3])}{more}"
