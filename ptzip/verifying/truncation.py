"""A file that was cut off, as an interrupted download or save leaves it: a zip has no directory, but the pickle comes first.

What is missing is computed from the pickle, which determines where torch puts every record. Each record of a zip that begins
before the end of the file is looked for at its offset, so that nothing is computed for files of other programs.
"""

from collections.abc import Set

from ptzip.errors import FormatError, Problem
from ptzip.formats.container import Part, nothing_stored
from ptzip.formats.legacy import read_cut
from ptzip.formats.torchzip import PICKLE, STORAGES, VERSION, prefix_of
from ptzip.formats.torchzip_layout import expected_layout, header_at
from ptzip.formats.zips import is_compiled
from ptzip.io.sources import Source
from ptzip.limits import Limits
from ptzip.pickling.reader import read_seen
from ptzip.values.builder import build
from ptzip.values.tensor_names import named_tensors
from ptzip.verifying.report import Rest
from ptzip.zip import structs
from ptzip.zip.header_search import local_at
from ptzip.zip.writer import ZipLayout

MOST_FILES = 8
"""How many names of files a message has."""

UNKNOWN = "how much is missing cannot be computed"
REPAIRABLE = f"{UNKNOWN} (`ptzip repair` recovers what is there)"


def truncated(source: Source, limits: Limits) -> tuple[Problem, Rest | None]:
    """The problem of a zip without a directory, and what remains of it where that can be computed.

    Raises FormatError where there is no local header at the beginning.
    """
    local = header_at(source, 0)
    if local is None:
        raise FormatError("the first local header is incomplete", 0)
    prefix = prefix_of(local.name)
    if local.name.lower() != (prefix + PICKLE).lower():
        return _cut(_whole_files(source), source.size), None
    if local.method != structs.STORED:
        return _cut(f"its records are compressed, so {REPAIRABLE}", source.size), None
    pickle = read_seen(source.whole(), local.data, limits)
    if pickle.root is None:
        message = f"inside its pickle, of which {max(source.size - local.data, 0):,} bytes are there"
        return Problem("cut", local.name, f"it is cut off {message}", local.data), None
    if is_compiled(pickle):
        return _cut(f"it is a TorchScript archive, so {UNKNOWN}", source.size), None
    part = Part(f"record {PICKLE}", pickle, nothing_stored)
    layout = expected_layout(source, local.name, local.data, pickle.end, part)
    if not _is_followed(source, layout, local.data):
        return _cut(f"it was not laid out by torch, so {REPAIRABLE}", source.size), None
    return _measured(source, layout, part, prefix, limits)


def _whole_files(source: Source) -> str:
    """Which files are there of a zip that is not of torch.save, by the lengths in their local headers."""
    names, at = list[str](), 0
    while (local := header_at(source, at)) is not None:
        if local.length is None:
            return f"inside or after {local.name}; before it are {len(names)} whole files"
        at = local.data + local.length
        if at > source.size:
            return f"{at - source.size:,} bytes of {local.name} are missing; before it are {len(names)} whole files"
        names.append(local.name)
    return f"its central directory is not complete; before it are {len(names)} whole files ({', '.join(names[:MOST_FILES])})"


def _cut(message: str, offset: int) -> Problem:
    return Problem("cut", "", f"it is cut off: {message}", offset)


def _is_followed(source: Source, layout: ZipLayout, pickle_offset: int) -> bool:
    """Whether the pickle and every record that begins in the file are where torch puts them."""
    if layout.placed[0].data_offset != pickle_offset:
        return False
    for placed in layout.placed:
        local = local_at(source, placed.offset) if placed.data_offset <= source.size else None
        if local is not None and local.name != placed.record.name:
            return False
    return True


def _measured(source: Source, layout: ZipLayout, part: Part, prefix: str, limits: Limits) -> tuple[Problem, Rest | None]:
    """What is there and what is missing of a file that follows a layout of torch."""
    ends = {placed.record.name: placed.data_offset + placed.record.payload.length for placed in layout.placed}
    missing = max(layout.size - source.size, 0)
    end = source.whole().rfind(structs.END_SIGNATURE, max(ends.values()))
    if not missing and 0 <= end <= source.size - structs.END_SIZE:
        message = "the end of central directory record is further from the end of the file than a comment can be long"
        return Problem("header", "", message, end), None
    first = next(placed for placed in layout.placed if placed.record.name.startswith((prefix + STORAGES, prefix + VERSION)))
    if not missing:
        message = "it is cut off: all storages are there, but the central directory is not complete"
    elif first.data_offset > source.size:  # the records before it depend on the version of torch
        where = "before its first storage" if part.storages else "after its pickle"
        message = f"it is cut off {where}: at least {missing:,} bytes are missing"
    else:
        message = f"it is cut off: {missing:,} of {layout.size:,} bytes are missing"
    there = {key for key in part.storages if ends[f"{prefix}{STORAGES}{key}"] <= source.size}
    return Problem("cut", "", message, source.size), _rest(missing, part, there, limits)


def truncated_stream(source: Source, limits: Limits) -> tuple[Problem, Rest]:
    """The problem of a legacy stream that was cut off, and what remains of its first object.

    Raises FormatError where that is cut off itself, or its storages are complete.
    """
    part, there, missing, is_exact = read_cut(source, limits)
    if not missing:
        raise FormatError("the first object is complete")
    count = (
        f"{missing:,} of {source.size + missing:,} bytes are missing" if is_exact else f"at least {missing:,} bytes are missing"
    )
    problem = Problem("cut", "", f"it is cut off: {count}", source.size)
    return problem, _rest(missing, part, there.keys(), limits)


def _rest(missing: int, part: Part, there: Set[str], limits: Limits) -> Rest:
    """The tensors whose storages are all there, and the others."""
    tensors = named_tensors(build(part, unknown="keep", limits=limits), limits.paths)
    missing_keys = part.storages.keys() - there
    is_whole = {name: tensor.storage_keys.isdisjoint(missing_keys) for name, tensor in tensors.items()}
    whole, lost = (tuple(name for name in is_whole if is_whole[name] == wanted) for wanted in (True, False))
    return Rest(missing, whole, lost)
