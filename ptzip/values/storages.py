"""The storages of one pickle, and the tensors that a tar file names.

Rule: one key is one `Storage` object, and one view of it too, so that tensors on the same bytes can be told.
"""

import functools

from ptzip.errors import FormatError
from ptzip.formats.container import NamedTensor, Part
from ptzip.io.payloads import Payload, SlicePayload
from ptzip.tensors.dtypes import DType
from ptzip.tensors.references import StorageRef
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor

View = tuple[str, int, int]
"""Key, offset and elements of a storage that is a part of another."""


class Storages:
    """The storages of a part by key, made when they are first asked for."""

    def __init__(self, part: Part) -> None:
        self.part = part
        self._made: dict[str, Storage] = {}
        self._views: dict[tuple[str, View], Storage] = {}

    def storage(self, reference: StorageRef) -> Storage:
        """The storage of a persistent id; torch takes the dtype of the first reference to a key."""
        known = self.part.storages[reference.key]
        found = self._storage(known.key, known.dtype, known.size, reference.location)
        return found if reference.view is None else self._view(found, reference.view)

    def _storage(self, key: str, dtype: DType, size: int, location: str) -> Storage:
        if key not in self._made:
            payload = functools.cache(functools.partial(self.part.stored, key))  # one, so that its CRC is noted once
            self._made[key] = Storage(key, dtype, size, payload, location, self.part.big_endian)
        return self._made[key]

    def _view(self, base: Storage, view: View) -> Storage:
        if (base.key, view) not in self._views:
            key, offset, numel = view
            start, size = offset * base.dtype.size, numel * base.dtype.size
            if not 0 <= start <= start + size <= base.size:
                raise FormatError(f"storage {key} reaches past storage {base.key}, of which it is a view")

            def payload() -> Payload:
                return SlicePayload(base.payload(), start, size)

            made = Storage(key, base.dtype, size, payload, base.location, base.big_endian, base, start)
            self._views[base.key, view] = made
        return self._views[base.key, view]

    def tensor(self, named: NamedTensor) -> Tensor:
        """A tensor that a tar file names."""
        held = self._storage(named.storage, named.dtype, self.part.stored(named.storage).length, "cpu")
        return Tensor(named.dtype.name, named.shape, named.stride, named.offset, storage=held, device=held.location)
