"""torch.distributed.checkpoint: `.metadata`, a pickle that says where each box of each tensor is, and `__{rank}_{n}.distcp`.

Each item in those is a stream of torch.save of its own, at an offset and a length (`distributed/checkpoint/filesystem.py`,
`metadata.py`). The object is what `dcp_to_torch_save` makes of it (`format_utils.py`): a value has the path in `planner_data`,
or its name as a key. Ranks that saved without collectives have an index each, `__{rank}.metadata`.
"""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ptzip.errors import CutError, FormatError, PtzipError, UnsupportedError
from ptzip.formats import zips
from ptzip.formats.container import Part, nothing_stored
from ptzip.formats.folders.assembly import Assembly, Fact, Folder, Key, Tree
from ptzip.formats.folders.fields import entries, fields, items, number, numbers
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pieces import Piece, Stored
from ptzip.formats.torchzip import TorchZip
from ptzip.io.compression import COMPRESSIONS, unpacked
from ptzip.io.folders import FolderSource
from ptzip.io.sources import Source, Window, placed
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom, Call, Dict, Global, Node, lookup, state, text
from ptzip.pickling.reader import read_pickle
from ptzip.tensors.references import parameter_arguments, plain_tensor

NAME = "torch.distributed.checkpoint folder"
INDEX, SHARD, UNFINISHED = ".metadata", ".distcp", ".metadata.tmp"
OWN_INDEX = re.compile(r"__\d+\.metadata")
RANK = re.compile(r"__(\d+)_\d+\.distcp")
BEGINNING = 512
MODULE = b"torch.distributed.checkpoint"
"""The module of the class of the index, which its first `BEGINNING` bytes name."""

MOST_LEVELS = 100
"""So many keys may a path have."""

ZSTD = "stream.zstd/1"
"""The only transform of a stream that torch has itself (`_extension.py`)."""


class Place(NamedTuple):
    """Where an item is: `length` bytes from `offset` of a file, packed by the `transforms` in turn."""

    file: str
    offset: int
    length: int
    transforms: tuple[str, ...] = ()


class Chunk(NamedTuple):
    """One box of a tensor in the index."""

    offsets: tuple[int, ...]
    sizes: tuple[int, ...]


class TensorEntry(NamedTuple):
    """A tensor in the index."""

    dtype: str
    shape: tuple[int, ...]
    chunks: tuple[Chunk, ...]


class Index(NamedTuple):
    """What an index says, by the dotted names of values: their kinds, paths and places. None is a value that is no tensor; the
    places of a tensor are by the offsets of its boxes too."""

    values: dict[str, TensorEntry | None]
    paths: dict[str, tuple[Key, ...]]
    places: dict[tuple[str, tuple[int, ...]], Place]


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


def object_of(source: FolderSource, below: str, assembly: Assembly, limits: Limits) -> tuple[Tree, Index]:
    """The object of the folder, or of the one `below` it ("" or a path with its slash), and its index."""
    index = _index(source, below, limits)
    tree, reader = Tree(), ItemReader(source, below, limits)
    _check_places(source, below, index)
    for name, entry in index.values.items():
        node = reader.value(name, index, assembly) if entry is None else reader.tensor(name, entry, index, assembly)
        tree.put(index.paths.get(name, (name,)), node)
    return tree, index


# The index


def _index(source: FolderSource, below: str, limits: Limits) -> Index:
    found = [file for file in source.files if file.startswith(below) and _is_index_name(file.removeprefix(below))]
    if not found and below + UNFINISHED in source.files:
        raise FormatError(
            f"the save of this folder was not finished: it has {UNFINISHED}, but no {INDEX}; use an older checkpoint"
        )
    if not found:
        raise FormatError(f"the index {INDEX} of this folder is missing: without it nothing says which tensors are where")
    indexes = [_read_index(source, file, limits) for file in found]
    return indexes[0] if len(indexes) == 1 else _merged(indexes)


def _is_index_name(name: str) -> bool:
    return name == INDEX or OWN_INDEX.fullmatch(name) is not None


def _read_index(source: FolderSource, file: str, limits: Limits) -> Index:
    data = source.files[file].whole()
    with placed(source.files[file]):
        pickle = read_pickle(data, 0, limits)
        root = Part(file, pickle, nothing_stored, source=source.files[file]).root
        held = fields(root, "Metadata")
        values = {_name(key): _entry(value) for key, value in entries(held.get("state_dict_metadata"))}
        planner = held.get("planner_data")
        paths = {_name(key): _path(value) for key, value in entries(planner)} if isinstance(planner, Dict) else {}
        places = dict(_place(key, value) for key, value in entries(held.get("storage_data")))
    return Index(values, paths, places)


def _name(node: Node) -> str:
    if (found := text(node)) is None:
        raise FormatError("the index of this folder has a name that is no text", node.offset)
    return found


