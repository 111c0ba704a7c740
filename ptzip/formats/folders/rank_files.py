"""Files in which every process saved its own state: `..._world_size_4_rank_0.pt`, `pytorch_model_fsdp_rank0.bin` and the like.

Each process has its shards of the tensors that were split: DTensors say how by their mesh and placements
(`torch/distributed/tensor`), ShardedTensors by the offsets of each shard (`torch/distributed/_shard/sharded_tensor`). Plain
tensors are copies, of which all have to be equal. The object is that of the first process, with whole tensors.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ptzip.errors import FormatError, PtzipError, UnsupportedError
from ptzip.formats.container import Part
from ptzip.formats.folders.assembly import Assembly, Fact, Folder
from ptzip.formats.folders.fields import attributes, fields, items, number, numbers
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pieces import Piece
from ptzip.formats.folders.replicas import one_of
from ptzip.formats.folders.whole_files import View, opened, view
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Slot,
    Tuple,
    item_slots,
    lookup,
    pair_slots,
    plain,
    state,
)
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.references import tensor_slot
from ptzip.tensors.torch_names import SUBCLASSES

KeyPath = tuple[str, ...]

Boxes = list[tuple[tuple[int, ...], View]]
"""Parts of a tensor with their offsets in it."""

NAME = "files of ranks"

RANK_FILE = re.compile(
    r"(?P<head>.*?)(?:world_size_(?P<world>\d+)_)?(?P<sign>rank[_-]?)(?P<rank>\d+)(?P<tail>(\.(pt|pth|bin|ckpt|pkl|tar|distcp))+)"
)
FSDP = "_fsdp_"
MODEL = "model"
"""What the names of the files with the model have in them, where others have the optimizer."""

MOST_RANKS = 1 << 16

DISTRIBUTED = "torch.distributed."
DTENSOR, SHARDED_TENSOR = "DTensor", "ShardedTensor"
FLAT_PARAMETER = "flat_param"
"""FSDP1 in its form LOCAL_STATE_DICT, and before 2.0 in all, keeps the parameters of a layer in one (`fsdp/_flat_param.py`)."""

STATE = 3
"""The index of the state in the arguments of `_rebuild_from_type_v2` (`torch/_tensor.py`)."""

MOST_LEVELS = 64
"""Of dicts and lists in one another, in which tensors are looked for."""

DTYPE, SIZE = 1, 2
"""Indices in the arguments of `_rebuild_wrapper_subclass` (`torch/_utils.py`)."""


# The files


class RankSet(NamedTuple):
    """Files whose names differ in the number of the process alone; `world` is the number of processes, where names have it."""

    names: dict[int, str]
    world: int | None

    @property
    def like(self) -> str:
        """The name of the first file."""
        return self.names[min(self.names)]

    @property
    def is_of_model(self) -> bool:
        return MODEL in self.like.lower()

    @property
    def is_whole(self) -> bool:
        """Whether the names alone say that the files are one checkpoint."""
        return self.world is not None or FSDP in self.like


def files(listing: Listing) -> list[str] | None:
    """The files of all sets, those of the model first; None where no set is one checkpoint.

    A set is one where its names say so, or where its first file has tensors that were split.
    """
    found = [one for one in rank_sets(listing.names) if one.is_whole or _is_split(listing, one.like)]
    if listing.asked or not found:
        return None
    found.sort(key=lambda one: not one.is_of_model)
    return [name for one in found for _, name in sorted(one.names.items())]


def rank_sets(names: Sequence[str]) -> list[RankSet]:
    found = dict[tuple[str | None, ...], RankSet]()
    for name in names:
        if (match := RANK_FILE.fullmatch(name)) is not None and int(match["rank"]) < MOST_RANKS:
            world = match["world"] and int(match["world"])
            key = match["head"], match["world"], match["sign"], match["tail"]
            found.setdefault(key, RankSet({}, world or None)).names[int(match["rank"])] = name
    return list(found.values())


def _is_split(listing: Listing, name: str) -> bool:
    try:
        source = FolderSource(str(listing.path), NAME, [name])
        try:
            calls = opened(source, name, Limits()).pickle.calls
        finally:
            source.close()
    except (PtzipError, OSError):
        return False
    return any(isinstance(node, Global) and node.name in (DTENSOR, SHARDED_TENSOR) for node in calls)


# The object


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where the files do not agree, UnsupportedError where they cannot be put together."""
    chosen, assembly = _model_set(source), Assembly()
    parts = [opened(source, name, limits) for _, name in sorted(chosen.names.items())]
    shares = [shares_in(part) for part in parts]
    _check_names(parts, shares)
    made, replaced = dict[object, Node](), list[tuple[Slot, Node]]()
    for path, share in shares[0].items():
        name = ".".join(path)
        if share.identity not in made:
            pieces = _pieces(name, [other[path] for other in shares if path in other])
            made[share.identity] = assembly.tensor(f"{parts[0].name}/{name}", share.dtype, share.shape, pieces)
        replaced.append((share.slot, made[share.identity]))
    root = assembly.graft(parts[0], parts[0].name)
    for slot, node in replaced:
        slot.put(node)
    return assembly.folder(NAME, source, root, limits, _facts(shares))


