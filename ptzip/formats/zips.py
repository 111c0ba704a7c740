"""Opening a zip by its records: that of torch.save, or one of another kind.

torch reads a file as a zip if it begins as one (`torch/serialization.py`, `_is_zipfile`), so a zip after other bytes is not
opened here either.
"""

import functools
from collections.abc import Collection
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.formats.collection import of_zip
from ptzip.formats.container import Container, Member, Part, ReadOnly, read_record
from ptzip.formats.torchzip import (
    PICKLE,
    VERSION,
    TorchZip,
    entry_members,
    finder,
    is_big_endian,
    prefix_of,
    records,
    storage_patterns,
)
from ptzip.io.payloads import CheckedPayload
from ptzip.io.sources import Source, Window, placed
from ptzip.limits import Limits
from ptzip.pickling.nodes import Call, Global, Pickle
from ptzip.tensors.torch_names import makes_tensor
from ptzip.zip.find_archives import zips_in_a_row
from ptzip.zip.reader import Archive, Entry, read_archive

SHARD = "DCP shard"
SEVERAL = "several torch.save zips in a row"
BUFFER = "archive/"
"""The folder of the records of a zip that torch.save wrote to something without a name."""

COMPILED = "__torch__."
"""The module of all classes of a TorchScript archive (`torch/jit`)."""

ARRAY = ".npy"
"""The suffix of every record of an npz."""


class ZipKind(NamedTuple):
    """A kind of zip that torch.save did not write: why it cannot be slimmed, and the records of which it has at least one.

    `is_packed`: what it holds are files, which are opened by name where they are checkpoints; `of_files` is then why those
    cannot be slimmed.
    """

    name: str
    refusal: str
    records: frozenset[str] = frozenset()
    is_packed: bool = False
    of_files: str = ""


TORCHSCRIPT = ZipKind(  # torch/jit
    "TorchScript archive",
    "a TorchScript archive: its code fixes dtypes, so it is not a checkpoint to slim",
    frozenset({"constants.pkl"}),
)
PACKAGE = ZipKind(  # torch/package
    "torch.package",
    "a torch.package: its pickles belong to its code, so it is not a checkpoint to slim",
    frozenset({".data/extern_modules", ".data/python_version"}),
)
EXPORTED = ZipKind(  # torch/export/pt2_archive, and before 2.6 `torch/export/__init__.py`, `save`
    "exported program (.pt2)",
    "an exported program (.pt2), not a checkpoint to slim",
    frozenset({"archive_format", "serialized_exported_program.json"}),
    is_packed=True,
    of_files="an exported program (.pt2), whose graph fixes the dtypes of its tensors: convert FILE::NAME exports them",
)
SB3 = ZipKind(  # stable_baselines3/common/save_util.py, `save_to_zip_file`
    "Stable-Baselines3 zip",
    "a zip of Stable-Baselines3 without networks",
    frozenset({"_stable_baselines3_version", "pytorch_variables.pth", "policy.optimizer.pth", "actor.optimizer.pth"}),
    is_packed=True,
)
NPZ = ZipKind("npz of numpy", "an npz of numpy, which holds arrays only: there is nothing to strip")
OTHER = ZipKind("zip of another program", "a zip, but not one of torch.save: it has no record data.pkl", is_packed=True)


def kind_of(records: Collection[str]) -> ZipKind | None:
    """The kind that one of the records, by lower-case names, is characteristic of; None for torch.save and any other."""
    return next((kind for kind in (TORCHSCRIPT, PACKAGE, EXPORTED, SB3) if not kind.records.isdisjoint(records)), None)


def is_compiled(pickle: Pickle) -> bool:
    """Whether a pickle is one of TorchScript, by the module of its classes: its zip may have lost the records that say so."""
    return any(isinstance(node, Global) and node.path.startswith(COMPILED) for node in pickle.calls)


