"""`convert`: exports the tensors of a checkpoint to safetensors, npz or a plain state dict.

What is written, and what the target format cannot represent, is decided before any byte is written. All files get their final
names at the end, or none does.
"""

import os
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.converting import npz_writer, safetensors_writer, state_dict_writer
from ptzip.converting.report import ConvertReport, LeftOut, Removed
from ptzip.converting.selection import (
    AUTO,
    Files,
    Tensors,
    aliases,
    renamed_tensors,
    select_tensors,
    shared_prefix,
    without_components,
)
from ptzip.converting.sidecar import sidecar_file
from ptzip.converting.weights import KEEP, Overflowing, Wanted, Weights, casts_of, is_cast, on_stretches, weights_of
from ptzip.editing.rename_classes import ClassRename
from ptzip.errors import EditError
from ptzip.globs import Rename
from ptzip.io.atomic_output import check_not_input, check_overwrite, new_files
from ptzip.io.payloads import ByteCounter, CheckedPayload, Progress
from ptzip.io.sources import Openable, Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.tensors.cast import Stretch
from ptzip.tensors.rounding import Loss
from ptzip.tensors.strides import check_copies
from ptzip.tensors.tensor import Tensor, stored_bytes
from ptzip.zip.crc_messages import crc_lines


class TargetFormat(NamedTuple):
    """A format that can be written.

    `unsupported` returns why the format cannot represent a tensor under a name, or "". `plan` returns the files that hold
    tensors, given the output path and the largest size of a shard in bytes. With `has_aliases`, a tensor shared under several
    names is written once.
    """

    name: str
    suffixes: tuple[str, ...]
    unsupported: Callable[[str, Tensor], str]
    plan: Callable[[Tensors, Path, int | None], Files]
    has_aliases: bool = True


SAFETENSORS = TargetFormat("safetensors", (".safetensors",), safetensors_writer.unsupported, safetensors_writer.plan)
NPZ = TargetFormat("npz", (".npz",), npz_writer.unsupported, npz_writer.plan, has_aliases=False)
STATE_DICT = TargetFormat("state dict", (".pt", ".pth", ".bin", ".ckpt"), state_dict_writer.unsupported, state_dict_writer.plan)
TARGETS = (SAFETENSORS, NPZ, STATE_DICT)


class ConvertOptions(NamedTuple):
    """What `ptzip.convert` documents, field by field; `max_shard_size` is in bytes."""

    wanted: Wanted = Wanted()
    masters: bool = False
    select: tuple[str, ...] = ()
    strip: str = ""
    renames: Sequence[Rename] = ()
    prefix: str = ""
    max_shard_size: int | None = None
    sidecar: bool = False
    portable: bool = False
    rename_class: tuple[ClassRename, ...] = ()
    strict: bool = False
    overwrite: bool = False
    sync: bool = True

    @property
    def is_whole(self) -> bool:
        """Whether the object is written as a whole, not its tensors."""
        return self.portable or bool(self.rename_class)


class ConvertPlan(NamedTuple):
    """What is written: the tensors by their new names, those that the format cannot represent with the reasons, and the files.
    `shared` is the prefix that all names have and that could be removed."""

    weights: Weights
    kept: Tensors
    reasons: dict[str, str]
    files: Files
    shared: str


class Overflow(Exception):
    """Values of some casts are beyond the range of the dtype; their stretches of storages, by the name of their pickle."""

    def __init__(self, found: Mapping[str, set[Stretch]]) -> None:
        self.found = found


