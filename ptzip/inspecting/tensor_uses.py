"""Which bytes of the file each tensor uses: every byte of a storage counts once, and what no tensor uses is named."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ptzip.errors import PtzipError
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import element_range
from ptzip.tensors.tensor import Tensor


class TensorUse(NamedTuple):
    """A tensor by name. `own` are the bytes of storages that it uses and none that is listed for them before.

    `shared` is the name of the first tensor on its storage, `duplicate` that of the first one on a storage of equal dtype,
    length and CRC; each is "" where there is none but itself.
    """

    name: str
    tensor: Tensor
    own: int = 0
    shared: str = ""
    duplicate: str = ""


class UnusedBytes(NamedTuple):
    """Bytes of a storage that no tensor uses, and the name of the first tensor on it."""

    name: str
    storage: str
    size: int


class TensorUses(NamedTuple):
    """All tensors of a file, in its order."""

    tensors: tuple[TensorUse, ...]
    unused: tuple[UnusedBytes, ...]


class _Span(NamedTuple):
    """The bytes of a storage that a tensor uses; `at` is the index of the tensor."""

    first: int
    last: int
    at: int


def tensor_uses(tensors: Mapping[str, Tensor]) -> TensorUses:
    """The uses of all tensors. No storage is read."""
    names = list(tensors)
    users: dict[Storage, list[_Span]] = {}
    for at, tensor in enumerate(tensors.values()):
        for storage, first, last in _spans(tensor):
            users.setdefault(storage, []).append(_Span(first, last, at))
    own, shared, unused = [0] * len(names), [""] * len(names), list[UnusedBytes]()
    for storage, spans in users.items():
        covered = end = 0
        for span in sorted(spans):
            new = max(0, span.last - max(span.first, end))
            own[span.at] += new
            covered, end = covered + new, max(end, span.last)
            if span.at != spans[0].at:
                shared[span.at] = names[spans[0].at]
        if covered < storage.size:
            unused.append(UnusedBytes(names[spans[0].at], storage.key, storage.size - covered))
    duplicate = {spans[0].at: names[users[first][0].at] for storage, first in _duplicates(users) for spans in [users[storage]]}
    rows = zip(tensors.items(), own, shared, strict=True)
    found = (TensorUse(*item, size, first, duplicate.get(at, "")) for at, (item, size, first) in enumerate(rows))
    return TensorUses(tuple(found), tuple(unused))


def _spans(tensor: Tensor) -> Iterator[tuple[Storage, int, int]]:
    """The bytes that a tensor uses, or its components do, each with the storage that has them in the file."""
    for part in tensor.with_components:
        if part.storage is None:
            continue
        storage, start = part.storage.root
        is_strided = len(part.stride) == len(part.shape)
        first, last = element_range(part.offset, part.shape, part.stride) if is_strided else (0, 0)
        yield storage, start + first * part.itemsize, min(start + last * part.itemsize, storage.size)


def _duplicates(storages: Mapping[Storage, object]) -> Iterator[tuple[Storage, Storage]]:
    """Storages that are likely equal to an earlier one, by what the file records of them, each with that one."""
    known: dict[tuple[str, str, int, int], Storage] = {}
    for storage in storages:
        try:
            crc = storage.recorded_crc
        except PtzipError:  # its record is missing
            continue
        if crc and storage.size:
            first = known.setdefault((storage.dtype.name, storage.location, storage.size, crc), storage)
            if first is not storage:
                yield storage, first
