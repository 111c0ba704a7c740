"""The verbs of ptzip: one function for each command, and `load`.

Each checks its arguments and imports its command when it is called, so that importing this module costs nothing and `scan`
does not load what `slim` needs. Nothing of a file is ever executed. A wrong argument is a `ValueError`; beside it the verbs
raise `PtzipError` and `OSError` only. Warnings are in the reports, and are logged by the logger "ptzip".
"""

import contextlib
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from ptzip.arguments import (
    ConvertDtype,
    Integers,
    Location,
    OnOverflow,
    OutputFormat,
    Precision,
    Unknown,
    WeightDtype,
    byte_count,
    check_choice,
    strings,
)
from ptzip.errors import Problem, PtzipError, UnsupportedError
from ptzip.io.open_source import open_source
from ptzip.io.payloads import Progress
from ptzip.io.sources import Openable, Source, named_member, unchanged
from ptzip.io.urls import is_url
from ptzip.limits import SCAN_LIMITS, Limits, limits_from

if TYPE_CHECKING:
    from pathlib import Path

    from ptzip.averaging.report import AverageReport
    from ptzip.checkpoint import Checkpoint
    from ptzip.converting.report import ConvertReport
    from ptzip.diffing.report import DiffReport
    from ptzip.editing.drop_and_set import Value
    from ptzip.editing.rename_classes import ClassRename
    from ptzip.inspecting.report import InspectReport, Slimming
    from ptzip.io.folders import FolderSource
    from ptzip.repairing.report import RepairReport
    from ptzip.scanning.report import ScanReport
    from ptzip.slimming.report import SlimReport
    from ptzip.verifying.report import VerifyReport

PathLike = str | os.PathLike[str]


def slim(
    source: Openable,
    output: PathLike | None = None,
    *,
    overwrite: bool = False,
    recipe: str = "auto",
    dtype: WeightDtype = "auto",
    on_overflow: OnOverflow = "keep",
    location: Location = "cpu",
    drop: str | Iterable[str] = (),
    keep: str | Iterable[str] = (),
    keep_float32: str | Iterable[str] = (),
    set_values: "Mapping[str, Value] | None" = None,
    ema: bool = True,
    masters: bool = False,
    trim: bool = True,
    dedupe: bool = False,
    plain: bool = False,
    portable: bool = False,
    rename_class: Mapping[str, str] | None = None,
    format: OutputFormat | None = None,
    check: bool = False,
    dry_run: bool = False,
    scan: bool = True,
    with_tensors: bool = False,
    sync: bool = True,
    progress: Progress | None = None,
    limits: Limits | Mapping[str, int] | None = None,
) -> "SlimReport":
    """Write a copy of a checkpoint without what only training needs, its weights in half precision.

    output        path or URL of the new file, by default `last.slim.pt` beside `last.pt`; equal to `source` to replace it
                  atomically; required if `source` is not a path
    overwrite     replace an existing output; otherwise FileExistsError is raised
    recipe        name of a recipe; "auto" detects the layout
    dtype         of the weights: "auto" casts float32 and float64 to float16, "float16" and "bfloat16" cast the other 16-bit
                  floats too, "keep" casts nothing
    on_overflow   for finite values beyond the range of `dtype`: "keep" leaves the tensor as it is, "saturate" stores the
                  largest finite number, "inf" infinity, "error" raises EditError
    location      device that tensors load to: "cpu", or "keep" for the one recorded in the file
    drop, keep    globs of dotted paths to remove, and to keep although the recipe would remove them
    keep_float32  globs of dotted paths of tensors that are not cast
    set_values    dotted path -> new value, anything that JSON can represent
    ema           use averaged weights as the model where the file has them
    masters       of a folder of DeepSpeed, use the float32 weights of the optimizer where there are 16-bit weights too
    trim          cut storages to the bytes that tensors use
    dedupe        store equal storages once
    plain         write a file that `torch.load(weights_only=True)` accepts
    portable      write a file that loads on every system and with every version of Python, numpy and torch
    rename_class  old name -> new name of classes and functions, in which `*` matches anything: {"models.*": "yolov5.models.*"}
    format        "zip" (default), "legacy" (for torch before 1.6) or "same" as the input (default for safetensors)
    check         read the new file back and compare every tensor with the input before it gets its name
    dry_run       report what would happen; read no tensor, write nothing
    scan          add a warning to the report, or a note to the error, if the input is malicious
    with_tensors  list every cast tensor in the report
    sync          wait until the disk has the new file
    progress      called with (bytes done, bytes in total)

    Where there is nothing to gain (`report.already_slim`), an `output` that was given gets a copy of the bytes, and the default
    output and the source itself are left as they are.
    """
    from dataclasses import replace  # here and below: a command is loaded when it is called

    from ptzip.checkpoint import checkpoint_in  # as above
    from ptzip.formats.folders import open_any
    from ptzip.io.atomic_output import local_path, output_name, slim_path
    from ptzip.slimming import slim as command
    from ptzip.slimming.options import Options, Run, no_warnings

    is_path = isinstance(source, str | os.PathLike) and not is_url(source)
    if output is None and not is_path and not dry_run:
        raise ValueError("slim needs an output path if the source is not a path")
    options = Options(
        recipe=recipe,
        dtype=dtype,
        location=location,
        on_overflow=on_overflow,
        drop=strings(drop),
        keep=strings(keep),
        keep_float32=strings(keep_float32),
        values=tuple((set_values or {}).items()),
        ema=ema,
        trim=trim,
        dedupe=dedupe,
        plain=plain,
        portable=portable,
        rename_class=_class_renames(rename_class),
        format=format,
    )
    run = Run(overwrite, check, with_tensors, sync, progress, _malice if scan else no_warnings)
    bounds = limits_from(limits)
    file, member = named_member(source)
    with (
        contextlib.closing(open_any(file, masters=masters)) as opened,
        _refusals_noted(opened if scan else None),
        checkpoint_in(open_source(opened), member, bounds) as checkpoint,
    ):
        place = None if dry_run else output or slim_path(checkpoint.source.name, whole_name(opened))
        with contextlib.nullcontext() if place is None else local_path(place, overwrite) as target:
            report = command.slim(checkpoint, options, target, run)
            if report.already_slim and output is not None and target and not _is_same(source, target):
                report = command.copy(checkpoint, report, target, run)
            if report.output is None:  # what was written was checked before it got its name
                checkpoint.source.check_unchanged()
    if place and report.output:
        report = replace(report, output=output_name(place, report.output))
    _log(report.path, report.warnings)
    return report


