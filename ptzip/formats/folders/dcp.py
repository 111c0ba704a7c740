"""torch.distributed.checkpoint: an index, `.metadata`, and files `__{rank}_{n}.distcp` of items that it names.

Each item is a stream of torch.save of its own, a box of a tensor or a value, at an offset and a length
(`distributed/checkpoint/filesystem.py`). The object is what `dcp_to_torch_save` makes of them (`format_utils.py`): a value has
the path in `planner_data`, or its name as a key.
"""

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from ptzip.errors import FormatError, PtzipError, UnsupportedError
from ptzip.formats import zips
from ptzip.formats.container import Part
from ptzip.formats.folders.assembly import Assembly, Fact, Folder, Tree
from ptzip.formats.folders.dcp_index import INDEX, OWN_INDEX, UNFINISHED, Chunk, Index, Place, TensorEntry, read_index
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pieces import Piece, Stored
from ptzip.formats.torchzip import TorchZip
from ptzip.io.compression import COMPRESSIONS, unpacked
from ptzip.io.folders import MOST_OPEN, FolderSource
from ptzip.io.sources import CHUNK, Source, Window
from ptzip.limits import Limits
from ptzip.pickling.nodes import Node
from ptzip.tensors.references import parameter_arguments, plain_tensor

NAME = "torch.distributed.checkpoint folder"
SHARD = ".distcp"
RANK = re.compile(r"__(\d+)_\d+\.distcp")
BEGINNING = 512
MODULE = b"torch.distributed.checkpoint"
"""The module of the class of the index, which its first `BEGINNING` bytes name."""

ZSTD = "stream.zstd/1"
"""The only transform of a stream that torch has itself (`_extension.py`)."""


def files(listing: Listing) -> list[str] | None:
    """The files of such a folder, the index first; None where it is no such folder."""
    shards = [name for name in listing.names if name.endswith(SHARD)]
    whole = [INDEX] if INDEX in listing.names and MODULE in listing.head(INDEX, BEGINNING) else []
    indexes = whole or [name for name in listing.names if OWN_INDEX.fullmatch(name)]
    unfinished = [name for name in listing.names if name == UNFINISHED]
    if (not shards and not whole) or not listing.is_about(*indexes):
        return None
    return [*indexes, *shards, *unfinished]


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where the index is missing or broken, or where it and the files do not agree."""
    assembly = Assembly()
    tree, index = object_of(source, "", assembly, limits)
    return assembly.folder(NAME, source, tree.node(), limits, facts(source, index))


def facts(source: FolderSource, *indexes: Index) -> Iterator[Fact]:
    """What there is to know of a folder with some indexes."""
    ranks = {found[1] for name in source.files if (found := RANK.fullmatch(name.rpartition("/")[2]))}
    yield Fact("processes", str(len(ranks)))
    tensors = [one for index in indexes for one in index.values.values() if one is not None]
    yield Fact("pieces", f"{sum(len(one.chunks) for one in tensors):,} of {len(tensors):,} tensors")


def object_of(
    source: FolderSource, below: str, assembly: Assembly, limits: Limits, is_left: Callable[[str], object] = lambda name: False
) -> tuple[Tree, Index]:
    """The object of the folder, or of the one `below` it ("" or a path with its slash), and its index.

    What has a name that `is_left` stays out of the object.
    """
    index = read_index(source, below, limits)
    tree, reader = Tree(), ItemReader(source, below, limits)
    for name, entry in index.values.items():
        if is_left(name):
            continue
        node = reader.value(name, index, assembly) if entry is None else reader.tensor(name, entry, index, assembly)
        tree.put(index.paths.get(name, (name,)), node)
    return tree, index


# The items


class ItemReader(NamedTuple):
    """Opens the items of a folder, or of one `below` it."""

    source: FolderSource
    below: str
    limits: Limits

    def tensor(self, name: str, entry: TensorEntry, index: Index, assembly: Assembly) -> Node:
        pieces = [self._piece(name, entry.dtype, chunk, index) for chunk in entry.chunks]
        return assembly.tensor(self.below + name, entry.dtype, entry.shape, [piece for piece in pieces if piece.numel])

    def _piece(self, name: str, dtype: str, chunk: Chunk, index: Index) -> Piece:
        place = index.places.get((name, chunk.offsets))
        if place is None:
            if 0 in chunk.sizes:
                return Piece(chunk.offsets, chunk.sizes, _no_elements, "")
            raise FormatError(
                f"the index of this folder has no place for the elements of tensor {name} from {list(chunk.offsets)}"
            )
        where = f"{self.below}{place.file} at byte {place.offset}"
        find = functools.partial(self._stored, name, dtype, chunk.sizes, place)
        return Piece(chunk.offsets, chunk.sizes, find, where)

    def value(self, name: str, index: Index, assembly: Assembly) -> Node:
        """A value that is no tensor, as it was saved."""
        place = index.places.get((name, ()))
        if place is None:
            raise FormatError(f"the index of this folder has no place for {name}")
        return assembly.graft(self._item(name, place), self.below + name)

    def _stored(self, name: str, dtype: str, sizes: tuple[int, ...], place: Place) -> Stored:
        """The elements of an item that has to be a tensor of a dtype and a shape."""
        part = self._item(name, place)
        root = part.root
        inner = parameter_arguments(root)
        found = plain_tensor(inner[0] if inner else root)
        if found is None:
            raise FormatError(
                f"{part.name} is no plain tensor, as {INDEX} says: the file belongs to another checkpoint, or only torch can "
                "gather it"
            )
        if (found.dtype, found.shape) != (dtype, sizes):
            has, expected = f"{found.dtype} {list(found.shape)}", f"{dtype} {list(sizes)}"
            raise FormatError(f"{part.name} is {has}, but {INDEX} says {expected}: the file belongs to another checkpoint")
        part.check_storages()
        payload = part.stored(found.storage.key)
        payload.name = part.name
        return Stored(payload, found.offset, found.stride)

    def _item(self, name: str, place: Place) -> Part:
        """The stream of torch.save at a place."""
        what = f"item {name} of {place.file}"
        path = self.below + place.file
        content: Source = Window(self.source.files[path], place.offset, place.length)
        try:
            if place.transforms:
                unpack = functools.partial(self._unpacked, what, content, place.transforms)
                content = self.source.packed(path, what, unpack)
            container = zips.read(content, self.limits)
        except FormatError as error:
            raise _other_checkpoint(what, place, error) from error
        if not isinstance(container, TorchZip):
            raise FormatError(f"{what} at byte {place.offset} is a {container.name}, expected a torch.save zip")
        part = container.parts[0]
        part.name = what
        return part

    def _unpacked(self, what: str, content: Source, transforms: Sequence[str]) -> Source:
        kind = next(kind for kind in COMPRESSIONS if kind.name == "zstd")
        for transform in transforms:
            if transform != ZSTD:
                raise UnsupportedError(f"{what} is packed by {transform!r}, expected {ZSTD}: let torch gather this folder")
            content = unpacked(content, kind, self.limits, name=what, in_memory=CHUNK // MOST_OPEN)
        return content


def _other_checkpoint(what: str, place: Place, error: PtzipError) -> FormatError:
    message = f"{what} at byte {place.offset} is no file of torch.save ({error.message})"
    return FormatError(f"{message}: the file is damaged, or belongs to another checkpoint")


def _no_elements() -> Stored:
    raise AssertionError("a piece without elements is not read")
