"""Opening a zip by its records: that of torch.save, or one of another kind.

torch reads a file as a zip if it begins as one (`torch/serialization.py`, `_is_zipfile`), so a zip after other bytes is not
opened here either.
"""

import functools

from ptzip.errors import FormatError
from ptzip.formats.container import Container, Member, Part, ReadOnly, read_record
from ptzip.formats.torchzip import (
    PICKLE,
    VERSION,
    TorchZip,
    checked,
    entry_members,
    finder,
    is_big_endian,
    prefix_of,
    records,
    storage_patterns,
)
from ptzip.io.payloads import CheckedPayload
from ptzip.io.sources import Source, Window
from ptzip.limits import Limits
from ptzip.zip.find_archives import zips_in
from ptzip.zip.reader import Archive, Entry, read_archive

TORCHSCRIPT, PACKAGE, EXPORTED, SHARD = "TorchScript archive", "torch.package", "exported program (.pt2)", "DCP shard"
NPZ, OTHER = "npz of numpy", "zip of another program"

REFUSALS = {
    TORCHSCRIPT: "a TorchScript archive: its code fixes dtypes, so it is not a checkpoint to slim",
    PACKAGE: "a torch.package: its pickles belong to its code, so it is not a checkpoint to slim",
    NPZ: "an npz of numpy, which holds arrays only: there is nothing to strip",
    EXPORTED: "an exported program (.pt2), not a checkpoint to slim",
    OTHER: "a zip, but not one of torch.save: it has no record data.pkl",
}
"""Why each kind cannot be slimmed."""

ARRAY = ".npy"
"""The suffix of every record of an npz."""

MARKS = (
    ("constants.pkl", TORCHSCRIPT),
    (".data/extern_modules", PACKAGE),
    (".data/python_version", PACKAGE),
    ("archive_format", EXPORTED),
)
"""The records by which a kind is recognised (`torch/jit`, `torch/package`, `torch/export/pt2_archive`)."""


class ForeignZip(ReadOnly):
    """A zip that torch.save did not write: TorchScript and torch.package have pickles, the others only records."""

    def __init__(self, archive: Archive, prefix: str, name: str, refusal: str, limits: Limits) -> None:
        self.archive = archive
        self.prefix = prefix
        self.name = name
        self.refusal = refusal
        self.limits = limits

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        if self.name not in (TORCHSCRIPT, PACKAGE):
            return ()
        found = records(self.archive, self.prefix)
        pickles = {name: entry for name, entry in found.items() if name.endswith(".pkl") and not name.startswith(".data/")}
        order = sorted(pickles, key=lambda name: (name != PICKLE, pickles[name].header_offset))
        return tuple(self._part(name, found) for name in order)

    def _part(self, name: str, found: dict[str, Entry]) -> Part:
        record = checked(found[name])
        return Part(
            f"record {name}",
            read_record(record, self.limits),
            finder(storage_patterns(name), found),
            is_big_endian(found),
            record,
        )

    @property
    def arrays(self) -> dict[str, CheckedPayload]:
        """The records of an npz by the names of their arrays; none of any other zip."""
        entries = self.archive.entries if self.name == NPZ else ()
        return {entry.name.removesuffix(ARRAY): checked(entry) for entry in entries}

    @property
    def members(self) -> tuple[Member, ...]:
        return entry_members(self.archive)


class Shard(ReadOnly):
    """Several zips in a row, as torch.distributed.checkpoint writes them; each holds one tensor."""

    def __init__(self, zips: tuple[Container, ...], starts: tuple[int, ...]) -> None:
        self.zips = zips
        self.starts = starts

    name = SHARD
    refusal = "this is a shard of torch.distributed.checkpoint: its offsets are kept in another file, so it cannot be slimmed"

    @functools.cached_property
    def parts(self) -> tuple[Part, ...]:
        return tuple(part for container in self.zips for part in container.parts)

    @property
    def members(self) -> tuple[Member, ...]:
        pairs = zip(self.zips, self.starts, strict=True)
        return tuple(
            member._replace(offset=start + member.offset) for container, start in pairs for member in container.members
        )


def read(source: Source, limits: Limits) -> Container:
    """Open the zip in `source`, or the zips that follow one another in it."""
    zips, before = zips_in(source)
    if before:
        raise FormatError("this file ends as a zip, but what comes before it is not one")
    if len(zips) == 1:
        return _read_one(source, limits)
    starts = [one.offset if isinstance(one, Window) else 0 for one in zips]
    return Shard(tuple(_read_one(one, limits) for one in zips), tuple(starts))


def _read_one(source: Source, limits: Limits) -> Container:
    archive = read_archive(source, limits)
    if not archive.entries:
        raise FormatError("this is an empty zip")
    first = archive.entries[0].name
    prefix = prefix_of(first)
    found = records(archive, prefix)
    kind = next((kind for name, kind in MARKS if name in found), None)
    if all(entry.name.endswith(ARRAY) for entry in archive.entries):
        kind = NPZ
    if kind is None and PICKLE in found:
        container: Container = TorchZip(archive, prefix, limits)
    elif kind is None and VERSION in found:
        raise FormatError(f"this is a zip, but not one of torch.save: it has no record {PICKLE}, only {first} and others")
    else:
        container = ForeignZip(archive, prefix, kind or OTHER, f"this is {REFUSALS[kind or OTHER]}", limits)
    _ = container.parts  # read now, so that a broken file raises when it is opened
    return container
