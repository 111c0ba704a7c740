"""Slims an open checkpoint, or each checkpoint in a tar or zip of files: plans, writes, reports."""

from dataclasses import replace
from pathlib import Path

from ptzip.checkpoint import Checkpoint
from ptzip.editing.new_file import SAFETENSORS, SUFFIXES, check_target, content_name, content_suffix
from ptzip.formats.safetensors import SafeTensors
from ptzip.io.folders import FolderSource
from ptzip.recipes import AUTO, recipe_in
from ptzip.slimming.options import Options, Run
from ptzip.slimming.plan import make_plan
from ptzip.slimming.report import SlimReport
from ptzip.slimming.write import planned_report, write_copy, write_slim


def slim(checkpoint: Checkpoint, options: Options, target: Path | None, run: Run) -> SlimReport:
    """Write a slim copy to `target`, or only plan it without one; what is slim already is not written.

    Raises EditError, FormatError, FileExistsError, or OSError about the target.
    """
    collection = checkpoint.collection
    if collection is None:
        return _slim_one(checkpoint, options, target, run)
    from ptzip.slimming.collection import slim_collection  # few files are tars or zips of files

    if target is not None:
        check_target(target, checkpoint.source, f"a {collection.name}", run.overwrite, is_collection=True)
    if options.recipe == AUTO:
        options = replace(options, recipe=recipe_in(collection.name))
    inner_run = run._replace(sync=False)  # only the whole is kept
    return slim_collection(checkpoint, collection, lambda one, path: _slim_one(one, options, path, inner_run), target, run)


def _slim_one(checkpoint: Checkpoint, options: Options, target: Path | None, run: Run) -> SlimReport:
    warnings, options = run.warn(checkpoint), for_folder(checkpoint, options, target)
    report = _planned(checkpoint, options) if target is None else write_slim(checkpoint, options, target, run)
    return replace(report, warnings=warnings + report.warnings)


def _planned(checkpoint: Checkpoint, options: Options) -> SlimReport:
    report = planned_report(checkpoint, make_plan(checkpoint, options), options)
    if report.already_slim:
        return report
    from ptzip.slimming.details import keys  # here, since only a dry run shows them

    return replace(report, keys=keys(checkpoint, report.changes))


def for_folder(checkpoint: Checkpoint, options: Options, target: Path | None = None) -> Options:
    """The options for a folder: the recipe of its framework, and safetensors if the output is named so, or without an output
    the file that its loader takes."""
    if not isinstance(checkpoint.source, FolderSource):
        return options
    suffix = content_suffix(target or Path(checkpoint.source.whole_name))
    recipe = recipe_in(checkpoint.source.kind) if options.recipe == AUTO else options.recipe
    return replace(options, recipe=recipe, is_of_tensors=options.is_same_format and suffix in SUFFIXES[SAFETENSORS])


def copy(checkpoint: Checkpoint, report: SlimReport, target: Path, run: Run) -> SlimReport:
    """Write the bytes of a file that is slim already under a name that somebody counts on."""
    is_safetensors = isinstance(checkpoint.container, SafeTensors)
    content = f"a {checkpoint.collection.name}" if checkpoint.collection else content_name(is_safetensors)
    check_target(target, checkpoint.source, content, run.overwrite, bool(checkpoint.collection))
    return write_copy(checkpoint, report, target, run)