def _class_renames(names: Mapping[str, str] | None) -> "tuple[ClassRename, ...]":
    """The renames of classes; none to a name that `scan` refuses whatever is trusted."""
    if not names:
        return ()
    from ptzip.allowlist.table import is_allowed  # as above
    from ptzip.editing.rename_classes import class_renames
    from ptzip.scanning.dangerous_names import of_trusted

    return class_renames(names, lambda module, name: "" if is_allowed(module, name) else of_trusted(module, name))


def _is_same(source: Openable, output: "Path") -> bool:
    """Whether an output is the source itself."""
    from pathlib import Path  # as above

    return isinstance(source, str | os.PathLike) and Path(source).exists() and output.exists() and output.samefile(source)


def _log(path: str, warnings: Sequence[str]) -> None:
    """Log the warnings of a report for programs that configured `logging`; nothing is printed otherwise."""
    if not warnings:
        return
    import logging  # here, since few files need a warning

    logger = logging.getLogger("ptzip")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    for warning in warnings:
        logger.warning("%s: %s", path, warning)


def _malice(checkpoint: "Checkpoint") -> tuple[str, ...]:
    """A warning where the input is malicious."""
    from ptzip.scanning.refusal import malice  # as above

    found = list(malice(checkpoint.parts))
    return (_malicious(found),) if found else ()


@contextlib.contextmanager
def _refusals_noted(source: Source | None) -> Iterator[None]:
    """Let an error about a file that is malicious say so in a note: who cannot slim a file may load it as it is."""
    try:
        yield
    except PtzipError as error:
        from ptzip.scanning import scan as command  # as above
        from ptzip.scanning.report import Severity

        found = list[str]()
        with contextlib.suppress(OSError):
            findings = () if source is None else command.scan(source).findings
            found += [str(finding) for finding in findings if finding.severity is Severity.MALICIOUS]
        if source is not None and found:
            error.add_note(_malicious(found))
            _log(source.name, [_malicious(found)])
        raise


def _malicious(found: Sequence[str]) -> str:
    """The warning about a malicious file: ptzip runs nothing of it, but who loads it does."""
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"this file is malicious, see ptzip scan: {found[0]}{more}"


def inspect(source: Openable, *, scan: bool = True, limits: Limits | Mapping[str, int] | None = None) -> "InspectReport":
    """Summarise a checkpoint: its format, its keys with their share of the bytes, dtypes, parameters, the names that loading
    would import, anomalies, what `slim` would save, and the verdict of `scan` unless that is not wanted. No tensor is read."""
    from ptzip.checkpoint import open_checkpoint  # as above

    with open_checkpoint(source, limits_from(limits)) as checkpoint, unchanged(checkpoint.source):
        return inspect_checkpoint(checkpoint, scan=scan)


