"""What a file contains, opened as a loader opens it: pickles that fit their storages, offsets that torch computes, and what
loads the file.

Faults of the file are problems; only errors that are not the file's fault are raised.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ptzip.allowlist.needs import needs_of, since_torch
from ptzip.allowlist.table import WEIGHTS_ONLY_NAMES, WEIGHTS_ONLY_OPCODES
from ptzip.checkpoint import Checkpoint
from ptzip.errors import CutError, FormatError, PickleError, Problem, ProblemKind, PtzipError
from ptzip.formats.container import Container
from ptzip.formats.signatures import SAFETENSORS_LENGTH, is_legacy
from ptzip.formats.torchzip import FORMAT_VERSION, TorchZip
from ptzip.formats.torchzip_layout import computed_layout
from ptzip.io.payloads import ByteCounter
from ptzip.io.sources import Source, Window
from ptzip.io.urls import MEMBER_MARK
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom, Global, walk_unordered
from ptzip.tensors.torch_names import DATED
from ptzip.verifying.report import Loading, NonFinite, VerifyReport
from ptzip.zip.find_archives import does_miniz_find
from ptzip.zip.structs import END_SIZE, STORED

if TYPE_CHECKING:
    from ptzip.formats.bare import Bare
    from ptzip.formats.collection import Collection
    from ptzip.formats.safetensors import SafeTensors

ZIP_SINCE = (1, 6)
"""The first release of torch that reads and writes zips."""


OfMember = Callable[[Source], VerifyReport]


def checked_contents(
    source: Source, report: VerifyReport, values: ByteCounter | None, limits: Limits, of_member: OfMember
) -> VerifyReport:
    """The report with the format, the problems of the contents and what loads the file.

    `values` counts the bytes of tensors that are searched for NaN and infinity; None if they are not. `of_member` reports on a
    checkpoint in a tar or zip of files.
    """
    try:
        with Checkpoint(Window(source, 0, source.size), limits, is_whole=True) as checkpoint:
            if checkpoint.collection is not None:
                return _of_collection(checkpoint, checkpoint.collection, report, of_member)
            problems = tuple(_problems(checkpoint))
            warnings = tuple(_moved_storages(checkpoint.container))
            found = report._replace(format=checkpoint.format, problems=problems, warnings=warnings)
            if problems:
                return found
            numbers = tuple(non_finite(checkpoint, values)) if values else ()
            return found._replace(loading=_loading(checkpoint) if checkpoint.parts else None, numbers=numbers)
    except FormatError as error:
        if isinstance(error, CutError) and is_legacy(source):
            from ptzip.verifying.truncation import truncated_stream  # here, since few files are cut off

            with contextlib.suppress(FormatError):
                problem, rest = truncated_stream(source, limits)
                return report._replace(problems=(problem,), rest=rest)
        kind: ProblemKind = "cut" if isinstance(error, CutError) else "pickle" if isinstance(error, PickleError) else "header"
        return report._replace(problems=(Problem(kind, "", error.message, error.offset, error.inside),))


def _of_collection(checkpoint: Checkpoint, collection: "Collection", report: VerifyReport, of_member: OfMember) -> VerifyReport:
    """The report on all checkpoints in a tar or zip of files."""
    message = f"it is cut off: the end of the {collection.name} is missing, so more files may have followed"
    problems = (Problem("cut", "", message, collection.size),) if collection.is_cut else ()
    found = report._replace(format=collection.name, problems=problems)
    for name in collection.checkpoints:
        with checkpoint.taken(name) as source:
            inner = of_member(source)
        at = f"{name}{MEMBER_MARK}"
        if collection.only:
            found = found._replace(format=f"{inner.format}, {name} in a {collection.name}", rest=inner.rest)
        found = found._replace(
            problems=found.problems + tuple(one._replace(place=at + one.place) for one in inner.problems),
            warnings=found.warnings + tuple(one._replace(place=at + one.place) for one in inner.warnings),
            records=found.records + inner.records,
            unchecked=found.unchecked + tuple(at + one for one in inner.unchecked),
            numbers=found.numbers + tuple(one._replace(name=at + one.name) for one in inner.numbers),
        )
    return found


def _problems(checkpoint: Checkpoint) -> Iterator[Problem]:
    container = checkpoint.container
    for part in checkpoint.parts if container.refusal == "" else checkpoint.parts[:1]:
        try:
            part.check_storages()
        except FormatError as error:
            yield Problem(
                "cut" if isinstance(error, CutError) else "pickle", part.name, error.message, error.offset, error.inside
            )
    if isinstance(container, TorchZip):
        yield from _misplaced_entries(container)
        yield from _unreachable_end(container)
        return
    from ptzip.formats.bare import Bare  # here and below, since most checkpoints are zips
    from ptzip.formats.safetensors import SafeTensors  # as above
    from ptzip.formats.zips import Shard

    if isinstance(container, Shard) and not container.is_of_torch:
        yield Problem("layout", "", f"these are {container.in_a_row}", container.starts[1])
    if isinstance(container, Bare):
        yield from _after_pickles(container)
    if not checkpoint.parts:
        problems = list(_uncovered(container)) if isinstance(container, SafeTensors) else []
        yield from problems
        if not problems:
            checkpoint.tensors()  # raises FormatError for faults of the headers


def _after_pickles(container: "Bare") -> Iterator[Problem]:
    """Bytes after the last pickle, as in a legacy stream whose first pickle lost its magic number."""
    end = container.parts[-1].pickle.end
    size = sum(member.size for member in container.members if member.offset >= end)
    if size:
        yield Problem("layout", "", f"{size:,} bytes after the last pickle are not a pickle", end)


def _uncovered(container: "SafeTensors") -> Iterator[Problem]:
    """Bytes that a safetensors file lacks or has in excess, by the offsets in its header, as far as that is readable."""
    import json  # here, since few files have such a header

    size, start = container.source.size, SAFETENSORS_LENGTH.size
    with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, FormatError):
        header = json.loads(container.source.read(start, container.start - start))
        stops = [int(tensor["data_offsets"][1]) for name, tensor in header.items() if name != "__metadata__"]
        expected = container.start + max(stops, default=0)
        if size < expected:
            yield Problem("cut", "", f"it is cut off: {expected - size:,} of {expected:,} bytes are missing", size)
        if size > expected:
            message = f"{size - expected:,} bytes follow the last tensor, which safetensors refuses"
            yield Problem("layout", "", message, expected)


def _misplaced_entries(container: TorchZip) -> Iterator[Problem]:
    """Entries outside the archive's folder, and entries of the same name."""
    seen = set[str]()
    for entry in container.archive.entries:
        message, name = "", entry.name.lower()
        if not entry.name.startswith(container.prefix):
            message = f"it is outside the folder {container.prefix}, which torch refuses"
        elif name in seen:
            message = "there are two records of this name, and readers differ in which one they read"
        if message:
            yield Problem("layout", entry.name, message, entry.header_offset)
        seen.add(name)


