"""The tensors under one name in all files, and how those on one storage of the first file overlap there."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.io.buffers import Buffers
from ptzip.tensors.blocks import Box, RowMajor, storage_order
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import span, storage_of


class Place(NamedTuple):
    """Where a tensor begins: the storage that holds it, by its identity, and a byte there."""

    storage: int
    start: int


class View(NamedTuple):
    """The tensors of all files under one name, in the order of the files.

    Their dimensions are in the order of the first file's storage, as few as possible, without those that strides of 0 repeat;
    marks (conjugate, negative), which all have in common, are taken off.
    """

    name: str
    tensors: tuple[Tensor, ...]

    @property
    def storage(self) -> Storage:
        return storage_of(self.tensors[0]).root[0]

    @property
    def span(self) -> tuple[int, int]:
        """The bytes of the first file's storage, from the first to behind the last that the tensor uses."""
        start = place_of(self.tensors[0]).start
        first, stop = span(self.tensors[0])
        return start, start + stop - first

    def shifts(self) -> tuple[Place | None, ...]:
        """For each further file, where the first byte of the first file's storage would be, if the tensor is laid out alike."""
        first, *others = self.tensors
        at = place_of(first).start
        return tuple(
            Place(found.storage, found.start - at) if other.stride == first.stride else None
            for other in others
            for found in (place_of(other),)
        )


def view_of(name: str, tensors: Sequence[Tensor]) -> View:
    """Raises FormatError where a tensor exceeds its storage, LimitError where strides of 0 repeat few bytes very often."""
    for one in tensors:
        (_, stop), size = span(one), storage_of(one).size
        if stop > size:
            raise FormatError(f"a tensor ends at byte {stop} of a storage of {size} bytes")
    boxes = storage_order(*(Box(one.offset, one.shape, one.stride) for one in tensors))
    for one, box in zip(tensors, boxes, strict=True):
        check_repeats(box.numel * one.itemsize, storage_of(one).size)
    found = (replace(one, **box._asdict(), is_conj=False, is_neg=False) for one, box in zip(tensors, boxes, strict=True))
    return View(name, tuple(found))


def place_of(tensor: Tensor) -> Place:
    root, start = storage_of(tensor).root
    return Place(id(root), start + span(tensor)[0])


class Island(NamedTuple):
    """Bytes of a storage of the first file, from `first` to before `stop`, and the tensors there, which overlap or follow one
    another alike in all files."""

    first: int
    stop: int
    views: list[View]

    @property
    def is_one_view(self) -> bool:
        """Whether all tensors are the same one, which uses every element."""
        forms = {(one.offset, one.shape, one.stride) for one in (view.tensors[0] for view in self.views)}
        return len(forms) == 1 and self.views[0].tensors[0].nbytes == self.stop - self.first


def islands(views: Iterable[View]) -> list[Island]:
    """The islands of the views on one storage, in order."""
    found = list[Island]()
    for view in sorted(views, key=lambda view: view.span):
        first, stop = view.span
        last = found[-1] if found else Island(-1, -1, [])
        if first < last.stop or (first == last.stop and _are_alike(last.views[-1], view)):
            last.views.append(view)
            found[-1] = last._replace(stop=max(stop, last.stop))
        else:
            found.append(Island(first, stop, [view]))
    return found


def _are_alike(one: View, other: View) -> bool:
    """Whether what is between two tensors is the same in all files."""
    return None not in one.shifts() and one.shifts() == other.shifts()


class Digests:
    """Hashes of the values of tensors, each computed once."""

    def __init__(self) -> None:
        self._found = dict[object, bytes]()
        self._buffers = Buffers()

    def are_equal(self, tensors: Sequence[Tensor]) -> bool:
        """Whether tensors of one dtype and shape have the same bits. Raises as `Tensor.tobytes` does."""
        keys = {(place_of(one), one.dtype, one.shape, one.stride): one for one in tensors}
        return len(keys) < 2 or len({self._digest(key, one) for key, one in keys.items()}) < 2

    def _digest(self, key: object, tensor: Tensor) -> bytes:
        if key not in self._found:
            digest, payload = hashlib.blake2b(digest_size=32), RowMajor(tensor)
            for chunk in payload.chunks(0, payload.length, self._buffers):
                digest.update(chunk)
            self._found[key] = digest.digest()
        return self._found[key]
