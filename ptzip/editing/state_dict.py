"""Tensors as a state dict: the tree that `torch.save` would write of a dict of them, and the payloads of its storages.

A storage is written once, from the first to the last byte that a tensor uses, so tensors that share bytes still do. Each kind
of tensor is a call of torch's own rebuild function (`torch/_utils.py`).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from ptzip.formats.container import Part, stored_in
from ptzip.io.payloads import Payload
from ptzip.pickling.new_nodes import atom, called, named, new_dict, new_tuple, ordered
from ptzip.pickling.nodes import Call, Dict, Global, Node, Persistent, Pickle, walk
from ptzip.tensors.blocks import RowMajor
from ptzip.tensors.dtypes import BY_NAME, BYTES, PACKED, DType
from ptzip.tensors.new_tensors import counted_in, location_nodes, numbers, strided
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import contiguous
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import span
from ptzip.tensors.torch_names import SPARSE_COMPONENTS

PROTOCOL = 2
"""What `torch.save` writes by default, and `weights_only` accepts in every version of torch."""

ALIGNED = 16
"""In bytes. A storage with tensors of several dtypes is cut at a multiple of the largest element."""

PER_TENSOR = "per_tensor_affine"

OPAQUE = "bits8"
"""The dtype for the bytes of a tensor whose dtype torch lacks."""


def as_part(tensors: Mapping[str, Tensor]) -> Part:
    """Tensors of a file without a pickle, to be edited as those of a state dict; the keys of storages are those of the file.

    A tensor whose dtype torch lacks is its bytes, of dtype `OPAQUE`.
    """
    taken = dict[str, int]()

    def key_of(held: Storage) -> str:
        taken[held.key] = number = taken.get(held.key, 0) + 1
        return held.key if number == 1 else f"{held.key} ({number})"  # pickles of one file may use the same keys

    root, payloads = state_dict({name: _of_torch(tensor) for name, tensor in tensors.items()}, key_of)
    pickle = Pickle(root, PROTOCOL)
    nodes = list(walk(root))
    pickle.calls = [node for node in nodes if isinstance(node, Global | Call)]
    pickle.persistents = [node for node in nodes if isinstance(node, Persistent)]
    return Part("the tensors", pickle, stored_in(payloads))


def _of_torch(tensor: Tensor) -> Tensor:
    if tensor.dtype in BY_NAME or tensor.storage is None:
        return tensor
    shape = (tensor.storage.size,)
    return Tensor(OPAQUE, shape, contiguous(shape), storage=tensor.storage)


def state_dict(
    tensors: Mapping[str, Tensor], key_of: Callable[[Storage], str] | None = None
) -> tuple[Dict, dict[str, Payload]]:
    """A dict of tensors, and the payloads of their storages by key: "0", "1", ... unless `key_of` gives another."""
    cuts = _cuts(list(tensors.values()), key_of)
    root = new_dict([node for name, tensor in tensors.items() for node in (atom(name), _node(tensor, cuts))])
    return root, {cut.key: cut.payload for cut in cuts.values()}


class StorageCut(NamedTuple):
    """The bytes of a storage from `first` up to `last`, which are written as the storage `key`."""

    key: str
    held: Storage
    first: int
    last: int

    @property
    def kind(self) -> DType:
        return counted_in(self.held.dtype)

    @property
    def payload(self) -> Payload:
        dtype = BYTES if self.held.dtype.name in PACKED else self.held.dtype
        length = (self.last - self.first) // dtype.size
        return RowMajor(Tensor(dtype.name, (length,), (1,), self.first // dtype.size, storage=self.held))


Cuts = dict[int, StorageCut]
"""By the id of the storage, in order of first appearance."""


def _cuts(tensors: list[Tensor], key_of: Callable[[Storage], str] | None) -> Cuts:
    users: dict[int, list[Tensor]] = {}
    for tensor in _with_storage(tensors):
        users.setdefault(id(_held(tensor)[0]), []).append(tensor)
    groups = enumerate(users.values())
    return {
        id(held): _cut(str(number) if key_of is None else key_of(held), group)
        for number, group in groups
        for held, _ in [_held(group[0])]
    }


def _cut(key: str, users: list[Tensor]) -> StorageCut:
    """The part of a storage that its tensors use."""
    held, _ = _held(users[0])
    spans = [(start + first, start + last) for one in users for _, start in [_held(one)] for first, last in [span(one)]]
    used = [one for one in spans if one[0] < one[1]]
    first, last = min((first for first, _ in used), default=0), max((last for _, last in used), default=0)
    unit = ALIGNED if any(one.dtype != held.dtype.name for one in users) else held.dtype.size
    return StorageCut(key, held, first // unit * unit, -(-last // held.dtype.size) * held.dtype.size)


def _with_storage(tensors: list[Tensor]) -> Iterator[Tensor]:
    """The tensors and components that have a storage, in the order in which the pickle refers to the storages."""
    for tensor in tensors:
        if tensor.storage is not None:
            yield tensor
        yield from _with_storage(list(tensor.components.values()))


def _held(tensor: Tensor) -> tuple[Storage, int]:
    """The root storage of a tensor, and the byte offset in it at which the tensor's own storage begins."""
    assert tensor.storage is not None, "unsupported() rejects tensors without a storage"
    return tensor.storage.root


