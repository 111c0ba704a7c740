"""Slimming the checkpoints in a tar or zip of files: each as a file of its own, and then the collection around them.

Every other file in it keeps its bytes, as do checkpoints that cannot be slimmed or have nothing to gain.
"""

import contextlib
import functools
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ptzip.checkpoint import Checkpoint
from ptzip.errors import EditError, FormatError, UnsupportedError
from ptzip.formats.collection import Collection
from ptzip.io.atomic_output import Output, new_files
from ptzip.io.sources import FileSource
from ptzip.slimming.options import Run
from ptzip.slimming.overflow import NothingToGain
from ptzip.slimming.report import Check, SlimReport
from ptzip.tensors.rounding import Loss

LARGER = "larger than the input, which is compressed"

SlimOne = Callable[[Checkpoint, Path | None], SlimReport]
"""Slims a checkpoint into a new file, or only plans it."""


def slim_collection(
    checkpoint: Checkpoint,
    collection: Collection,
    slim_one: SlimOne,
    target: Path | None,
    run: Run,
) -> SlimReport:
    """Write the collection with its checkpoints slimmed by `slim_one`, or only plan it without a target.

    Raises UnsupportedError where it is of a kind that cannot be slimmed, and the error of its first checkpoint where none can.
    """
    if collection.refusal:
        raise UnsupportedError(collection.refusal)
    if target is None:
        return _joined(checkpoint, collection, _slimmed(checkpoint, collection, slim_one, None))
    reports = dict[str, SlimReport]()
    try:
        with new_files([target], checkpoint.source, overwrite=run.overwrite, sync=run.sync) as files, files.outputs[0].named():
            output = files.outputs[0]
            reports = _slimmed(checkpoint, collection, slim_one, output.folder.path)
            _write(output, collection, reports)
            size = output.size
    except NothingToGain:
        return _joined(checkpoint, collection, reports)
    found = _joined(checkpoint, collection, reports)
    return replace(found, output=str(target), new_size=size, warnings=(*found.warnings, *files.warnings))


def _write(output: Output, collection: Collection, reports: dict[str, SlimReport]) -> None:
    """Write the collection with the checkpoints that were slimmed. Raises NothingToGain where none was."""
    with contextlib.ExitStack() as opened:
        new = {name: FileSource(report.output) for name, report in reports.items() if report.output}
        for one in new.values():
            opened.callback(one.close)
        if not new:
            raise NothingToGain
        output.write(collection.with_files(new))


def _slimmed(checkpoint: Checkpoint, collection: Collection, slim_one: SlimOne, folder: Path | None) -> dict[str, SlimReport]:
    """The report on every checkpoint by name; one that cannot be slimmed has a note that says why.

    Raises the error of the first where that holds for all of them.
    """
    reports, errors = dict[str, SlimReport](), list[EditError | UnsupportedError]()
    for number, name in enumerate(collection.checkpoints):
        try:
            with checkpoint.member(name) as inner:
                reports[name] = slim_one(inner, None if folder is None else folder / f"slim-{number}{Path(name).suffix}")
        except (EditError, UnsupportedError) as error:
            errors.append(error)
            size = collection.checkpoints[name].size
            reports[name] = SlimReport(name, None, "", size, size, {}, notes=(f"it stays as it is: {error}",))
        except FormatError as error:
            raise FormatError(f"{name}: {error.message}", error.offset, error.inside) from error
    if len(errors) == len(reports):
        raise errors[0]
    return reports


def _joined(checkpoint: Checkpoint, collection: Collection, reports: dict[str, SlimReport]) -> SlimReport:
    """One report on all checkpoints."""
    found = [_named(name if len(reports) > 1 else "", report) for name, report in reports.items()]
    changed = [name for name, report in reports.items() if not report.already_slim]
    grown = sum(reports[name].new_size - collection.checkpoints[name].source.size for name in changed)
    checks, losses = [one.check for one in found if one.check], [one.loss for one in found if one.loss]
    model = next((one for one in found if one.recipe), found[0])
    joined = replace(
        model,
        path=checkpoint.source.name,
        output=None,
        recipe=", ".join(dict.fromkeys(one.recipe for one in found if one.recipe)),
        old_size=checkpoint.source.size,
        new_size=collection.size + grown if changed else checkpoint.source.size,
        saved={step: sum(one.saved.get(step, 0) for one in found) for one in found for step in one.saved},
        loss=sum(losses, Loss()) if losses else None,
        check=functools.reduce(Check.joined, checks) if checks else None,
        changes=tuple(itertools.chain.from_iterable(one.changes for one in found)),
        warnings=tuple(itertools.chain.from_iterable(one.warnings for one in found)),
        notes=tuple(itertools.chain.from_iterable(one.notes for one in found)),
        wide=tuple(itertools.chain.from_iterable(one.wide for one in found)),
        keys=tuple(itertools.chain.from_iterable(one.keys for one in found)),
        tensors=tuple(itertools.chain.from_iterable(one.tensors for one in found)),
    )
    return replace(joined, notes=(*joined.notes, LARGER)) if joined.new_size > joined.old_size else joined


def _named(name: str, report: SlimReport) -> SlimReport:
    """A report whose paths and notes begin with the name of its checkpoint; "" for one that is alone."""
    if not name:
        return report
    return replace(
        report,
        changes=tuple(one._replace(path=_below(name, one.path)) for one in report.changes),
        warnings=tuple(f"{name}: {text}" for text in report.warnings),
        notes=tuple(f"{name}: {text}" for text in report.notes),
        wide=tuple(_below(name, one) for one in report.wide),
        keys=tuple(one._replace(name=_below(name, one.name)) for one in report.keys),
        tensors=tuple(one._replace(names=tuple(_below(name, each) for each in one.names)) for one in report.tensors),
    )


def _below(name: str, path: str) -> str:
    return f"{name}.{path}" if path else name
