"""The storages of a pickle, one object per key, so that tensors sharing bytes can be recognized."""

from functools import partial

from ptzip.errors import FormatError
from ptzip.formats.container import NamedTensor, Part
from ptzip.io.payloads import Payload, SlicePayload
from ptzip.tensors.dtypes import DType
from ptzip.tensors.references import StorageRef
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor


class PartStorages:
    def __init__(self, part: Part) -> None:
        self.part = part
        self.storages: dict[str, Storage] = {}
        self.payloads: dict[str, Payload] = {}
        self.views: dict[tuple[str, tuple[str, int, int]], Storage] = {}

    def of(self, reference: StorageRef) -> Storage:
        """The storage of a persistent id; torch takes the dtype of the first reference to a key."""
        known = self.part.storages.get(reference.key)
        if known is None:
            raise FormatError(f"storage {reference.key} is missing", reference.node.offset)
        found = self._whole(known.key, known.dtype, known.size, reference.location)
        if reference.view is None:
            return found
        if (found.key, reference.view) not in self.views:
            self.views[found.key, reference.view] = _view(found, *reference.view)
        return self.views[found.key, reference.view]

    def tar_tensor(self, named: NamedTensor) -> Tensor:
        held = self._whole(named.storage, named.dtype, self.part.stored(named.storage).length, "cpu")
        return Tensor(named.dtype.name, named.shape, named.stride, named.offset, storage=held, device=held.location)

    def _whole(self, key: str, dtype: DType, size: int, location: str) -> Storage:
        if key not in self.storages:
            payload = partial(_found_once, self.payloads, self.part, key)
            self.storages[key] = Storage(key, dtype, size, payload, location, self.part.big_endian)
        return self.storages[key]


def _found_once(found: dict[str, Payload], part: Part, key: str) -> Payload:
    """The payload of a storage, the same one each time, so that its CRC is noted once."""
    if key not in found:
        found[key] = part.stored(key)
    return found[key]


def _view(base: Storage, key: str, offset: int, numel: int) -> Storage:
    """A part of a storage under a key of its own, in legacy streams of torch 0.x."""
    start, size = offset * base.dtype.size, numel * base.dtype.size
    if not 0 <= start <= start + size <= base.size:
        raise FormatError(f"storage {key} extends past the end of storage {base.key}, of which it is a view")

    def payload() -> Payload:
        return SlicePayload(base.payload(), start, size)

    return Storage(key, base.dtype, size, payload, base.location, base.big_endian, base, start)