def convert(
    source: Openable,
    output: str | os.PathLike[str],
    options: ConvertOptions,
    *,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> ConvertReport:
    """Write the tensors of a checkpoint in the format that the suffix of `output` names; see `ptzip.convert`.

    Tensors with values beyond the range of the dtype that weights are cast to keep theirs, as under `slim`: no plan can know
    them, so everything is planned again. Raises PtzipError or OSError.
    """
    output = Path(output)
    target = _target(output)
    if options.max_shard_size is not None and target is NPZ:
        raise EditError(f"an npz is not split into shards, as {output} would be: use .safetensors or .bin")
    _check_whole(options, target)
    overflowing = dict[str, set[Stretch]]()
    with open_checkpoint(source, limits, masters=options.masters) as checkpoint:
        if checkpoint.parts:
            checkpoint.main.check_storages()
        if options.is_whole and _has_object(checkpoint, options):
            from ptzip.converting.whole_object import convert_whole  # here, since few conversions are of whole objects

            flags = {"overwrite": options.overwrite, "sync": options.sync}
            return convert_whole(checkpoint, output, options.portable, options.rename_class, progress, **flags)
        while True:
            plan = _plan(checkpoint, output, target, options, overflowing)
            _check_paths(plan.files, checkpoint.source.name, options.overwrite)
            try:
                warnings = _write(plan, checkpoint.source, progress, options)
            except Overflow as more:
                for name, stretches in more.found.items():
                    overflowing.setdefault(name, set()).update(stretches)
            else:
                report = _report(checkpoint, plan, target, options, overflowing)
                return replace(report, warnings=(*report.warnings, *warnings))


def _check_whole(options: ConvertOptions, target: TargetFormat) -> None:
    """Raise EditError where the object as a whole is asked for, and something that only tensors have."""
    if not options.is_whole:
        return
    is_of_tensors = options.select or options.strip or options.renames or options.prefix or options.max_shard_size
    if is_of_tensors or options.sidecar or options.wanted.dtype != KEEP:
        raise EditError(
            "portable and rename_class write the object as a whole: they exclude what selects, renames or casts tensors"
        )
    if target is not STATE_DICT:
        raise EditError(
            f"portable and rename_class write an object, and {target.name} has none: write a .pt, --format pt on stdout"
        )


def _has_object(checkpoint: Checkpoint, options: ConvertOptions) -> bool:
    """Whether a file has an object; one of tensors alone is portable. Raises EditError for several objects or no classes."""
    if checkpoint.collection is not None and not checkpoint.collection.only:
        raise EditError(f"this is a {checkpoint.format} of several checkpoints: name one of them, as FILE::NAME")
    if not checkpoint.parts and options.rename_class:
        raise EditError(f"this is a {checkpoint.format}, which names no classes")
    return bool(checkpoint.parts)


def _plan(
    checkpoint: Checkpoint, output: Path, target: TargetFormat, options: ConvertOptions, overflowing: Overflowing
) -> ConvertPlan:
    """Decide what is written. Raises EditError where that is nothing."""
    weights = weights_of(checkpoint, options.wanted, overflowing)
    keys = checkpoint.top_level_keys if checkpoint.parts else []
    chosen = select_tensors(weights.tensors, options.select)
    shared = shared_prefix(chosen, keys)
    strip = shared if options.strip == AUTO else options.strip
    selected = renamed_tensors(chosen, strip, options.renames, options.prefix)
    reasons = {name: why for name, tensor in selected.items() if (why := _unsupported(name, tensor, target))}
    kept = without_components({name: tensor for name, tensor in selected.items() if name not in reasons})
    files = Files()
    if not (options.strict and reasons):
        if not kept:
            name, why = next(iter(reasons.items()))
            raise EditError(f"{target.name} can represent none of the tensors: {name} is left out, since {why}")
        files = target.plan(kept, output, options.max_shard_size)
        check_copies(sum(file.size for file in files.values()), stored_bytes(kept.values()))
        if options.sidecar:
            files |= sidecar_file(checkpoint, output)
    return ConvertPlan(weights, kept, reasons, files, shared)


def _report(
    checkpoint: Checkpoint, plan: ConvertPlan, target: TargetFormat, options: ConvertOptions, overflowing: Overflowing
) -> ConvertReport:
    size, weights = sum(file.size for file in plan.files.values()), plan.weights
    removed = tuple(Removed(change.path, change.what) for change in weights.removed)
    is_renamed = options.strip or options.renames or options.prefix
    casts = [cast for found in casts_of(weights.edits).values() for cast in found]
    return ConvertReport(
        path=checkpoint.source.name,
        outputs=tuple(map(str, plan.files)),
        format=target.name,
        tensors=len(plan.kept),
        size=size,
        larger=_why_larger(checkpoint, plan.kept, target) if size > checkpoint.source.size else "",
        ties=aliases(plan.kept) if target.has_aliases else {},
        left_out=tuple(LeftOut(name, why) for name, why in plan.reasons.items()),
        others=_others(checkpoint, weights),
        warnings=crc_lines(_records(plan)),
        recipe=weights.recipe,
        removed=removed,
        notes=weights.notes,
        dtype=options.wanted.dtype,
        cast=sum(map(is_cast, plan.kept.values())),
        loss=sum((cast.loss for cast in casts), Loss()),
        wide=tuple(on_stretches(plan.kept, overflowing)),
        shared_prefix="" if is_renamed else plan.shared,
    )


def _others(checkpoint: Checkpoint, weights: Weights) -> tuple[str, ...]:
    """The top-level keys whose values have no tensors."""
    paths = sorted(f"{path}." for path in (*weights.tensors, *(change.path for change in weights.removed)))
    keys = checkpoint.top_level_keys if checkpoint.parts else []
    return tuple(key for key in keys if not _is_at_or_below(paths, key))


def _is_at_or_below(paths: list[str], key: str) -> bool:
    """Whether one of some sorted paths, each with a dot at its end, is at or below a key."""
    at = bisect_left(paths, f"{key}.")
    return at < len(paths) and paths[at].startswith(f"{key}.")


def _why_larger(checkpoint: Checkpoint, kept: Tensors, target: TargetFormat) -> str:
    """What accounts for an output that is larger than the input."""
    if checkpoint.compression:
        return "the input is compressed"
    if sum(tensor.nbytes for tensor in kept.values()) > checkpoint.source.size:
        return "the input is compressed, or its tensors share values, of which each gets its own"
    return f"around its tensors, a file in the format {target.name} has more than the input"


def _target(output: Path) -> TargetFormat:
    for target in TARGETS:
        if output.suffix.lower() in target.suffixes:
            return target
    known = ", ".join(suffix for target in TARGETS for suffix in target.suffixes)
    raise EditError(f"the suffix of {output} names no format to write, expected one of {known}")


def _unsupported(name: str, tensor: Tensor, target: TargetFormat) -> str:
    """Why a tensor is left out, or ""."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not valid Unicode text"
    return target.unsupported(name, tensor)


def _check_paths(files: Files, source: str, overwrite: bool) -> None:
    """Raise EditError if an output is the input, FileExistsError if it exists and may not be overwritten."""
    for path in files:
        check_not_input(path, source)
        check_overwrite(path, overwrite)


def _write(plan: ConvertPlan, source: Source, progress: Progress | None, options: ConvertOptions) -> list[str]:
    """Write all files; the last one is named last, since an index promises that all shards exist. Returns warnings.

    Raises Overflow, and leaves no file, where casts overflow.
    """
    files = plan.files
    counter = ByteCounter(progress, sum(payload.length for file in files.values() for payload in file.payloads))
    with new_files(list(files), source, overwrite=options.overwrite, sync=options.sync) as written:
        for file, output in zip(files.values(), written.outputs, strict=True):
            output.write(file, counter.add)
        casts = casts_of(plan.weights.edits)
        found = {name: {cast.origin for cast in some if cast.origin and cast.loss.overflowed} for name, some in casts.items()}
        if any(found.values()):
            raise Overflow(found)
    return written.warnings


def _records(plan: ConvertPlan) -> list[CheckedPayload]:
    """The records that were read, where they have a CRC."""
    storages = [one.storage for one in (*plan.kept.values(), *plan.weights.sources) if one.storage is not None]
    payloads = [held.payload() for held in storages if not held.base]
    read = [record for edit in plan.weights.edits for record in edit.read]
    return list({id(one): one for one in (*payloads, *read) if isinstance(one, CheckedPayload)}.values())
