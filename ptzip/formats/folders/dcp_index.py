"""The index of a folder of torch.distributed.checkpoint: `.metadata`, a pickle (`distributed/checkpoint/metadata.py`).

Ranks that saved without collectives have an index each, `__{rank}.metadata`, which are joined. Fields that older versions of
torch lack (`transform_descriptors`, `storage_meta`, `version`) may be missing.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from ptzip.errors import CutError, FormatError, beyond
from ptzip.formats.container import Part, nothing_stored
from ptzip.formats.folders.assembly import Key
from ptzip.formats.folders.fields import entries, fields, items, number, numbers
from ptzip.io.folders import FolderSource
from ptzip.io.sources import Source, placed
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom, Call, Dict, Global, Node, lookup, state, text
from ptzip.pickling.reader import read_pickle

INDEX, UNFINISHED = ".metadata", ".metadata.tmp"
OWN_INDEX = re.compile(r"__\d+\.metadata")

MOST_LEVELS = 100
"""So many keys may a path have."""


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


def read_index(source: FolderSource, below: str, limits: Limits) -> Index:
    """The index of a folder, or of the one `below` it ("" or a path with its slash).

    Raises FormatError where it is missing or broken, or where files that it names are missing or too short.
    """
    if below + UNFINISHED in source.files:
        what = f"the save of this folder was not finished: it has the file {UNFINISHED}"
        raise FormatError(f"{what}; use an older checkpoint, or remove that file if nothing was saved over the others")
    names = [file for file in source.files if file.startswith(below)]
    found = [file for file in names if file == below + INDEX or OWN_INDEX.fullmatch(file.removeprefix(below))]
    if not found:
        raise FormatError(f"the index {INDEX} of this folder is missing: without it nothing says which tensors are where")
    indexes = [parsed(source.files[file], limits) for file in found]
    index = indexes[0] if len(indexes) == 1 else _merged(indexes)
    _check_places(source, below, index)
    return index


def parsed(file: Source, limits: Limits) -> Index:
    """The index in one file. Raises FormatError where it is broken."""
    if file.size > limits.pickle_bytes:
        raise beyond("pickle_bytes", limits.pickle_bytes, f"the index {file.name} is {file.size:,} bytes long, above")
    with placed(file):
        root = Part(file.name, read_pickle(file.read(0, file.size), 0, limits), nothing_stored, source=file).root
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