def inspect_checkpoint(checkpoint: "Checkpoint", *, scan: bool = True) -> "InspectReport":
    """The same of an open checkpoint, which is released."""
    from dataclasses import replace  # as above

    from ptzip.inspecting.report import Safety  # as above
    from ptzip.inspecting.summary import summary

    if checkpoint.collection is not None and not checkpoint.collection.only:
        from ptzip.inspecting.collection import summary_of_all  # few files are tars or zips of files
        from ptzip.recipes import recipe_in

        foretell = functools.partial(_foretold, recipe=recipe_in(checkpoint.collection.name))
        report = summary_of_all(checkpoint, checkpoint.collection, foretell)
    else:
        report = summary(checkpoint, _foretold)
    if scan:
        from ptzip.scanning.advice import safety  # as above
        from ptzip.scanning.scan import scan_source

        report = replace(report, safety=Safety(*safety(scan_source(checkpoint.source))))
    return report


def _foretold(checkpoint: "Checkpoint", recipe: str = "auto") -> "Slimming":
    """What `slim` would save with its defaults, of a checkpoint that is released for it."""
    from ptzip.inspecting.report import Slimming  # as above
    from ptzip.slimming.options import Options
    from ptzip.slimming.plan import make_plan
    from ptzip.slimming.slim import for_folder
    from ptzip.slimming.write import planned_report

    if checkpoint.collection is not None:  # of one checkpoint, of which each byte that is saved is saved in all
        with checkpoint.member(checkpoint.collection.only) as inner:
            return _foretold(inner, recipe)
    options = for_folder(checkpoint, Options(recipe=recipe))
    try:
        report = planned_report(checkpoint, make_plan(checkpoint, options), options)
    except PtzipError as error:
        return Slimming(refusal=str(error))
    return Slimming(report.recipe, report.old_size - report.new_size, "already slim" if report.already_slim else "")


def whole_name(source: Source) -> str:
    """The name of one file with all tensors of a folder, where its loader takes one; "" for anything else."""
    from ptzip.io.folders import FolderSource  # as above

    return source.whole_name if isinstance(source, FolderSource) else ""


def folder_source(path: str, has_models: bool = True) -> "FolderSource | None":
    """A folder that is one checkpoint, or has several models, if `has_models`; None for any other, or one that cannot be
    listed."""
    from ptzip.formats.folders.detect import folder_source as found  # as above

    try:
        return found(path, has_models)
    except (PtzipError, OSError):
        return None


def scan(
    source: Openable,
    *,
    trust: str | Iterable[str] = (),
    whole: bool = False,
    limits: Limits | Mapping[str, int] | None = None,
) -> "ScanReport":
    """Judge whether a checkpoint is safe to load: a verdict, and the findings that led to it.

    trust   classes to allow on top of the allow list, as "module.Name", or presets (`ptzip scan --help` lists them): they are
            instantiated, and only called where "()" follows the name. The report says in `trusted` what passed for that
    whole   of a large file at a URL, fetch also what no loader unpickles; without it, such a file is not clean

    A file that cannot be read gets the verdict "unreadable"; only a missing file raises (OSError). ValueError is raised for
    a name that cannot be trusted.
    """
    from ptzip.scanning import scan as command  # as above

    return command.scan(source, trust=strings(trust), whole=whole, limits=limits_from(limits, SCAN_LIMITS))


def verify(
    source: Openable,
    *,
    values: bool = False,
    progress: Progress | None = None,
    limits: Limits | Mapping[str, int] | None = None,
) -> "VerifyReport":
    """Check the integrity of a checkpoint: structure, headers, every CRC, and the storages against the pickle.

    values    also look for NaN and infinity in every tensor
    progress  called with (bytes done, bytes in total); the total rises once it is known what `values` adds

    Every problem is in the report. Raises OSError for a missing file, UnsupportedError or LimitError for one that cannot be
    checked.
    """
    from ptzip.verifying import verify as command  # as above

    return command.verify(source, values=values, progress=progress, limits=limits_from(limits))


