"""Nodes of new strided tensors, as `torch.save` would write them (`torch/_utils.py`)."""

from collections.abc import Sequence

from ptzip.pickling.new_nodes import atom, called, named, new_tuple, ordered
from ptzip.pickling.nodes import Call, Node, Persistent
from ptzip.tensors.dtypes import BYTES, DType


def counted_in(dtype: DType) -> DType:
    """The dtype that the elements of a storage are counted in: bytes, if torch has no storage class for the dtype."""
    return dtype if dtype.storage else BYTES


def location_nodes(
    kind: DType, key: str, numel: int, offset: int, shape: Sequence[int], stride: Sequence[int]
) -> tuple[Node, Node, Node, Node]:
    """Storage, offset, size and stride. The storage has `numel` elements of `kind`; the rest counts those of the tensor."""
    module = "torch.storage" if kind is BYTES else "torch"
    identity = new_tuple(atom("storage"), named(module, kind.storage), atom(key), atom("cpu"), atom(numel))
    return Persistent("BINPERSID", None, [identity]), atom(offset), numbers(shape), numbers(stride)


def numbers(values: Sequence[int]) -> Node:
    return new_tuple(*map(atom, values))


def strided(dtype: str, kind: DType, location: Sequence[Node], marks: Sequence[Node] = ()) -> Call:
    """The call that rebuilds a tensor of a dtype on a storage, which is of `kind`, at a location."""
    head = (*location, atom(False), ordered([]))
    if dtype == kind.name and kind is not BYTES:
        return called("torch._utils", "_rebuild_tensor_v2", *head, *marks)
    return called("torch._utils", "_rebuild_tensor_v3", *head, named("torch", dtype), *marks)
