"""Two tensors: what they are, and how far their values are from one another.

Rule: two tensors are equal only once their bytes were compared; a checksum says in which way to compare them, and is never
believed, since whoever makes a file can make its checksums.
"""

from collections.abc import Hashable, Iterator
from typing import NamedTuple

from ptzip.diffing.boxes import Boxes, boxes
from ptzip.diffing.numeric import Sums, Tolerance, sums
from ptzip.diffing.payloads import bare, checksum
from ptzip.diffing.report import Fact, Form, Numbers, TensorDiff
from ptzip.errors import FormatError, LimitError, PtzipError, UnsupportedError
from ptzip.io.payloads import Payload, SlicePayload
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor

PIECE = 1 << 18
"""Bytes that are compared at once: few enough to be taken from the same memory again and again."""

NO_DTYPE = ""
"""That of a parameter that was not initialized: it has no values."""

OF_OBJECTS = ("class", "requires_grad", "device")
"""What a file that holds tensors alone does not say of them."""

Seen = Hashable
"""What tells the bytes of a tensor, and how it lies on them, from all others of its file."""


class Found(NamedTuple):
    """What was found of two tensors' values; see `TensorDiff`."""

    are_equal: bool = False
    numbers: Numbers | None = None
    problem: str = ""


class Pairs:
    """Comparisons of pairs of tensors, of two files; a pair of the same bytes is read once, whatever its names."""

    def __init__(self, tolerance: Tolerance, are_bare: bool = False) -> None:
        self.tolerance = tolerance
        self.are_bare = are_bare
        """Whether one of the files has no words for what makes a parameter of a tensor."""
        self.done: dict[tuple[Seen, Seen], Found] = {}

    def compare(self, old_name: str, old: Tensor, name: str, new: Tensor) -> TensorDiff | None:
        """How two tensors differ, or None where they are the same in everything."""
        told = tuple(fact for fact in facts(old, new) if not (self.are_bare and fact.what in OF_OBJECTS))
        seen = _seen(old), _seen(new)
        if seen not in self.done:
            self.done[seen] = _compared(old, new, self.tolerance)
        found = TensorDiff(old_name, name, form(old), form(new), told, *self.done[seen])
        return None if found.are_equal and found.old == found.new and not told else found


def form(tensor: Tensor) -> Form:
    return Form(tensor.dtype, tensor.shape, tensor.layout, tensor.nbytes)


def facts(old: Tensor, new: Tensor) -> Iterator[Fact]:
    """What is told of two tensors beside their dtype, shape and layout, and is not the same."""
    for what, one, other in (
        ("class", old.class_path, new.class_path),
        ("requires_grad", old.requires_grad, new.requires_grad),
        ("device", old.device, new.device),
        ("is_coalesced", old.is_coalesced, new.is_coalesced),
        ("qscheme", old.qscheme, new.qscheme),
        ("scale", old.scale, new.scale),
        ("zero_point", old.zero_point, new.zero_point),
        ("axis", old.axis, new.axis),
        ("components", ", ".join(old.components), ", ".join(new.components)),
    ):
        if repr(one) != repr(other):  # a scale may be NaN
            yield Fact(what, str(one), str(other))


def _seen(tensor: Tensor) -> Seen:
    held = tensor.storage
    root, start = held.root if held is not None else (tensor, 0)
    place = id(root), start
    return place, tensor.dtype, tensor.offset, tensor.shape, tensor.stride, tensor.is_conj, tensor.is_neg, tensor.layout


def _compared(old: Tensor, new: Tensor, tolerance: Tolerance) -> Found:
    if old.shape != new.shape or old.layout != new.layout:
        return Found()
    if old.storage is None and new.storage is None:  # it is what it is made of, which has names of its own, or it has no values
        is_known = bool(old.components) or {old.dtype, new.dtype} <= {*BY_NAME, NO_DTYPE}
        return Found(is_known, problem="" if is_known else f"values of dtype {old.dtype} are not read")
    try:
        return _of_values(old, new, tolerance)
    except (UnsupportedError, LimitError) as error:
        return _of_storages(old, new, str(error))
    except FormatError as error:
        return Found(problem=str(error))


def _of_values(old: Tensor, new: Tensor, tolerance: Tolerance) -> Found:
    cut = boxes(old, new)
    is_same_dtype = old.dtype == new.dtype
    if is_same_dtype and _may_be_equal(old, new) and _are_bytes_equal(cut):
        return Found(are_equal=True)
    found, are_equal = Sums(), is_same_dtype
    for one, other in cut.pairs():
        a, b = one.numpy(), other.numpy()
        are_equal = are_equal and a.tobytes() == b.tobytes()
        found = found.joined(sums(a, b, tolerance))
    return Found(are_equal, None if are_equal else found.repeated(cut.repeats).numbers())


def _may_be_equal(old: Tensor, new: Tensor) -> bool:
    """Whether the checksums, where there are any, leave it open: then nothing is computed before the bytes differ."""
    if old.storage is None or new.storage is None or old.storage.size != new.storage.size:
        return False
    return checksum(old.storage) == checksum(new.storage)


def _are_bytes_equal(cut: Boxes) -> bool:
    return all(_is_box_equal(one, other) for one, other in cut.pairs())


def _is_box_equal(one: Tensor, other: Tensor) -> bool:
    """Whether two boxes have the same bytes; where these lie in the files as they are, piece by piece."""
    a, b = _stretch(one), _stretch(other)
    return _are_same(a, b) if a is not None and b is not None else one.tobytes() == other.tobytes()


def _stretch(tensor: Tensor) -> SlicePayload | None:
    """The bytes of a tensor, where they follow one another in the file as they do in the tensor."""
    held = tensor.storage
    is_plain = tensor.stride in ((), (1,)) and not (tensor.is_conj or tensor.is_neg)
    if held is None or held.big_endian or not is_plain:
        return None
    return SlicePayload(held.payload(), tensor.offset * tensor.itemsize, tensor.nbytes)


def _of_storages(old: Tensor, new: Tensor, why: str) -> Found:
    """Values that are no numbers, or too many, are the same where they lie in the same way on the same bytes."""
    if old.storage is None or new.storage is None or _laid(old) != _laid(new):
        return Found(problem=why)
    try:
        is_same = are_storages_same(old.storage, new.storage)
        return Found(is_same, problem="" if is_same else f"its bytes differ, and {why}")
    except PtzipError as error:
        return Found(problem=str(error))


def _laid(tensor: Tensor) -> Hashable:
    held = tensor.storage
    order = (held.size, held.big_endian, held.dtype) if held is not None else ()
    return order, tensor.dtype, tensor.offset, tensor.stride, tensor.is_conj, tensor.is_neg


def are_storages_same(one: Storage, other: Storage) -> bool:
    """Whether two storages have the same bytes."""
    return _are_same(bare(one), bare(other))


def _are_same(a: Payload, b: Payload) -> bool:
    return a.length == b.length and all(_part(a, at) == _part(b, at) for at in range(0, a.length, PIECE))


def _part(payload: Payload, at: int) -> bytes:
    return b"".join(payload.chunks(at, min(at + PIECE, payload.length)))
