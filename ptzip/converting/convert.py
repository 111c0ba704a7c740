"""`convert`: the tensors of a checkpoint, handed on in another format.

Rule: what is written, and what has no form and is left out, is known before a byte is; all files get their names at the end, or
none does.
"""

import contextlib
import errno
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.converting import npz_writer as npz
from ptzip.converting import safetensors_writer as safetensors
from ptzip.converting import state_dict_writer as statedict
from ptzip.converting.output_file import File
from ptzip.converting.report import ConvertReport, LeftOut
from ptzip.converting.selection import Tensors, chosen, ties, without_parts
from ptzip.converting.sidecar import side_file
from ptzip.errors import EditError
from ptzip.formats.torchzip_records import crc_lines
from ptzip.globs import Rename
from ptzip.io.atomic_output import new_file
from ptzip.io.payloads import CheckedPayload
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.tensors.tensor import Tensor


class Target(NamedTuple):
    """A format to write: the suffixes of its files, why a tensor of a name has no form in it, and its files.

    With `has_ties` a tensor is written once, whatever its names.
    """

    name: str
    suffixes: tuple[str, ...]
    refusal: Callable[[str, Tensor], str]
    planned: Callable[[Tensors, Path, int | None], list[File]]
    has_ties: bool = True


SHARDED = "safetensors"

TARGETS = (
    Target(SHARDED, (safetensors.SUFFIX,), safetensors.refusal, safetensors.planned),
    Target("npz", (npz.SUFFIX,), npz.refusal, npz.planned, has_ties=False),
    Target("state dict", statedict.SUFFIXES, statedict.refusal, statedict.planned),
)

Progress = Callable[[int, int], None]


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    select: Iterable[str] = (),
    renames: Sequence[Rename] = (),
    prefix: str = "",
    max_shard_size: int | None = None,
    sidecar: bool = False,
    strict: bool = False,
    overwrite: bool = False,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> ConvertReport:
    """Write the tensors of a checkpoint in the format that the suffix of `target` says: `.safetensors`, `.npz`, or `.pt`
    (`.pth`, `.bin`, `.ckpt`), a dict of tensors by their dotted names.

    `select` are globs of names, all by default; `renames` replaces prefixes of names, then
    `prefix` is prepended. `max_shard_size` (in bytes) makes several files, and an index, of safetensors.
    `sidecar` writes what is no tensor as JSON beside the output. With `strict` nothing is written where a tensor has no form in
    the new format. Raises PtzipError or OSError.
    """
    place, path = Path(target), Path(source)
    form = _target(place)
    largest = _largest(max_shard_size, form)
    with open_checkpoint(path, limits) as checkpoint:
        if checkpoint.parts:
            checkpoint.main.check_storages()
        found = checkpoint.tensors()
        kept, left_out = _sorted_out(chosen(found, tuple(select), renames, prefix), form)
        is_written = not (strict and left_out)
        files = _planned(checkpoint, kept, left_out, form, place, largest, sidecar) if is_written else []
        _check_places(files, path, overwrite)
        _write(files, path, progress)
        return ConvertReport(
            path=str(path),
            outputs=tuple(str(file.place) for file in files),
            format=form.name,
            tensors=len(kept),
            size=sum(file.content.size for file in files),
            ties=ties(kept) if form.has_ties else {},
            left_out=left_out,
            others=_others(checkpoint, found),
            warnings=crc_lines(_records(kept)),
        )


def _sorted_out(wanted: Tensors, form: Target) -> tuple[Tensors, tuple[LeftOut, ...]]:
    """The tensors that are written, and those that are left out."""
    left_out = tuple(LeftOut(name, why) for name, tensor in wanted.items() if (why := _refusal(name, tensor, form)))
    gone = {one.name for one in left_out}
    return without_parts({name: tensor for name, tensor in wanted.items() if name not in gone}), left_out


def _planned(
    checkpoint: Checkpoint,
    kept: Tensors,
    left_out: tuple[LeftOut, ...],
    form: Target,
    place: Path,
    largest: int | None,
    sidecar: bool,
) -> list[File]:
    """All files. Raises EditError where there is nothing to write."""
    if not kept:
        raise EditError(f"no tensor has a form in {form.name}: {left_out[0].name} is left out, since {left_out[0].why}")
    files = form.planned(kept, place, largest)
    return [*files, side_file(checkpoint, place)] if sidecar else files


def _target(place: Path) -> Target:
    for target in TARGETS:
        if place.suffix.lower() in target.suffixes:
            return target
    known = ", ".join(suffix for target in TARGETS for suffix in target.suffixes)
    raise ValueError(f"unknown output format of {place}: expected one of the suffixes {known}")


def _largest(size: int | None, form: Target) -> int | None:
    if size is not None and form.name != SHARDED:
        raise ValueError(f"max_shard_size is only possible for {SHARDED}, not for {form.name}")
    return size


def _refusal(name: str, tensor: Tensor, form: Target) -> str:
    """Why a tensor is left out, or ""."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not text"
    return form.refusal(name, tensor)


def _check_places(files: list[File], source: Path, overwrite: bool) -> None:
    """Raise EditError where the input would be written to, FileExistsError where something is there already."""
    for file in files:
        if file.place.exists() and file.place.samefile(source):
            raise EditError(f"the output {file.place} is the input itself")
        if not overwrite and os.path.lexists(file.place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(file.place))


def _write(files: list[File], source: Path, progress: Progress | None) -> None:
    """Write all files, the last of which is the last to get its name: an index says that all others are there."""
    done, total = 0, sum(file.content.size for file in files)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    with contextlib.ExitStack() as opened:
        descriptors = [opened.enter_context(new_file(file.place, like=source)) for file in reversed(files)]
        for file, descriptor in zip(files, reversed(descriptors), strict=True):
            file.content.write(descriptor, advance)


def _others(checkpoint: Checkpoint, found: Mapping[str, Tensor]) -> tuple[str, ...]:
    """The top-level keys under which there is no tensor."""
    keys = checkpoint.top_level_keys if checkpoint.parts else []
    return tuple(key for key in keys if key not in found and not any(name.startswith(f"{key}.") for name in found))


def _records(tensors: Tensors) -> list[CheckedPayload]:
    """The records that were read, as far as they have a CRC."""
    payloads = {
        id(held): held.payload() for tensor in tensors.values() if (held := tensor.storage) is not None and not held.base
    }
    return [payload for payload in payloads.values() if isinstance(payload, CheckedPayload)]