class ForeignZip(ReadOnly):
    """A zip that torch.save did not write: TorchScript and torch.package have pickles, the others only records."""

    def __init__(self, archive: Archive, prefix: str, kind: ZipKind, limits: Limits) -> None:
        self.archive = archive
        self.prefix = prefix
        self.kind = kind
        self.limits = limits
        self.name, self.refusal = kind.name, f"this is {kind.refusal}"

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        if self.kind not in (TORCHSCRIPT, PACKAGE):
            return ()
        found = records(self.archive, self.prefix)
        pickles = {name: entry for name, entry in found.items() if name.endswith(".pkl") and not name.startswith(".data/")}
        order = sorted(pickles, key=lambda name: (name != PICKLE, pickles[name].header_offset))
        return tuple(self._part(name, found) for name in order)

    def _part(self, name: str, found: dict[str, Entry]) -> Part:
        record = found[name].checked
        stored = finder(storage_patterns(name), found)
        return Part(f"record {name}", read_record(record, self.limits), stored, is_big_endian(found), record)

    @property
    def arrays(self) -> dict[str, CheckedPayload]:
        """The records of an npz by the names of their arrays; none of any other zip."""
        entries = self.archive.entries if self.kind is NPZ else ()
        return {entry.name.removesuffix(ARRAY): entry.checked for entry in entries}

    @property
    def members(self) -> tuple[Member, ...]:
        return entry_members(self.archive)


class Shard(ReadOnly):
    """Several zips in a row, as torch.distributed.checkpoint writes them: to buffers, so that all are named `archive`, and
    each of one tensor or a value (`torch/distributed/checkpoint/filesystem.py`, `_write_item`). Others were put together.
    """

    def __init__(self, zips: tuple[Container, ...], starts: tuple[int, ...]) -> None:
        self.zips = zips
        self.starts = starts
        self.is_of_torch = all(one.members[0].name.startswith(BUFFER) for one in zips) and any(map(_is_item, self.parts))
        self.name = SHARD if self.is_of_torch else SEVERAL
        self.refusal = f"this is {OF_TORCH if self.is_of_torch else self.in_a_row}"

    @property
    def in_a_row(self) -> str:
        """What the file is where torch did not put the zips together, and how to take them apart."""
        what = f"{len(self.zips)} files of torch.save in a row"
        return f"{what}, of which torch reads one at most: cut the file at byte {self.starts[1]:,}"

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        found = [part for container in self.zips for part in container.parts]
        for number, part in enumerate(found, 1):
            part.name = f"zip {number}"
        return tuple(found)

    @property
    def members(self) -> tuple[Member, ...]:
        pairs = zip(self.zips, self.starts, strict=True)
        return tuple(
            member._replace(name=f"zip {number}: {member.name}", offset=start + member.offset)
            for number, (container, start) in enumerate(pairs, 1)
            for member in container.members
        )


OF_TORCH = (
    "a shard of torch.distributed.checkpoint, whose tensors have their names and offsets in the file .metadata: "
    "slim the folder of both"
)


def _is_item(part: Part) -> bool:
    """Whether a zip holds a tensor alone, or something without tensors."""
    root = part.pickle.root
    return (isinstance(root, Call) and makes_tensor(root.path)) or not part.pickle.persistents


def read(source: Source, limits: Limits) -> Container:
    """Open the zip in `source`, or the zips that follow one another in it."""
    zips, before = zips_in_a_row(source)
    if before or not zips:
        raise FormatError("this is a zip that is cut off, or that other bytes precede: `ptzip verify` says more")
    if len(zips) == 1:
        return _read_one(source, limits)
    starts = [one.offset if isinstance(one, Window) else 0 for one in zips]
    return Shard(tuple(_read_one(one, limits) for one in zips), tuple(starts))


def _read_one(source: Source, limits: Limits) -> Container:
    with placed(source):
        archive = read_archive(source, limits)
    if not archive.entries:
        raise FormatError("this is an empty zip")
    first = archive.entries[0].name
    prefix = prefix_of(first)
    found = records(archive, prefix)
    kind = kind_of(found.keys())
    if all(entry.name.endswith(ARRAY) for entry in archive.entries):
        kind = NPZ
    if kind is None and PICKLE in found:
        container: Container = TorchZip(archive, prefix, limits)
    elif kind is None and VERSION in found:
        raise FormatError(f"this is a zip, but not one of torch.save: it has no record {PICKLE}, only {first} and others")
    else:
        container = _foreign(archive, prefix, kind or OTHER, limits)
    _ = container.parts  # read now, so that a broken file raises when it is opened
    return container


def _foreign(archive: Archive, prefix: str, kind: ZipKind, limits: Limits) -> Container:
    """A zip that torch.save did not write: a collection, where it packs files of torch.save."""
    refusal = f"this is {kind.of_files}" if kind.of_files else ""
    packed = of_zip(archive, kind.name if kind is not OTHER else "zip", refusal) if kind.is_packed else None
    return packed or ForeignZip(archive, prefix, kind, limits)
