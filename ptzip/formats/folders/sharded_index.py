"""Shards with an index, as transformers and diffusers write them (`model.safetensors.index.json`).

The index has the file of each tensor by its name (`weight_map`); each file is a checkpoint of its own. The object is one state
dict, as `from_pretrained` gathers it, in the order of the index. That of a variant is `model.safetensors.index.fp16.json`.
"""

import json
import math
import re
from collections.abc import Iterator

from ptzip.errors import FormatError
from ptzip.formats.container import Container
from ptzip.formats.detect import open_container
from ptzip.formats.folders.assembly import Assembly, Fact, Folder
from ptzip.formats.folders.listing import Listing
from ptzip.formats.safetensors import SafeTensors
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.new_nodes import atom, new_dict
from ptzip.pickling.nodes import Node, pairs, text
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.tensor import Tensor

NAME = "shards with an index"
INDEX = re.compile(r"(?P<whole>.*)\.index(?P<variant>\.[^.]+)?\.json")
SAFETENSORS = ".safetensors.index."
WEIGHT_MAP = "weight_map"
LONGEST = 1 << 26
"""The bytes of the longest index that is read, over three times those of the largest known."""

MOST_CONTAINERS = 1 << 16
"""So many dicts and lists may an index have, which has two and some metadata: they take thirty times their bytes."""

OPAQUE = "bits8"
"""The dtype of the bytes of a tensor whose dtype torch lacks."""


def files(listing: Listing) -> list[str] | None:
    """The index, that of safetensors and of no variant where there are several, as `from_pretrained` prefers them, and its
    shards."""
    found = [(match["variant"] or "", name) for name in listing.names if (match := INDEX.fullmatch(name))]
    for _, name in sorted(found, key=lambda one: (one[0], SAFETENSORS not in one[1], len(one[1]))):
        if listing.is_about(name) and (present := shards(listing, name)):
            return [name, *present]
    return None


def shards(listing: Listing, index: str) -> list[str]:
    """The files of a folder that an index in it names."""
    named = set((_weight_map(listing.head(index, LONGEST)) or {}).values())
    return [name for name in listing.names if name in named]


def whole_name(name: str) -> str:
    """The name of one file with all tensors of an index: `model.safetensors`, or of a variant `model.fp16.safetensors`."""
    match = INDEX.fullmatch(name)
    if match is None:
        return name
    stem, dot, suffix = match["whole"].rpartition(".")
    return f"{stem}{match['variant'] or ''}{dot}{suffix}"


def _weight_map(data: bytes) -> dict[str, str] | None:
    """The file of each tensor; None where the bytes are no index."""
    if data.count(b"[") + data.count(b"{") > MOST_CONTAINERS:
        return None
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return None
    held = found.get(WEIGHT_MAP) if isinstance(found, dict) else None
    is_map = isinstance(held, dict) and all(isinstance(file, str) for file in held.values())
    return held if is_map else None


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError as `state_dict` does."""
    index, *_ = source.files
    assembly = Assembly()
    root, (_, *found) = state_dict(source, index, assembly, limits)
    return assembly.folder(NAME, source, root, limits, [Fact("shards", f"{len(found):,}, named in {index}")])


def state_dict(source: FolderSource, path: str, assembly: Assembly, limits: Limits) -> tuple[Node, list[str]]:
    """The tensors of a file, or of the shards beside the index at a path; and the files that were read for it.

    Raises FormatError where shards are missing, or have other tensors than the index says.
    """
    if not INDEX.fullmatch(path):
        found = dict(_nodes(path, open_container(source.files[path], limits), assembly))
        return new_dict([node for name, value in found.items() for node in (atom(name), value)]), [path]
    below, index = path[: path.rfind("/") + 1], source.files[path]
    places = {name: below + file for name, file in (_weight_map(index.read(0, index.size)) or {}).items()}
    files = dict.fromkeys(places.values())
    missing = [file for file in files if file not in source.files]
    if missing:
        more = f" and {len(missing) - 1} more" if missing[1:] else ""
        raise FormatError(f"the file {missing[0]}{more} of this folder is missing, which {path} names: copy it here")
    nodes = dict[str, Node]()
    for file in files:
        _add(nodes, file, dict(_nodes(file, open_container(source.files[file], limits), assembly)), places)
    order = [*(name for name in places if name in nodes), *(name for name in nodes if name not in places)]
    return new_dict([node for name in order for node in (atom(name), nodes[name])]), [path, *files]


def _add(nodes: dict[str, Node], file: str, found: dict[str, Node], places: dict[str, str]) -> None:
    """Add the tensors of a shard. Raises FormatError where they are not those that the index says."""
    lacking = [name for name, place in places.items() if place == file and name not in found]
    if lacking:
        more = f" and {len(lacking) - 1} more" if lacking[1:] else ""
        raise FormatError(f"{file} lacks tensor {lacking[0]}{more}, which the index says is there: it is another model's file")
    twice = next((name for name in found if name in nodes), None)
    if twice is not None:
        raise FormatError(f"tensor {twice} is in {file} and in another shard, expected in one")
    nodes |= found


def _nodes(file: str, container: Container, assembly: Assembly) -> Iterator[tuple[str, Node]]:
    """The tensors of a shard by name."""
    if isinstance(container, SafeTensors):
        made = dict[int, Node]()
        for name, tensor in container.tensors().items():
            if id(tensor) not in made:
                made[id(tensor)] = _whole(f"{file}/{name}", tensor, assembly)
            yield name, made[id(tensor)]
        return
    if not container.parts:
        raise FormatError(f"{file} is a {container.name}, expected a state dict or safetensors")
    for key, value in pairs(assembly.graft(container.parts[0], file)):
        if (named := text(key)) is not None:
            yield named, value


def _whole(key: str, tensor: Tensor, assembly: Assembly) -> Node:
    assert tensor.storage is not None, "tensors of safetensors have bytes"
    payload = tensor.storage.payload()
    is_known = tensor.dtype in BY_NAME and math.prod(tensor.shape) * tensor.itemsize == payload.length
    dtype, shape = (tensor.dtype, tensor.shape) if is_known else (OPAQUE, (payload.length,))
    return assembly.whole(key, dtype, shape, payload)