def diff(
    a: Openable,
    b: Openable,
    *,
    rename: Mapping[str, str] | None = None,
    rtol: float = 0.0,
    atol: float = 0.0,
    progress: Progress | None = None,
    limits: Limits | Mapping[str, int] | None = None,
) -> "DiffReport":
    """Compare two checkpoints of any formats: their objects by path, their tensors number by number.

    rename      old prefix -> new prefix, in whole parts of dotted names: {"ema": "model"} compares `ema.x` of `a` with
                `model.x` of `b`
    rtol, atol  numbers are equal where `|a - b| <= atol + rtol * |b|`
    progress    called with (bytes done, bytes in total) of the tensors of `a` that are in both
    """
    from ptzip.diffing import diff as command  # as above
    from ptzip.globs import renames

    prefixes, used = renames(rename or {}), limits_from(limits)
    return command.diff(a, b, renames=prefixes, rtol=rtol, atol=atol, progress=progress, limits=used)


def repair(
    source: Openable,
    output: PathLike,
    *,
    overwrite: bool = False,
    max_fill: int | str | None = None,
    sync: bool = True,
    progress: Progress | None = None,
    limits: Limits | Mapping[str, int] | None = None,
) -> "RepairReport":
    """Write what can be recovered of a truncated or damaged file of torch.save to `output`, as a zip that torch loads.

    overwrite   replace an existing output; otherwise FileExistsError is raised
    max_fill    the most bytes to write in place of missing ones, in bytes or as "5GB"; by default 1 GiB, or 16 times a larger
                input. A damaged pickle may name storages of any size
    sync        wait until the disk has the new file
    progress    called with (bytes done, bytes in total) while the input is verified, and again while the output is written

    The report lists what is lost, damaged or cannot be verified, and the entries that were dropped. Nothing is written where
    the file has no problem. Raises EditError where the output is the input, UnsupportedError for anything but a torch.save
    zip, FormatError where the pickle is lost.
    """
    from dataclasses import replace  # as above

    from ptzip.io.atomic_output import local_path, output_name  # as above
    from ptzip.repairing import repair as command
    from ptzip.verifying.verify import verify_source

    used = limits_from(limits)

    def problems(opened: Source) -> tuple[Problem, ...]:
        report = verify_source(opened, progress=progress, limits=used)
        return (*report.problems, *report.warnings)

    fill = None if max_fill is None else byte_count(max_fill)
    with local_path(output, overwrite) as path:
        report = command.repair(
            source, path, problems, overwrite=overwrite, max_fill=fill, sync=sync, progress=progress, limits=used
        )
    return replace(report, output=output_name(output, report.output)) if report.output else report


def convert(
    source: Openable,
    output: PathLike,
    *,
    overwrite: bool = False,
    dtype: ConvertDtype = "keep",
    all: bool = False,
    masters: bool = False,
    select: str | Iterable[str] = (),
    strip: str = "",
    rename: Mapping[str, str] | None = None,
    prefix: str = "",
    max_shard_size: int | str | None = None,
    sidecar: bool = False,
    portable: bool = False,
    rename_class: Mapping[str, str] | None = None,
    strict: bool = False,
    sync: bool = True,
    progress: Progress | None = None,
    limits: Limits | Mapping[str, int] | None = None,
) -> "ConvertReport":
    """Export the weights of a checkpoint to another format, which the suffix of `output` names.

    output          .safetensors, .npz, or .pt, .pth, .bin, .ckpt: a dict of tensors by their dotted names
    overwrite       replace existing files; otherwise FileExistsError is raised
    dtype           of the weights: "float16" and "bfloat16" cast them as `slim` does, "keep" casts nothing
    all             export all tensors; by default what the recipes of `slim` take for states of training is left out, and an
                    average that they use as the model replaces it
    masters         of a folder of DeepSpeed, export the float32 weights of the optimizer where there are 16-bit weights too
    select          globs of tensor names; all tensors by default
    strip           a prefix to remove, which all names must have; "auto" for those that training adds (`module`, `_orig_mod`,
                    `model`, the key of the weights), where all names have them
    rename          old prefix -> new prefix, in whole parts of dotted names: {"model": ""} removes the prefix `model.`
    prefix          prepended to every name, after `strip` and `rename`
    max_shard_size  split safetensors or a state dict into files of at most this size, in bytes or as "5GB", with an index
    sidecar         save non-tensor values to a JSON sidecar
    portable        write the object as a whole, as `slim` does with `portable`, and remove nothing; the output is a .pt
    rename_class    the same with other names for classes, as in `slim`
    strict          write nothing if the format cannot represent one of the tensors; by default it is left out and reported
    sync            wait until the disk has the new files
    progress        called with (bytes done, bytes in total)
    """
    from dataclasses import replace  # as above

    from ptzip.converting import convert as command  # as above
    from ptzip.converting.weights import Wanted
    from ptzip.globs import renames
    from ptzip.io.atomic_output import local_path, output_name

    check_choice("dtype", dtype, ConvertDtype)
    options = command.ConvertOptions(
        Wanted(dtype, all),
        masters=masters,
        select=strings(select),
        strip=strip,
        renames=renames(rename or {}),
        prefix=prefix,
        max_shard_size=None if max_shard_size is None else byte_count(max_shard_size),
        sidecar=sidecar,
        portable=portable,
        rename_class=_class_renames(rename_class),
        strict=strict,
        overwrite=overwrite,
        sync=sync,
    )
    with local_path(output, overwrite) as path:
        report = command.convert(source, path, options, progress=progress, limits=limits_from(limits))
    report = replace(report, outputs=tuple(output_name(output, one) for one in report.outputs))
    _log(report.path, [*(f"left out {one.name or 'the tensor'}: {one.why}" for one in report.left_out), *report.warnings])
    return report