def _entry(node: Node) -> TensorEntry | None:
    """What the index says of a value."""
    if isinstance(node, Call) and node.path.endswith(".BytesStorageMetadata"):
        return None
    held = fields(node, "TensorStorageMetadata", "BytesStorageMetadata")
    chunks = [fields(one, "ChunkStorageMetadata") for one in items(held.get("chunks"))]
    boxes = tuple(Chunk(numbers(one.get("offsets")), numbers(one.get("sizes"))) for one in chunks)
    return TensorEntry(_dtype(held.get("properties")), numbers(held.get("size")), boxes)


def _dtype(properties: Node | None) -> str:
    """The name of a dtype in `TensorProperties`, whose state is a tuple that it is the first of."""
    built = state(properties) if properties is not None else None
    kind = lookup(built, "dtype") if isinstance(built, Dict) else next(iter(items(built)), None)
    if not isinstance(kind, Global) or kind.module != "torch":
        raise FormatError(
            "the index of this folder has a tensor without a dtype of torch", None if kind is None else kind.offset
        )
    return kind.name


def _path(node: Node) -> tuple[Key, ...]:
    found = [one.value if isinstance(one, Atom) else None for one in items(node)]
    path = tuple(one for one in found if isinstance(one, str | int) and not isinstance(one, bool))
    if not 0 < len(path) == len(found) <= MOST_LEVELS:
        raise FormatError("the index of this folder has a path of something other than a few texts and numbers", node.offset)
    return path


def _place(key: Node, value: Node) -> tuple[tuple[str, tuple[int, ...]], Place]:
    index, info = fields(key, "MetadataIndex"), fields(value, "_StorageInfo")
    file = text(info.get("relative_path"))
    if file is None:
        raise FormatError("the index of this folder has an item without the name of its file", value.offset)
    transforms = tuple(text(one) or "" for one in items(info.get("transform_descriptors")))
    name = text(index.get("fqn")) or ""
    return (name, numbers(index.get("offset"))), Place(file, number(info.get("offset")), number(info.get("length")), transforms)


def _merged(indexes: Sequence[Index]) -> Index:
    """One index of those of ranks that saved on their own: each has the boxes of its own tensors, and all have the copies."""
    values, paths, places = (
        dict[str, TensorEntry | None](),
        dict[str, tuple[Key, ...]](),
        dict[tuple[str, tuple[int, ...]], Place](),
    )
    for index in indexes:
        paths |= index.paths
        places = index.places | places
        for name, entry in index.values.items():
            known = values.setdefault(name, entry)
            if (known is None) != (entry is None) or (known and entry and known[:2] != entry[:2]):
                raise FormatError(f"the indexes of this folder contradict one another about {name}")
            if known is not None and entry is not None:
                values[name] = known._replace(chunks=tuple(dict.fromkeys((*known.chunks, *entry.chunks))))
    return Index(values, paths, places)


def _check_places(source: FolderSource, below: str, index: Index) -> None:
    """Raise FormatError where an item is not described, or its file is missing or too short."""
    unknown = [name for name, _ in index.places if name not in index.values]
    if unknown:
        raise FormatError(f"the index of this folder has a place for {unknown[0]}, but does not say what that is")
    missing = sorted({place.file for place in index.places.values()} - {file.removeprefix(below) for file in source.files})
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise FormatError(f"the file {missing[0]}{more} of this folder is missing, which {INDEX} names: copy it here")
    for (name, _), place in index.places.items():
        size = source.files[below + place.file].size
        if place.offset + place.length > size:
            message = f"item {name} ends at byte {place.offset + place.length} of {place.file}, which has {size}"
            raise CutError(f"{message}: the file is cut off, or belongs to another checkpoint")


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
            raise FormatError(f"{part.name} is no plain tensor, as {INDEX} says: the file belongs to another checkpoint")
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
        window: Source = Window(self.source.files[self.below + place.file], place.offset, place.length)
        for transform in place.transforms:
            window = self._unpacked(what, window, transform)
        try:
            container = zips.read(window, self.limits)
        except FormatError as error:
            raise _other_checkpoint(what, place, error) from error
        if not isinstance(container, TorchZip):
            raise FormatError(f"{what} at byte {place.offset} is a {container.name}, expected a torch.save zip")
        part = container.parts[0]
        part.name = what
        return part

    def _unpacked(self, what: str, window: Source, transform: str) -> Source:
        if transform != ZSTD:
            raise UnsupportedError(f"{what} is packed by {transform!r}, expected {ZSTD}: let torch gather this folder")
        kind = next(kind for kind in COMPRESSIONS if kind.name == "zstd")
        return unpacked(window, kind, self.limits, name=what)


def _other_checkpoint(what: str, place: Place, error: PtzipError) -> FormatError:
    message = f"{what} at byte {place.offset} is no file of torch.save ({error.message})"
    return FormatError(f"{message}: the file is damaged, or belongs to another checkpoint")


def _no_elements() -> Stored:
    raise AssertionError("a piece without elements is not read")