def _unreachable_end(container: TorchZip) -> Iterator[Problem]:
    """An end record that torch's search misses, of a small file with bytes behind it."""
    archive = container.archive
    size, end = archive.source.size, archive.end_offset
    if not does_miniz_find(end, size):
        after = size - end - END_SIZE - len(archive.end.comment)
        message = f"{after:,} bytes follow the end of the zip, and torch does not find it behind so many in a file of this size"
        yield Problem("layout", "", message, end)


def _moved_storages(container: Container) -> Iterator[Problem]:
    """The first record that is not at the offset that torch computes, which matters only with `calculate_storage_offsets`.

    The record `.format_version` announces that offsets can be computed; with that option torch then reads storages where its
    writer would have put them (`torch/serialization.py`, `_get_offset`).
    """
    if not isinstance(container, TorchZip) or FORMAT_VERSION not in container.records:
        return
    for entry, placed in zip(container.archive.entries, computed_layout(container).placed, strict=True):
        if entry.data_offset != placed.data_offset:
            message = f"it begins at byte {entry.data_offset:,}, but torch computes {placed.data_offset:,}"
            yield Problem("layout", entry.name, f"{message} where calculate_storage_offsets is set", entry.data_offset)
            return


def _loading(checkpoint: Checkpoint) -> Loading | None:
    """What loads a file without problems; None where torch.save did not write it."""
    container = checkpoint.container
    is_zip = isinstance(container, TorchZip)
    if not is_zip:
        from ptzip.formats.legacy import Legacy  # as above

        if not isinstance(container, Legacy):
            return None
    names = {node.path for node in checkpoint.pickle.calls if isinstance(node, Global)}
    blocked = tuple(sorted(names - WEIGHTS_ONLY_NAMES))
    has_other_opcodes = any(
        isinstance(node, Atom) and node.op not in WEIGHTS_ONLY_OPCODES for node in walk_unordered(checkpoint.root)
    )
    needed = [row.since for row in DATED if row.path in names and row.since] + ([ZIP_SINCE] if is_zip else [])
    is_mappable = isinstance(container, TorchZip) and all(entry.method == STORED for entry in container.archive.entries)
    others = tuple(one for one in needs_of(checkpoint.pickle) if one.what not in map(since_torch, needed))
    return Loading(max(needed, default=None), is_mappable, not blocked and not has_other_opcodes, blocked, others)


def non_finite(checkpoint: Checkpoint, counter: ByteCounter) -> Iterator[NonFinite]:
    """The tensors with NaN or infinite values."""
    from ptzip.tensors.statistics import statistics  # here, since only --values needs numpy
    from ptzip.tensors.tensor import check_overlaps, check_values  # here, with it

    tensors = checkpoint.tensors()
    check_overlaps(tensors.values())
    check_values(tensors.values())
    counter.expect(sum(tensor.nbytes for tensor in tensors.values()))
    for name, tensor in tensors.items():
        counter.add(tensor.nbytes)
        try:
            found = statistics(tensor)
        except PtzipError:  # quantized and packed values are never NaN
            continue
        if found.nans or found.infinities:
            yield NonFinite(name, found.nans, found.infinities)
