"""What one process has of the tensors that were split, as its file has them.

DTensors say how they were split by their mesh and placements (`torch/distributed/tensor`), ShardedTensors by the offsets of
each shard (`torch/distributed/_shard/sharded_tensor`).
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.container import Part
from ptzip.formats.folders.fields import attributes, fields, items, number, numbers
from ptzip.formats.folders.whole_files import View, view
from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Slot, Tuple, item_slots, lookup, pair_slots, plain, state
from ptzip.tensors.references import tensor_slot
from ptzip.tensors.torch_names import SUBCLASSES

KeyPath = tuple[str, ...]

Boxes = list[tuple[tuple[int, ...], View]]
"""Parts of a tensor with their offsets in it."""

DISTRIBUTED = "torch.distributed."
DTENSOR, SHARDED_TENSOR = "DTensor", "ShardedTensor"
STATE = 3
"""The index of the state in the arguments of `_rebuild_from_type_v2` (`torch/_tensor.py`)."""

MOST_LEVELS = 64
"""Of dicts and lists in one another, in which tensors are looked for."""

DTYPE, SIZE = 1, 2
"""Indices in the arguments of `_rebuild_wrapper_subclass` (`torch/_utils.py`)."""


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
