"""Tars and zips of files, as NeMo, Stable-Baselines3 and torch.export write them, and the checkpoints among those files.

A file is a checkpoint if it begins as torch.save and safetensors begin theirs, whatever its name. Of several files with one
name the last counts, as for extraction.
"""

import copy
import zlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from ptzip.errors import CutError, FormatError
from ptzip.formats.container import Member, Part, ReadOnly
from ptzip.formats.signatures import CHECKPOINT_HEAD, TAR_BLOCK, begins_checkpoint
from ptzip.formats.tar import TarMember, plain_name
from ptzip.formats.torchzip import copied, entry_members
from ptzip.io.compression import DEFLATE, unpacked
from ptzip.io.payloads import BytesPayload, Payload, SequentialFile, SourcePayload
from ptzip.io.sources import Source, SourceFile, Window
from ptzip.limits import Limits
from ptzip.text import did_you_mean, listed
from ptzip.zip import writer
from ptzip.zip.reader import Archive, Entry
from ptzip.zip.structs import DEFLATED, STORED
from ptzip.zip.writer import Record, ZipLayout

if TYPE_CHECKING:
    import tarfile

TAR = "tar"


class Packed(NamedTuple):
    """A file in a collection: `source` has its bytes, deflated where `is_deflated`; inflated they are `size`."""

    source: Source
    size: int
    is_deflated: bool = False

    def opened(self, limits: Limits, name: str) -> Source:
        """The file of a name, to be closed by the caller. Raises FormatError or LimitError where it cannot be inflated."""
        return unpacked(self.source, DEFLATE, limits, name=name) if self.is_deflated else self.source

    def is_checkpoint(self) -> bool:
        length = min(CHECKPOINT_HEAD, self.size)
        if not self.is_deflated:
            return begins_checkpoint(self.source.read(0, length), self.size)
        try:
            return begins_checkpoint(DEFLATE.reader(SourceFile(self.source)).read1(max(length, 1)), self.size)
        except (zlib.error, EOFError):
            return False


class Rewrite(Protocol):
    """Plans the same collection with other files under some of its names."""

    def __call__(self, new: Mapping[str, Source]) -> SequentialFile | ZipLayout: ...


class Collection(ReadOnly):
    """One such file of `size` bytes, which has no pickle of its own; `checkpoints` are the files in it that are checkpoints,
    in their order.
    """

    parts: tuple[Part, ...] = ()

    def __init__(
        self,
        name: str,
        size: int,
        refusal: str,
        checkpoints: Mapping[str, Packed],
        members: tuple[Member, ...],
        rewrite: Rewrite,
        is_cut: bool = False,
    ) -> None:
        self.name = name
        self.size = size
        self.refusal = refusal
        self.checkpoints = checkpoints
        self.members = members
        self.with_files = rewrite
        self.is_cut = is_cut
        """Whether the end is missing, so that more files may have followed."""

    @property
    def only(self) -> str:
        """The name of the checkpoint where that is what the collection is for, else "": that in a program may be its inputs."""
        return next(iter(self.checkpoints)) if len(self.checkpoints) == 1 and not self.refusal else ""

    def opened(self, name: str, limits: Limits) -> Source:
        """A checkpoint, to be closed by the caller. Raises FormatError for a name that is not among them."""
        if name not in self.checkpoints:
            known = did_you_mean(name, self.checkpoints) or f", expected one of {listed([*self.checkpoints])}"
            raise FormatError(f"there is no checkpoint {name} in this {self.name}{known}")
        return self.checkpoints[name].opened(limits, name)


def of_tar(source: Source, found: Sequence[TarMember]) -> Collection:
    """The collection in a tar with these members. Raises FormatError where none of them is a checkpoint."""
    files = {plain_name(member): member for member in found if not member.link and isinstance(member.content, Window)}
    packed = {name: Packed(member.content, member.content.size) for name, member in files.items()}
    checkpoints = {name: one for name, one in packed.items() if one.is_checkpoint()}
    end = max((member.end for member in found), default=0)
    is_cut = source.size < end + TAR_BLOCK or any(source.read(end, TAR_BLOCK))
    if not checkpoints and is_cut:
        raise CutError("this is a tar that is cut off, and there is no checkpoint in what is left", source.size)
    if not checkpoints:
        raise FormatError("this is a tar, but not one of torch 0.1, and there is no checkpoint in it")
    members = tuple(Member(one.name, one.padding - one.content.size, one.content.size) for one in found if one.content.size)
    return Collection(TAR, source.size, "", checkpoints, members, lambda new: _rewritten_tar(source, files, new), is_cut)


def _rewritten_tar(source: Source, files: Mapping[str, TarMember], new: Mapping[str, Source]) -> SequentialFile:
    """The same bytes, but for the headers and the contents of some members."""
    payloads, at = list[Payload](), 0
    for name in sorted(new, key=lambda name: files[name].padding):
        member, content = files[name], new[name]
        assert member.info is not None
        header = _header(member.info, content.size)
        payloads += [SourcePayload(source, at, member.info.offset - at), BytesPayload(header)]
        payloads += [SourcePayload(content, 0, content.size), BytesPayload(bytes(-content.size % TAR_BLOCK))]
        at = member.padding + -member.padding % TAR_BLOCK
    return SequentialFile([*payloads, SourcePayload(source, at, source.size - at)])


def _header(info: "tarfile.TarInfo", size: int) -> bytes:
    """The headers of a member whose size is another one now."""
    import tarfile  # few files are tars

    changed = copy.copy(info)
    changed.size = size
    changed.pax_headers = {key: value for key, value in info.pax_headers.items() if key != "size"}
    return changed.tobuf(tarfile.PAX_FORMAT)


def of_zip(archive: Archive, name: str, refusal: str) -> Collection | None:
    """The collection in a zip of some kind; None where none of its entries is a checkpoint."""
    readable = {entry.name: entry for entry in archive.entries if entry.size and entry.method in (STORED, DEFLATED)}
    packed = {one: _packed(entry) for one, entry in readable.items()}
    checkpoints = {one: file for one, file in packed.items() if file.is_checkpoint()}
    if not checkpoints:
        return None
    return Collection(
        name, archive.source.size, refusal, checkpoints, entry_members(archive), lambda new: _rewritten_zip(archive, new)
    )


def _packed(entry: Entry) -> Packed:
    stored = entry.stored
    return Packed(Window(stored.source, stored.offset, stored.length), entry.size, entry.method == DEFLATED)


def _rewritten_zip(archive: Archive, new: Mapping[str, Source]) -> ZipLayout:
    """The same entries in their order; the contents of the others are copied as they are, deflated or not."""
    records = list[Record]()
    for entry in archive.entries:
        content = new.get(entry.name)
        records.append(copied(entry) if content is None else Record(entry.name, SourcePayload(content, 0, content.size)))
    return writer.plan(records)
