"""The values of a tensor in order: what numpy makes of any view, from any part of it, in bounded memory."""

import math
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptzip.io.payloads import BytesPayload
from ptzip.tensors import inorder
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.inorder import InOrder
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import element_range
from ptzip.tensors.tensor import Tensor


def on(data: bytes, dtype: str, **told: Any) -> Tensor:
    """A tensor on some bytes."""
    big_endian = told.pop("big_endian", False)
    held = Storage("0", BY_NAME[dtype], len(data), lambda: BytesPayload(data), big_endian=big_endian)
    return Tensor(dtype, storage=held, **told)


View = tuple[tuple[int, ...], tuple[int, ...], int]


@st.composite
def views(draw: st.DrawFn) -> View:
    """A shape, strides and an offset, as slicing, turning and expanding make them."""
    sizes = draw(st.lists(st.integers(1, 6), max_size=4))
    steps = draw(st.permutations(range(len(sizes))))
    stride, step = [0] * len(sizes), 1
    for axis in steps:
        step *= draw(st.integers(1, 3))
        stride[axis] = step * draw(st.integers(0, 1))
        step *= sizes[axis]
    return tuple(sizes), tuple(stride), draw(st.integers(0, 5))


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(views(), st.sampled_from(["float32", "int8", "float16", "complex64", "int64"]), st.booleans(), st.data())
@pytest.mark.parametrize(("apart", "least"), [(inorder.APART, inorder.LEAST_READ), (1 << 14, 0), (16, 0), (0, 0)])
def test_any_part_of_any_view_is_what_numpy_makes_of_it(
    apart: int,
    least: int,
    view: tuple[tuple[int, ...], tuple[int, ...], int],
    dtype: str,
    big_endian: bool,
    data: st.DataObject,
) -> None:
    """Read in stretches, in halves, and run by run, as large tensors are."""
    shape, stride, offset = view
    _, stop = element_range(offset, shape, stride)
    numbers = np.random.default_rng(stop).integers(0, 100, stop).astype(dtype)
    stored = numbers.astype(numbers.dtype.newbyteorder(">")) if big_endian else numbers
    tensor = on(stored.tobytes(), dtype, shape=shape, stride=stride, offset=offset, big_endian=big_endian)
    strided = np.lib.stride_tricks.as_strided(numbers[offset:], shape, [step * numbers.itemsize for step in stride])
    expected, payload = np.ascontiguousarray(strided).tobytes(), InOrder(tensor)
    count = math.prod(shape)
    first = data.draw(st.integers(0, count))
    last = data.draw(st.integers(first, count))
    with mock.patch.multiple(inorder, APART=apart, LEAST_READ=least):
        part = b"".join(payload.chunks(first * numbers.itemsize, last * numbers.itemsize))
    assert payload.length == len(expected)
    assert part == expected[first * numbers.itemsize : last * numbers.itemsize]


@pytest.mark.parametrize("block", [8, 40, 1000])
def test_it_is_the_same_in_blocks_of_any_size(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inorder, "BLOCK", block)
    monkeypatch.setattr(inorder, "LEAST_READ", 16)
    numbers = np.arange(6 * 7 * 5, dtype=np.float32).reshape(6, 7, 5)
    tensor = on(numbers.tobytes(), "float32", shape=(5, 6, 7), stride=(1, 35, 5))
    assert b"".join(InOrder(tensor).chunks(0, numbers.nbytes)) == np.ascontiguousarray(numbers.transpose(2, 0, 1)).tobytes()


@pytest.mark.parametrize("shape", [(100, 7), (7, 100), (3, 5, 7), (1, 1), (1000,), (2, 3, 1000)])
def test_a_block_ends_where_a_row_does_unless_rows_are_longer(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inorder, "BLOCK", 400)
    step, row = inorder._whole_rows(on(b"", "float32", shape=shape, stride=(0,) * len(shape))), 4 * shape[-1]
    assert 0 < step <= 400
    assert step % row == 0 or row > 400


def test_a_large_transposed_tensor_is_gathered_in_bounded_memory() -> None:
    """16 MiB wide rows of which each block needs a few numbers: no more than some blocks are held."""
    import tracemalloc

    side = 4096
    numbers = np.arange(side * side, dtype=np.float32)
    tensor = on(numbers.tobytes(), "float32", shape=(side, side), stride=(1, side))
    tracemalloc.start()
    digest = 0
    for chunk in InOrder(tensor).chunks(0, numbers.nbytes):
        digest += int(np.frombuffer(chunk, np.uint32).sum(dtype=np.uint64))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert digest == int(numbers.view(np.uint32).sum(dtype=np.uint64))
    assert peak < 3 * inorder.BLOCK


@pytest.mark.parametrize(("marks", "turned"), [({"is_conj": True}, np.conj), ({"is_neg": True}, np.negative)])
def test_conjugated_and_negated_numbers_are_resolved(marks: dict[str, bool], turned: Any) -> None:
    numbers = (np.arange(6) + 1j * np.arange(6, 0, -1)).astype(np.complex64)
    tensor = on(numbers.tobytes(), "complex64", shape=(2, 3), stride=(3, 1), **marks)
    assert b"".join(InOrder(tensor).chunks(0, 48)) == turned(numbers).tobytes()


def test_nothing_is_read_of_a_tensor_without_elements() -> None:
    assert list(InOrder(on(b"", "float32", shape=(0, 3), stride=(3, 1), offset=7)).chunks(0, 0)) == []
