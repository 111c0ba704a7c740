"""The bytes of a tensor: as numpy has them, as torch has them, and read only on demand.

For strided tensors the expectation is worked out by numpy alone on the whole storage.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import BytesPayload, Payload
from ptzip.tensors import to_numpy as arrays
from ptzip.tensors.dtypes import BY_NAME, DTYPES
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from tests.corpus import ROOT

ROWS = [pytest.param(dtype.name, id=dtype.name) for dtype in DTYPES]
BYTES = bytes(range(256))


def storage(data: bytes, dtype: str = "float32", **more: Any) -> Storage:
    return Storage("0", BY_NAME[dtype], len(data), lambda: BytesPayload(data), **more)


def strided(data: bytes, dtype: str, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, **more: Any) -> Tensor:
    return Tensor(dtype, shape, stride, offset, storage=storage(data, dtype), **more)


DATA = np.arange(64, dtype=np.float32)


@given(st.data())
def test_any_view_has_the_values_that_numpy_sees_there(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4)))
    stride = tuple(data.draw(st.integers(0, 6)) for _ in shape)
    reach = sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) if 0 not in shape else 0
    offset = data.draw(st.integers(0, 63 - min(reach, 63)))
    if reach + offset > 63:
        return
    tensor = strided(DATA.tobytes(), "float32", shape, stride, offset)
    expected = np.lib.stride_tricks.as_strided(DATA[offset:], shape, [4 * step for step in stride])
    np.testing.assert_array_equal(tensor.numpy(), expected)
    assert tensor.tobytes() == expected.tobytes()
    assert tensor.nbytes == expected.nbytes
    assert tensor.numel == expected.size


@pytest.mark.parametrize("dtype", ROWS)
def test_every_dtype_gives_its_bytes(dtype: str) -> None:
    item = BY_NAME[dtype].size
    per_byte = {"quint4x2": 2, "quint2x4": 4}.get(dtype, 1)
    shape = (2, 4 * per_byte)
    tensor = strided(BYTES[: 10 * item], dtype, shape, (4 * per_byte, 1), per_byte)
    assert tensor.tobytes() == BYTES[item : 9 * item]
    assert tensor.nbytes == 8 * item


@pytest.mark.parametrize("dtype", [dtype.name for dtype in DTYPES if dtype.numpy and dtype.name != "float4_e2m1fn_x2"])
def test_an_array_is_of_the_dtype_in_the_table(dtype: str) -> None:
    row = BY_NAME[dtype]
    array = strided(BYTES[: 4 * row.size], dtype, (2, 2), (2, 1)).numpy()
    assert array.dtype == np.dtype(row.numpy)
    assert array.tobytes() == BYTES[: 4 * row.size]


@pytest.mark.parametrize("dtype", [dtype.name for dtype in DTYPES if not dtype.numpy])
def test_a_dtype_that_numpy_does_not_have_is_named(dtype: str) -> None:
    with pytest.raises(UnsupportedError, match=f"numpy cannot represent {dtype}"):
        strided(BYTES[:64], dtype, (2, 2), (2, 1)).numpy()


def test_the_two_values_of_a_packed_float_stand_one_after_the_other() -> None:
    found = strided(b"\x21\x43", "float4_e2m1fn_x2", (2,), (1,)).numpy()
    assert found.shape == (4,)
    assert [float(value) for value in found] == [0.5, 1.0, 1.5, 2.0]
    assert strided(b"\x21", "float4_e2m1fn_x2", (), ()).numpy().shape == (2,)


def test_elements_that_share_a_byte_are_read_only_where_they_follow_one_another() -> None:
    with pytest.raises(UnsupportedError, match="share bytes"):
        strided(BYTES[:8], "quint4x2", (2, 2), (1, 2)).tobytes()
    with pytest.raises(UnsupportedError, match="share bytes"):
        strided(BYTES[:8], "quint4x2", (2,), (1,), 1).tobytes()


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize(("conj", "neg"), [(True, False), (False, True), (True, True)])
def test_conjugation_and_negation_are_done_when_the_values_are_read(dtype: str, conj: bool, neg: bool) -> None:
    values = np.array([1 + 2j, -3 - 0j, complex(np.nan, np.inf)], dtype)
    expected = np.conjugate(values) if conj else values
    expected = -expected if neg else expected
    tensor = strided(values.tobytes(), dtype, (3,), (1,), is_conj=conj, is_neg=neg)
    np.testing.assert_array_equal(tensor.numpy(), expected)
    assert tensor.tobytes() == tensor.numpy().tobytes()


def test_half_complex_numbers_are_conjugated_too() -> None:
    values = np.array([1, 2, 3, -4], np.float16)
    tensor = strided(values.tobytes(), "complex32", (2,), (1,), is_conj=True)
    assert np.frombuffer(tensor.tobytes(), np.float16).tolist() == [1, -2, 3, 4]


def test_real_numbers_are_negated_and_whole_ones_never() -> None:
    assert strided(DATA.tobytes(), "float32", (3,), (1,), is_neg=True).numpy().tolist() == [-0.0, -1, -2]
    with pytest.raises(UnsupportedError, match="int32"):
        strided(DATA.tobytes(), "int32", (3,), (1,), is_neg=True).numpy()


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint8", "float64", "bfloat16", "bool"])
def test_a_foreign_byte_order_is_turned(dtype: str) -> None:
    item = BY_NAME[dtype].size
    foreign = b"".join(BYTES[at : at + item][::-1] for at in range(0, 8 * item, item))
    tensor = Tensor(dtype, (2, 2), (3, 1), 1, storage=storage(foreign, dtype, big_endian=True))
    expected = [BYTES[place * item : (place + 1) * item] for place in (1, 2, 4, 5)]
    assert tensor.tobytes() == b"".join(expected)


@pytest.mark.parametrize(("dtype", "half"), [("complex64", 4), ("complex128", 8)])
def test_complex_numbers_are_turned_by_their_halves(dtype: str, half: int) -> None:
    foreign = b"".join(BYTES[at : at + half][::-1] for at in range(0, 4 * half, half))
    tensor = Tensor(dtype, (2,), (1,), storage=storage(foreign, dtype, big_endian=True))
    assert tensor.tobytes() == BYTES[: 4 * half]


def test_untyped_storages_are_not_turned_as_torch_does_not() -> None:
    tensor = Tensor("uint16", (2,), (1,), storage=storage(BYTES[:4], "uint8", big_endian=True))
    assert tensor.tobytes() == BYTES[:4]


class Watched:
    """A payload that records what is requested of it."""

    seekable = True

    def __init__(self, data: bytes) -> None:
        self.data, self.length = data, len(data)
        self.requested: list[tuple[int, int]] = []

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        self.requested.append((start, stop))
        yield self.data[start:stop]


def test_only_the_bytes_between_the_first_and_the_last_element_are_read() -> None:
    payload = Watched(DATA.tobytes())
    held = Storage("0", BY_NAME["float32"], payload.length, lambda: payload)
    tensor = Tensor("float32", (2, 2), (10, 1), 5, storage=held)
    assert payload.requested == []
    assert tensor.numpy().tolist() == [[5, 6], [15, 16]]
    assert payload.requested == [(20, 68)]


def test_a_tensor_without_elements_reads_nothing() -> None:
    def nowhere() -> Payload:
        raise FormatError("storage 0 is missing")

    held = Storage("0", BY_NAME["float32"], 0, nowhere)
    assert Tensor("float32", (0, 3), (3, 1), 7, storage=held).numpy().shape == (0, 3)
    assert Tensor("float32", (0, 3), (3, 1), 7, storage=held).tobytes() == b""


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        ((65,), (1,), 0),
        ((1,), (1,), 64),
        ((2, 2), (64, 1), 0),
        ((-1,), (1,), 0),
        ((2,), (-1,), 5),
        ((2,), (1,), -1),
        ((2,), (), 0),
    ],
)
def test_a_view_past_its_storage_is_a_format_error(shape: tuple[int, ...], stride: tuple[int, ...], offset: int) -> None:
    tensor = strided(DATA.tobytes(), "float32", shape, stride, offset)
    for read in (tensor.numpy, tensor.tobytes):
        with pytest.raises(FormatError):
            read()


def test_a_shape_beyond_what_can_be_addressed_is_a_format_error() -> None:
    tensor = strided(DATA.tobytes(), "float32", (2**40, 2**40), (0, 0))
    with pytest.raises(FormatError, match="does not fit"):
        tensor.numpy()
    with pytest.raises(LimitError, match="repeats"):
        tensor.tobytes()


def test_a_value_that_repeats_is_a_view_and_is_copied_only_within_reason() -> None:
    tensor = strided(DATA.tobytes(), "float32", (2**40,), (0,))
    assert tensor.numpy().shape == (2**40,)
    with pytest.raises(LimitError, match="repeats 4 bytes"):
        tensor.tobytes()
    assert len(strided(DATA.tobytes(), "float32", (2**20,), (0,)).tobytes()) == 2**22


def test_more_dimensions_than_numpy_takes_are_not_supported() -> None:
    tensor = strided(DATA.tobytes(), "float32", (1,) * 40, (1,) * 40)
    with pytest.raises(UnsupportedError, match="40 dimensions"):
        tensor.numpy()


def test_an_array_may_be_written_to() -> None:
    array = strided(DATA.tobytes(), "float32", (4,), (1,)).numpy()
    array[0] = 5
    assert array[0] == 5


PART = Tensor("float32", (1,), (1,), storage=storage(BYTES[:4]))


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (
            Tensor("float32", (2,), layout="sparse_coo", components={"indices": PART, "values": PART}),
            "its indices, values can",
        ),
        (Tensor("float32", (2,), (1,), device="meta"), "a tensor on device meta has no values"),
        (Tensor(layout="uninitialized"), "layout uninitialized has no values"),
        (Tensor("float32", (2,), (1,), components={"a": PART}), "its a can"),
        (Tensor("int3", (2,), (1,), storage=PART.storage), "dtype int3"),
    ],
)
def test_what_has_no_values_of_its_own_is_named(tensor: Tensor, message: str) -> None:
    for read in (tensor.numpy, tensor.tobytes):
        with pytest.raises(UnsupportedError, match=message):
            read()


def test_the_bytes_of_a_made_tensor_are_those_of_its_components() -> None:
    sparse = Tensor("float32", (100, 100), layout="sparse_coo", components={"indices": PART, "values": PART})
    assert (sparse.nbytes, sparse.numel) == (8, 10_000)
    assert Tensor("float32", layout="jagged", components={"values": PART}).numel == 1
    assert Tensor("int8", (2, 3), (3, 1), device="meta").nbytes == 6
    assert (Tensor().nbytes, Tensor().numel, Tensor(layout="uninitialized").numel) == (0, 1, 0)


def test_tensors_are_equal_only_to_themselves() -> None:
    one, other = (strided(BYTES[:4], "float32", (1,), (1,)) for _ in range(2))
    assert one != other
    assert len({one, other, one}) == 2
    assert repr(one) == "<Tensor float32 [1], 4 bytes>"


def test_a_tensor_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        PART.dtype = "int8"  # type: ignore[misc]


@pytest.mark.parametrize("wrong", [3, 5])
def test_a_storage_of_another_length_than_announced_is_a_format_error(wrong: int) -> None:
    held = Storage("k", BY_NAME["uint8"], 4, lambda: BytesPayload(bytes(wrong)))
    with pytest.raises(FormatError, match=f"storage k is {wrong} bytes long, expected 4"):
        held.read(0, 4)


def test_a_view_reads_the_bytes_of_its_base() -> None:
    base = storage(BYTES, "uint8")
    view = Storage("v", BY_NAME["uint8"], 10, base.payload, base=base, start=100)
    assert view.read(2, 5) == BYTES[102:105]
    with pytest.raises(FormatError, match="bytes 5 to 11 of storage v are used, and it has 10"):
        view.read(5, 11)


@pytest.mark.parametrize(("dtype", "expected"), [("float64", [1.5, -2]), ("int32", [1, -2]), ("bfloat16", [1.5, -2])])
def test_numbers_are_cast_as_torch_casts_them(dtype: str, expected: list[float]) -> None:
    data = arrays.cast(np.array([1.5, -2], np.float32), dtype)
    assert [float(value) for value in np.frombuffer(data, np.dtype(BY_NAME[dtype].numpy))] == expected


@pytest.mark.parametrize("dtype", ["complex32", "bits8", "float4_e2m1fn_x2", "int3", ""])
def test_a_cast_to_what_numpy_does_not_have_is_not_supported(dtype: str) -> None:
    with pytest.raises(UnsupportedError, match="cannot be cast to a tensor"):
        arrays.cast(np.zeros(1), dtype)


def test_a_tensor_is_told_without_numpy() -> None:
    program = "import sys; from ptzip.tensors.tensor import Tensor; Tensor('int8', (2,)).nbytes; print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "False\n"


TORCH_VIEWS: list[Callable[[Any], Any]] = [
    lambda t: t,
    lambda t: t.t(),
    lambda t: t[1:, ::2],
    lambda t: t[:, 1].expand(3, 4),
    lambda t: t.unfold(1, 2, 1),
    lambda t: t[0, 0],
    lambda t: t[:0],
]


@pytest.mark.torch
@pytest.mark.parametrize("view", TORCH_VIEWS, ids=range(len(TORCH_VIEWS)))
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "complex64", "float16"])
def test_torch_sees_the_same_values_in_a_view(view: Callable[[Any], Any], dtype: str) -> None:
    import torch

    whole = torch.arange(24).reshape(4, 6).to(getattr(torch, dtype))
    seen = view(whole)
    held = storage(whole.numpy().tobytes(), dtype)
    tensor = Tensor(dtype, tuple(seen.shape), seen.stride(), seen.storage_offset(), storage=held)
    assert tensor.tobytes() == seen.contiguous().numpy().tobytes()
    assert tensor.nbytes == seen.nbytes
