"""The comparison of two tensors: their attributes, and how far their values are apart.

Two tensors are equal only once their bytes were compared. A checksum only decides how to compare them: the author of a
file can choose its checksums.
"""

from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from ptzip.diffing.box_pairs import box_pairs, readable
from ptzip.diffing.numeric import Sums, Tolerance, sums
from ptzip.diffing.report import Fact, Form, NumericDifference, TensorDiff
from ptzip.errors import FormatError, LimitError, PtzipError, UnsupportedError
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import CountBytes, Payload, SlicePayload
from ptzip.io.workers import share
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor, check_overlaps

PIECE = 1 << 18
"""Bytes that are compared at once: few enough to stay in the caches."""

UNINITIALIZED = ""
"""The dtype of an uninitialized parameter, which has no values."""

PICKLE_ONLY = ("class", "requires_grad", "device")
"""Attributes that formats of tensors alone (safetensors, npz) do not store."""


class Outcome(NamedTuple):
    """What comparing the values of two tensors found; see `TensorDiff`."""

    are_equal: bool = False
    numbers: NumericDifference | None = None
    problem: str = ""


class TensorPairs:
    """Compares pairs of tensors of two files; pairs on the same bytes are read once, whatever their names."""

    def __init__(self, tolerance: Tolerance, ignored: tuple[str, ...] = ()) -> None:
        self.tolerance = tolerance
        self.ignored = ignored
        """Names of attributes that are not compared."""
        self._outcomes: dict[tuple[Hashable, Hashable], Outcome] = {}

    def read(self, tensors: Iterable[tuple[Tensor, Tensor]], count_bytes: CountBytes) -> None:
        """Compare the values of pairs of tensors ahead, in several threads."""
        distinct = dict[tuple[Hashable, Hashable], list[tuple[Tensor, Tensor]]]()
        for old, new in tensors:
            distinct.setdefault((_identity(old), _identity(new)), []).append((old, new))
        check_overlaps(some[0][0] for some in distinct.values())
        check_overlaps(some[0][1] for some in distinct.values())

        def work(pair: tuple[Hashable, Hashable], buffers: Buffers) -> None:
            old, new = distinct[pair][0]
            self._outcomes[pair] = _compared(old, new, self.tolerance, buffers)
            count_bytes(sum(old.nbytes for old, _ in distinct[pair]))

        share(work, distinct)

    def compare(self, old_name: str, old: Tensor, name: str, new: Tensor) -> TensorDiff | None:
        """How two tensors differ, or None where nothing differs."""
        facts = tuple(fact for fact in _facts(old, new) if fact.what not in self.ignored)
        pair = _identity(old), _identity(new)
        if pair not in self._outcomes:
            self._outcomes[pair] = _compared(old, new, self.tolerance, Buffers())
        found = TensorDiff(old_name, name, form(old), form(new), facts, *self._outcomes[pair])
        return None if found.are_equal and found.old == found.new and not facts else found


def form(tensor: Tensor) -> Form:
    return Form(tensor.dtype, tensor.shape, tensor.layout, tensor.nbytes)


def _facts(old: Tensor, new: Tensor) -> Iterator[Fact]:
    """The attributes that differ, besides dtype, shape and layout."""
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


def _identity(tensor: Tensor) -> Hashable:
    """What distinguishes the bytes of a tensor, and its view of them, from all others of its file."""
    root, start = tensor.storage.root if tensor.storage is not None else (tensor, 0)
    view = tensor.dtype, tensor.offset, tensor.shape, tensor.stride, tensor.is_conj, tensor.is_neg, tensor.layout
    return id(root), start, view


def _compared(old: Tensor, new: Tensor, tolerance: Tolerance, buffers: Buffers) -> Outcome:
    if old.shape != new.shape or old.layout != new.layout:
        return Outcome()
    if old.storage is None and new.storage is None:  # its components have names of their own, or it has no values
        is_known = bool(old.components) or {old.dtype, new.dtype} <= {*BY_NAME, UNINITIALIZED}
        return Outcome(is_known, problem="" if is_known else f"values of dtype {old.dtype} are not supported")
    try:
        return _of_values(old, new, tolerance, buffers)
    except (UnsupportedError, LimitError) as error:
        return _of_storages(old, new, str(error))
    except FormatError as error:
        return Outcome(problem=str(error))


def _of_values(old: Tensor, new: Tensor, tolerance: Tolerance, buffers: Buffers) -> Outcome:
    pairs, is_same_dtype = box_pairs(old, new), old.dtype == new.dtype
    if is_same_dtype and _may_be_equal(old, new) and all(_are_boxes_equal(a, b) for a, b in pairs.boxes()):
        return Outcome(are_equal=True)
    found, are_equal = Sums(), is_same_dtype
    for one, other in pairs.boxes():
        a, b = one.numpy(), other.numpy()
        are_equal = are_equal and a.tobytes() == b.tobytes()
        found = found.joined(sums(a, b, tolerance, buffers))
    return Outcome(are_equal, None if are_equal else found.numbers(pairs.repeats))


def _may_be_equal(old: Tensor, new: Tensor) -> bool:
    """Whether the recorded checksums allow it; then the bytes are compared before any numbers are computed."""
    if old.storage is None or new.storage is None or old.storage.size != new.storage.size:
        return False
    return old.storage.recorded_crc == new.storage.recorded_crc


def _are_boxes_equal(one: Tensor, other: Tensor) -> bool:
    a, b = _stretch(one), _stretch(other)
    return _are_payloads_equal(a, b) if a is not None and b is not None else one.tobytes() == other.tobytes()


def _stretch(tensor: Tensor) -> Payload | None:
    """The bytes of a tensor as they are in the file, where they are in the same order there."""
    is_plain = tensor.stride in ((), (1,)) and not (tensor.is_conj or tensor.is_neg)
    if tensor.storage is None or tensor.storage.big_endian or not is_plain:
        return None
    return SlicePayload(tensor.storage.payload(), tensor.offset * tensor.itemsize, tensor.nbytes)


def _of_storages(old: Tensor, new: Tensor, reason: str) -> Outcome:
    """Values that numpy cannot represent, or too many of them: equal where they are the same view of equal storages."""
    if old.storage is None or new.storage is None or _view(old, old.storage) != _view(new, new.storage):
        return Outcome(problem=reason)
    try:
        are_equal = are_storages_equal(old.storage, new.storage)
        return Outcome(are_equal, problem="" if are_equal else f"its bytes differ, and {reason}")
    except PtzipError as error:
        return Outcome(problem=str(error))


def _view(tensor: Tensor, storage: Storage) -> Hashable:
    order = storage.size, storage.big_endian, storage.dtype
    return order, tensor.dtype, tensor.offset, tensor.stride, tensor.is_conj, tensor.is_neg


def are_storages_equal(one: Storage, other: Storage) -> bool:
    """Whether two storages have the same bytes."""
    return _are_payloads_equal(readable(one), readable(other))


def _are_payloads_equal(a: Payload, b: Payload) -> bool:
    return a.length == b.length and all(_piece(a, at) == _piece(b, at) for at in range(0, a.length, PIECE))


def _piece(payload: Payload, at: int) -> bytes:
    return b"".join(payload.chunks(at, min(at + PIECE, payload.length)))
