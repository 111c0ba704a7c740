"""`convert`: exports the tensors of a checkpoint to safetensors, npz or a plain state dict.

What is written, and what the target format cannot represent, is decided before any byte is written. All files get their final
names at the end, or none does.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.converting import npz_writer, safetensors_writer, state_dict_writer
from ptzip.converting.report import ConvertReport, LeftOut
from ptzip.converting.selection import Files, Tensors, aliases, select_tensors, without_components
from ptzip.converting.sidecar import sidecar_file
from ptzip.errors import EditError
from ptzip.globs import Rename
from ptzip.io.atomic_output import check_overwrite, new_files
from ptzip.io.payloads import ByteCounter, CheckedPayload, Progress
from ptzip.io.sources import Openable, Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.tensors.tensor import Tensor
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


def convert(
    source: Openable,
    output: str | os.PathLike[str],
    *,
    select: Iterable[str] = (),
    renames: Sequence[Rename] = (),
    prefix: str = "",
    max_shard_size: int | None = None,
    sidecar: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    sync: bool = True,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> ConvertReport:
    """Write the tensors of a checkpoint in the format that the suffix of `output` names; see `ptzip.convert`.

    `max_shard_size` is in bytes. With `strict`, nothing is written if the format cannot represent one of the tensors.
    Raises PtzipError or OSError.
    """
    output = Path(output)
    target = _target(output)
    if max_shard_size is not None and target is not SAFETENSORS:
        raise EditError(f"only {SAFETENSORS.name} files can be split into shards, and {output} would be {target.name}")
    with open_checkpoint(source, limits) as checkpoint:
        if checkpoint.parts:
            checkpoint.main.check_storages()
        found, keys = checkpoint.tensors(), checkpoint.top_level_keys if checkpoint.parts else []
        selected = select_tensors(found, tuple(select), renames, prefix)
        reasons = {name: why for name, tensor in selected.items() if (why := _unsupported(name, tensor, target))}
        kept = without_components({name: tensor for name, tensor in selected.items() if name not in reasons})
        files = Files()
        if not (strict and reasons):
            if not kept:
                name, why = next(iter(reasons.items()))
                raise EditError(f"{target.name} can represent none of the tensors: {name} is left out, since {why}")
            files = target.plan(kept, output, max_shard_size)
            if sidecar:
                files |= sidecar_file(checkpoint, output)
        _check_paths(files, Path(checkpoint.path) if checkpoint.path else None, overwrite)
        warnings = _write(files, checkpoint.source, progress, overwrite, sync)
        size = sum(file.size for file in files.values())
        return ConvertReport(
            path=checkpoint.source.name,
            outputs=tuple(map(str, files)),
            format=target.name,
            tensors=len(kept),
            size=size,
            larger=_why_larger(checkpoint, kept, target) if size > checkpoint.source.size else "",
            ties=aliases(kept) if target.has_aliases else {},
            left_out=tuple(LeftOut(name, why) for name, why in reasons.items()),
            others=tuple(key for key in keys if key not in found and not any(name.startswith(f"{key}.") for name in found)),
            warnings=(*crc_lines(_records(kept)), *warnings),
        )


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


def _check_paths(files: Files, source: Path | None, overwrite: bool) -> None:
    """Raise EditError if an output is the input, FileExistsError if it exists and may not be overwritten."""
    for path in files:
        if source and path.exists() and path.samefile(source):
            raise EditError(f"the output {path} is the input itself")
        check_overwrite(path, overwrite)


def _write(files: Files, source: Source, progress: Progress | None, overwrite: bool, sync: bool) -> list[str]:
    """Write all files; the last one is named last, since an index promises that all shards exist. Returns warnings."""
    counter = ByteCounter(progress, sum(payload.length for file in files.values() for payload in file.payloads))
    with new_files(list(files), source, overwrite=overwrite, sync=sync) as written:
        for file, output in zip(files.values(), written.outputs, strict=True):
            output.write(file, counter.add)
    return written.warnings


def _records(tensors: Tensors) -> list[CheckedPayload]:
    """The records that were read, where they have a CRC."""
    payloads = {
        id(held): held.payload() for tensor in tensors.values() if (held := tensor.storage) is not None and not held.base
    }
    return [payload for payload in payloads.values() if isinstance(payload, CheckedPayload)]