def _facts(shares: Sequence[Mapping[KeyPath, "Share"]]) -> Iterator[Fact]:
    yield Fact("processes", str(len(shares)))
    yield Fact("split", f"{sum(share.is_split for share in shares[0].values()):,} of {len(shares[0]):,} tensors")


def _model_set(source: FolderSource) -> RankSet:
    """The files with the model. Raises UnsupportedError where several sets could be those, FormatError where one is missing."""
    found = rank_sets(list(source.files))
    chosen = [one for one in found if one.is_of_model] or found
    if len(chosen) > 1:
        names = ", ".join(one.like for one in chosen)
        raise UnsupportedError(f"several sets of files could be the model ({names}): move all others to another folder")
    (one,) = chosen
    for rank in range(max(one.world or 0, max(one.names) + 1)):
        if rank not in one.names:
            raise FormatError(f"the file of process {rank} is missing, one like {one.like}: copy it here")
    if one.world is not None and len(one.names) > one.world:
        raise FormatError(f"{one.names[max(one.names)]} is of process {max(one.names)} of {one.world}, expected fewer")
    return one


def _check_names(parts: Sequence[Part], shares: Sequence[Mapping[KeyPath, "Share"]]) -> None:
    """Raise UnsupportedError where processes have different tensors, or several parameters in one."""
    for part, found in zip(parts, shares, strict=True):
        for path in found:
            name = ".".join(path)
            if path[-1:] and path[-1].endswith(FLAT_PARAMETER):
                raise UnsupportedError(
                    f"{name} is a flat parameter of FSDP1 (LOCAL_STATE_DICT), in which nothing says where the parameters are: "
                    "load it into the model and save that with FULL_STATE_DICT"
                )
            if path not in shares[0]:
                raise UnsupportedError(
                    f"{part.name} has a tensor {name}, and {parts[0].name} has not: each process has other layers (pipeline "
                    "parallel), which only the framework can gather"
                )


def _pieces(name: str, shares: Sequence["Share"]) -> list[Piece]:
    """The pieces of a tensor, each once. Raises FormatError where the processes contradict one another."""
    first, copies = shares[0], dict[tuple[object, ...], list[Piece]]()
    for share in shares:
        if (share.dtype, share.shape, share.is_split) != (first.dtype, first.shape, first.is_split):
            raise FormatError(
                f"tensor {name} is {first.described}, but {share.described}: they are no copies or shards of one tensor"
            )
        for offsets, part in share.boxes:
            copies.setdefault((offsets, part.shape), []).append(part.piece(offsets))
    if first.dtype not in BY_NAME:
        return [same[0] for same in copies.values()]  # which `Assembly.tensor` refuses
    return [one_of(name, BY_NAME[first.dtype].size, same) for same in copies.values()]