def _node(tensor: Tensor, cuts: Cuts) -> Call:
    """The call that rebuilds a tensor."""
    rebuild = _quantized if tensor.qscheme else REBUILDERS.get("meta" if tensor.device == "meta" else tensor.layout, _strided)
    return rebuild(tensor, cuts)


def _strided(tensor: Tensor, cuts: Cuts) -> Call:
    cut = cuts[id(_held(tensor)[0])]
    return strided(tensor.dtype, cut.kind, _location(tensor, cut), _marks(tensor))


def _location(tensor: Tensor, cut: StorageCut) -> tuple[Node, Node, Node, Node]:
    """Storage, offset, size and stride."""
    shift = (_held(tensor)[1] - cut.first) // tensor.itemsize * PACKED.get(tensor.dtype, 1)
    offset = tensor.offset + shift if tensor.numel else 0
    numel = (cut.last - cut.first) // cut.kind.size
    return location_nodes(cut.kind, cut.key, numel, offset, tensor.shape, tensor.stride)


def _marks(tensor: Tensor) -> list[Node]:
    marks = {"conj": tensor.is_conj, "neg": tensor.is_neg}
    given: list[Node] = [node for mark, is_set in marks.items() if is_set for node in (atom(mark), atom(True))]
    return [new_dict(given)] if given else []


def _quantized(tensor: Tensor, cuts: Cuts) -> Call:
    scheme = named("torch", tensor.qscheme)
    if tensor.qscheme == PER_TENSOR:
        given = new_tuple(scheme, atom(tensor.scale), atom(tensor.zero_point))
    else:
        scales, points = (_node(part, cuts) for part in tensor.components.values())
        given = new_tuple(scheme, scales, points, atom(tensor.axis))
    location = _location(tensor, cuts[id(_held(tensor)[0])])
    return called("torch._utils", "_rebuild_qtensor", *location, given, atom(False), ordered([]))


def _sparse(tensor: Tensor, cuts: Cuts) -> Call:
    layout = called("torch.serialization", "_get_layout", atom(f"torch.{tensor.layout}"))
    inner = [_node(part, cuts) for part in tensor.components.values()]
    coalesced = [] if tensor.is_coalesced is None else [atom(tensor.is_coalesced)]
    data = new_tuple(*inner, numbers(tensor.shape), *coalesced)
    return called("torch._utils", "_rebuild_sparse_tensor", layout, data)


def _nested(tensor: Tensor, cuts: Cuts) -> Call:
    return called("torch._utils", "_rebuild_nested_tensor", *(_node(part, cuts) for part in tensor.components.values()))


def _meta(tensor: Tensor, cuts: Cuts) -> Call:
    sizes = numbers(tensor.shape), numbers(tensor.stride)
    return called("torch._utils", "_rebuild_meta_tensor_no_storage", named("torch", tensor.dtype), *sizes, atom(False))


REBUILDERS: dict[str, Callable[[Tensor, Cuts], Call]] = {
    "meta": _meta,
    "nested": _nested,
    **dict.fromkeys(SPARSE_COMPONENTS, _sparse),
}
"""By layout; any other layout is strided."""