def average(
    sources: Iterable[Openable],
    output: PathLike,
    *,
    overwrite: bool = False,
    weights: Iterable[float] | None = None,
    precision: Precision = "float32",
    integers: Integers = "agree",
    sync: bool = True,
    progress: Progress | None = None,
    limits: Limits | Mapping[str, int] | None = None,
) -> "AverageReport":
    """Write the average of the weights of several checkpoints of one layout, as a file like the first of them.

    sources    state dicts or modules of the same tensors, dtypes and shapes, at least 2, in files or folders of any formats
    output     path of the new file; a safetensors file if the first one is, else a zip of torch.save
    overwrite  replace an existing output; otherwise FileExistsError is raised
    weights    a positive number for each, of which the sum is what they are divided by, as by `numpy.average`: [3, 1] and
               [0.75, 0.25] are the same; by default all count as much
    precision  floats of at most 32 bits are summed in "float32" or "float64", those of 64 bits always in float64
    integers   "agree" raises EditError where integers or booleans differ; "first" takes those of the first checkpoint
    sync       wait until the disk has the new file
    progress   called with (bytes done, bytes in total)

    Floats and complex numbers are averaged: each is multiplied by its weight and added in the order of `sources`, the sum is
    divided by that of the weights, and rounded once to the dtype. A number with the same bits in all keeps them. Everything
    else is as in the first checkpoint, but for what only training needs, which is left out as `slim` does. Tensors that share
    memory still do. EditError is raised where names, dtypes, shapes or quantised values (float8 too) differ.
    """
    from dataclasses import replace  # as above

    from ptzip.averaging import average as command  # as above
    from ptzip.io.atomic_output import local_path, output_name

    if isinstance(sources, str | bytes | os.PathLike):
        raise ValueError("sources is one checkpoint, expected a list of at least 2")
    options = command.AverageOptions(
        weights=None if weights is None else tuple(weights),
        precision=precision,
        integers=integers,
        overwrite=overwrite,
        sync=sync,
        warn=_malice,
    )
    with local_path(output, overwrite) as path:
        report = command.average(list(sources), path, options, progress=progress, limits=limits_from(limits))
    report = replace(report, output=output_name(output, report.output))
    _log(report.path, report.warnings)
    return report


def load(
    source: Openable, *, unknown: Unknown = "error", mmap: bool = False, limits: Limits | Mapping[str, int] | None = None
) -> object:
    """The object in a checkpoint as plain Python and numpy values; nothing of the file is executed.

    unknown     "error" raises UnsupportedError for a name that is not on the allow list of `scan`, and for a tensor that
                numpy cannot represent; "keep" returns them as an inert `Opaque` and a lazy `Tensor`
    mmap        map storages read-only instead of reading them, where the file holds them uncompressed; if another program cuts
                such a file off, the next access to an array kills this process (SIGBUS)

    Tensors are writable arrays (bfloat16, float8 and float4 are types of ml_dtypes) that `torch.from_numpy` takes; those on
    one storage are views of one array.
    """
    from ptzip.checkpoint import open_checkpoint  # as above
    from ptzip.values.materialize import loaded

    check_choice("unknown", unknown, Unknown)
    bounds = limits_from(limits)
    with open_checkpoint(source, bounds) as checkpoint:
        if unknown == "error":
            _refuse(checkpoint)
        with unchanged(checkpoint.source):
            return loaded(checkpoint.container, unknown=unknown, mapped=mmap, limits=bounds)


def _refuse(checkpoint: "Checkpoint") -> None:
    """Raise UnsupportedError where the object's pickle has something that `scan` does not allow."""
    from ptzip.scanning.refusal import refusal  # as above

    reason = refusal(checkpoint.main) if checkpoint.parts else ""
    if reason:
        raise UnsupportedError(reason)