# The tensors of one process


class Share(NamedTuple):
    """What a process has of a tensor of a dtype and a shape: boxes with their offsets."""

    file: str
    slot: Slot
    dtype: str
    shape: tuple[int, ...]
    boxes: Boxes
    is_split: bool

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for names of the same tensor; nothing else has no elements here, so that others may have some."""
        known = tuple((offsets, box.identity) for offsets, box in self.boxes if math.prod(box.shape))
        return (self.dtype, self.shape, *(known or [id(self.slot.node)]))

    @property
    def described(self) -> str:
        return f"{'a part of ' if self.is_split else ''}{self.dtype} {list(self.shape)} in {self.file}"


def shares_in(part: Part) -> dict[KeyPath, Share]:
    """The tensors in the dicts, lists and tuples of a file, by the keys on the way to them."""
    found, seen = dict[KeyPath, Share](), set[int]()
    pending: list[tuple[KeyPath, Node]] = [((), part.root)]
    while pending:
        above, holder = pending.pop()
        if id(holder) in seen:
            continue
        seen.add(id(holder))
        for key, slot in _slots(holder):
            path, inner = (*above, key), tensor_slot(slot)
            if (share := _share(part, inner)) is not None:
                found[path] = share
            elif len(path) <= MOST_LEVELS:
                pending.append((path, slot.node))
    return found


def _slots(node: Node) -> Iterator[tuple[str, Slot]]:
    if isinstance(node, Dict) or (isinstance(node, Call) and node.path == "collections.OrderedDict"):
        yield from ((str(key.value), slot) for key, slot in pair_slots(node) if isinstance(key, Atom))
    elif isinstance(node, List | Tuple):
        yield from ((str(index), slot) for index, slot in enumerate(item_slots(node)))


def _share(part: Part, slot: Slot) -> Share | None:
    """The tensor in a slot; None for anything else. Raises UnsupportedError for one that is split in another way."""
    node = slot.node
    if (whole := view(part, node)) is not None:
        return Share(part.name, slot, whole.dtype, whole.shape, [((0,) * len(whole.shape), whole)], is_split=False)
    kind, arguments, held = _wrapped(node)
    if not kind.endswith((DTENSOR, SHARDED_TENSOR)):
        return None
    dtype, shape = plain(arguments[DTYPE]), numbers(arguments[SIZE])
    if not isinstance(dtype, Global):
        raise FormatError(f"a {kind} in {part.name} has no dtype", node.offset)
    boxes = _of_dtensor(part, shape, held) if kind.endswith(DTENSOR) else _of_sharded_tensor(part, held)
    return Share(part.name, slot, dtype.name, shape, boxes, is_split=True)


def _wrapped(node: Node) -> tuple[str, list[Node], Node]:
    """The class, the arguments and the state of a tensor of torch.distributed; "" for anything else."""
    if isinstance(node, Call) and node.path in SUBCLASSES and len(node.arguments) > STATE:
        _, kind, inner, built = map(plain, node.arguments[: STATE + 1])
        if (
            isinstance(kind, Global)
            and kind.module.startswith(DISTRIBUTED)
            and isinstance(inner, Tuple)
            and len(inner.parts) > SIZE
        ):
            return kind.path, inner.parts, built
    return "", [], node


def _of_sharded_tensor(part: Part, held: Node) -> Boxes:
    found: Boxes = []
    for shard in items(next(iter(items(held)), None)):
        own = fields(shard, "Shard")
        local, where = view(part, own.get("tensor")), fields(own.get("metadata") or shard, "ShardMetadata")
        if local is None or local.shape != numbers(where.get("shard_sizes")):
            raise FormatError(f"{part.name} has a shard that is not of the shape which its metadata says", shard.offset)
        found.append((numbers(where.get("shard_offsets")), local))
    return found


def _of_dtensor(part: Part, shape: tuple[int, ...], held: Node) -> Boxes:
    own = attributes(held)
    local, spec = view(part, own.get("_local_tensor")), own.get("_spec")
    laid = fields(spec, "DTensorSpec") if spec is not None else {}
    if local is None or "mesh" not in laid:
        raise UnsupportedError(
            f"{part.name} has a DTensor whose local part is no plain tensor, or has no mesh: let torch gather it"
        )
    offsets, sizes = list((0,) * len(shape)), list(shape)
    _check_order(part, laid.get("shard_order"))
    placements, mesh = items(laid.get("placements")), _mesh(part, laid["mesh"])
    if len(placements) != len(mesh):
        raise FormatError(f"{part.name} has a DTensor with {len(placements)} placements on a mesh of {len(mesh)} dimensions")
    for placement, (size, at) in zip(placements, mesh, strict=True):
        dim = _split_dimension(part, placement, len(shape))
        if dim is not None:  # as torch.chunk does
            share = -(-sizes[dim] // size)
            first = min(at * share, sizes[dim])
            offsets[dim], sizes[dim] = offsets[dim] + first, min(share, sizes[dim] - first)
    if local.shape != tuple(sizes):
        raise FormatError(f"{part.name} has {list(local.shape)} of a DTensor, expected {sizes} by its mesh and placements")
    return [(tuple(offsets), local)]


def _split_dimension(part: Part, placement: Node, count: int) -> int | None:
    """The dimension that a placement splits; None for copies. Raises UnsupportedError for other placements."""
    name = placement.path.rpartition(".")[2] if isinstance(placement, Call) else ""
    if name == "Replicate":
        return None
    if name != "Shard":
        raise UnsupportedError(
            f"{part.name} has a DTensor with the placement {name}, expected Shard or Replicate: let torch gather it"
        )
    built = state(placement)
    dim = number(lookup(built, "dim") if isinstance(built, Dict) else next(iter(items(built)), None))
    if dim >= count:
        raise FormatError(f"{part.name} has a DTensor that is split along dimension {dim} of {count}", placement.offset)
    return dim


def _check_order(part: Part, order: Node | None) -> None:
    """Raise UnsupportedError where a dimension is not split by the dimensions of the mesh in their order."""
    for entry in items(order):
        given = entry.arguments if isinstance(entry, Call) else []
        by = numbers(plain(given[1])) if len(given) > 1 else ()
        if list(by) != sorted(by):
            raise UnsupportedError(
                f"{part.name} has a DTensor that is split in another order than that of its mesh: let torch gather it"
            )


def _mesh(part: Part, mesh: Node) -> list[tuple[int, int]]:
    """The size of each dimension of a mesh, and where the process is along it (`torch/distributed/device_mesh.py`)."""
    held = fields(mesh, "DeviceMesh")
    ranks = view(part, held.get("mesh"))
    sizes = _layout_sizes(held["_layout"]) if "_layout" in held else list(ranks.shape) if ranks is not None else []
    where = numbers(held.get("_coordinate_on_dim"))
    if not sizes or len(sizes) != len(where) or any(at >= size for size, at in zip(sizes, where, strict=True)):
        raise UnsupportedError(f"{part.name} has a DTensor whose mesh has an unknown form: let torch gather it")
    return list(zip(sizes, where, strict=True))


def _layout_sizes(layout: Node) -> list[int]:
    """The sizes of a mesh in torch 2.9 and later, where a dimension may be one of several that were joined."""
    built = state(layout)
    axes = lookup(built, "axes")
    if axes is None:
        return [_product(one) for one in items(lookup(built, "shape"))]
    return [_product(lookup(state(one), "shape")) for one in items(axes)]


def _product(node: Node | None) -> int:
    return number(node) if isinstance(node, Atom) else math.prod(numbers(node))
