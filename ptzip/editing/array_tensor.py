"""A numpy array of a pickle as a tensor of torch, on a storage of its own that holds the array's bytes."""

import math
from collections.abc import Callable
from typing import Protocol

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.io.payloads import BytesPayload
from ptzip.pickling.new_nodes import atom, called, named, new_tuple, ordered
from ptzip.pickling.nodes import Call, Persistent
from ptzip.tensors.dtypes import BY_NAME


class PickledDtype(Protocol):
    """Its text is the name of the dtype; `order` is ">" for big-endian."""

    @property
    def order(self) -> str: ...


class PickledArray(Protocol):
    """A numpy array or scalar as it was pickled: what is needed here of `values.rebuild_numpy.NumpyArray`; `stride` counts
    elements."""

    @property
    def dtype(self) -> PickledDtype: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def stride(self) -> tuple[int, ...]: ...
    @property
    def data(self) -> bytes | bytearray | list[object]: ...
    @property
    def is_scalar(self) -> bool: ...
    @property
    def number(self) -> int | float | bool | None: ...


BuildArray = Callable[[Call], PickledArray | None]
"""The numpy array or scalar that a call rebuilds, None for any other call. An argument of edits, since editing does not depend
on the folder that builds values."""


def array_tensor(edit: Edit, array: PickledArray, requires_grad: bool = False) -> Call | None:
    """The call that rebuilds the tensor, whose storage becomes a payload of the edit; None for what no tensor can hold.

    Arrays that have their bytes from one object, to which a few bytes of a pickle refer, are on one storage.
    """
    dtype = BY_NAME.get(str(array.dtype))
    if array.is_scalar or isinstance(array.data, list) or dtype is None or not dtype.storage or not dtype.struct:
        return None
    if array.dtype.order == ">" or len(array.data) != math.prod(array.shape) * dtype.size:
        return None
    key, _ = edit.arrays.setdefault(id(array.data), (f"array {len(edit.arrays)}", array.data))
    if key not in edit.payloads:
        edit.payloads[key] = BytesPayload(bytes(array.data))
        edit.account.reductions[Category.OTHER] -= len(array.data)
    numel = atom(len(array.data) // dtype.size)
    identity = new_tuple(atom("storage"), named("torch", dtype.storage), atom(key), atom("cpu"), numel)
    sizes = [new_tuple(*map(atom, numbers)) for numbers in (array.shape, array.stride)]
    storage = Persistent("BINPERSID", None, [identity])
    return called("torch._utils", "_rebuild_tensor_v2", storage, atom(0), *sizes, atom(requires_grad), ordered([]))
