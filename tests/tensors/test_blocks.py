"""Blocks of strided tensors: what numpy makes of any view, whatever part of it is read, in bounded memory."""

import math
import tracemalloc
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptzip.io.payloads import BytesPayload, JoinedPayload, read_all
from ptzip.io.sources import CHUNK
from ptzip.tensors import blocks
from ptzip.tensors.blocks import Box, RowMajor, UsedElements, block_size, cut, rows, storage_order
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.storage import Storage
from ptzip.tensors.strides import element_range
from ptzip.tensors.tensor import Tensor


def on(data: bytes, dtype: str, **attributes: Any) -> Tensor:
    """A tensor on some bytes."""
    big_endian = attributes.pop("big_endian", False)
    payload = attributes.pop("payload", BytesPayload(data))
    storage = Storage("0", BY_NAME[dtype], len(data), lambda: payload, big_endian=big_endian)
    return Tensor(dtype, storage=storage, **attributes)


@st.composite
def views(draw: st.DrawFn) -> Box:
    """A shape, strides and an offset, as slicing, transposing and expanding make them."""
    sizes = draw(st.lists(st.integers(1, 6), max_size=4))
    steps = draw(st.permutations(range(len(sizes))))
    stride, step = [0] * len(sizes), 1
    for axis in steps:
        step *= draw(st.integers(1, 3))
        stride[axis] = step * draw(st.integers(0, 1))
        step *= sizes[axis]
    return Box(draw(st.integers(0, 5)), tuple(sizes), tuple(stride))


def positions(box: Box) -> list[int]:
    """Where the elements of a box are in the storage, in row-major order."""
    found = np.full(box.shape, box.offset)
    for axis, step in enumerate(box.stride):
        found += np.arange(box.shape[axis]).reshape([-1 if place == axis else 1 for place in range(len(box.shape))]) * step
    return [int(position) for position in found.ravel()]


# Cutting


@settings(deadline=None)
@given(views())
def test_in_storage_order_a_box_has_the_same_elements_sorted(box: Box) -> None:
    (found,) = storage_order(box)
    assert positions(found) == sorted(set(positions(box)))
    assert all(outer > inner > 0 for outer, inner in zip(found.stride, found.stride[1:], strict=False))


@settings(deadline=None)
@given(views(), st.data())
def test_rows_are_the_elements_from_one_to_another(box: Box, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, box.numel))
    last = data.draw(st.integers(first, box.numel))
    if first < last or not box.shape:
        first, last = (first, last) if box.shape else (0, 1)
        found = [position for part in rows(box, first, last) for position in positions(part)]
        assert found == positions(box)[first:last]


@settings(deadline=None)
@given(views(), st.integers(1, 50))
def test_a_box_is_halved_until_its_parts_fit(box: Box, most: int) -> None:
    whole = np.array(positions(box)).reshape(box.shape)
    seen = np.zeros(box.shape, int)
    for index, (part,) in cut((box,), lambda part: part.span[1] - part.span[0] <= most):
        assert positions(part) == whole[index].ravel().tolist()
        assert part.span[1] - part.span[0] <= most
        seen[index] += 1
    assert (seen == 1).all()


@pytest.mark.parametrize("shape", [(100, 7), (7, 100), (3, 5, 7), (1, 1), (1000,), (2, 3, 1000)])
def test_a_block_ends_where_a_row_does_unless_rows_are_longer(shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 400)
    stride = tuple(range(len(shape)))  # not in the order of the storage
    size, row = 4 * block_size(Box(0, shape, stride), 4), 4 * shape[-1]
    assert 0 < size <= (400 if len(shape) > 1 else CHUNK)
    assert size % row == 0 or row > 400


# The values of a tensor in row-major order


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(views(), st.sampled_from(["float32", "int8", "float16", "complex64", "int64"]), st.booleans(), st.booleans(), st.data())
@pytest.mark.parametrize(("apart", "least"), [(blocks.FAR_APART, blocks.LEAST_READ), (1 << 14, 0), (16, 0), (0, 0)])
def test_any_part_of_any_view_is_what_numpy_makes_of_it(
    apart: int, least: int, view: Box, dtype: str, big_endian: bool, is_seekable: bool, data: st.DataObject
) -> None:
    """Read in stretches, in halves, and run by run, as large tensors are."""
    _, stop = element_range(*view)
    numbers = np.random.default_rng(stop).integers(0, 100, stop).astype(dtype)
    stored = (numbers.astype(numbers.dtype.newbyteorder(">")) if big_endian else numbers).tobytes()
    payload = BytesPayload(stored) if is_seekable else Forward((BytesPayload(stored[:7]), BytesPayload(stored[7:])))
    tensor = on(stored, dtype, payload=payload, big_endian=big_endian, **view._asdict())
    expected, values = numbers[positions(view)].tobytes(), RowMajor(tensor)
    first = data.draw(st.integers(0, view.numel))
    last = data.draw(st.integers(first, view.numel))
    most = data.draw(st.sampled_from([8, 40, 1000]))
    with mock.patch.multiple(blocks, FAR_APART=apart, LEAST_READ=least, BLOCK=max(most, numbers.itemsize)):
        part = b"".join(values.chunks(first * numbers.itemsize, last * numbers.itemsize))
    assert values.length == len(expected)
    assert part == expected[first * numbers.itemsize : last * numbers.itemsize]


class Forward(JoinedPayload):
    """A payload that is not seekable."""

    seekable = False


@pytest.mark.parametrize("block", [8, 40, 1000])
def test_values_are_the_same_in_blocks_of_any_size(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", block)
    monkeypatch.setattr(blocks, "LEAST_READ", 16)
    numbers = np.arange(6 * 7 * 5, dtype=np.float32).reshape(6, 7, 5)
    tensor = on(numbers.tobytes(), "float32", shape=(5, 6, 7), stride=(1, 35, 5))
    assert read_all(RowMajor(tensor)) == np.ascontiguousarray(numbers.transpose(2, 0, 1)).tobytes()


@pytest.mark.parametrize("stride", [(1, 4096), (4096, 1)])
def test_a_large_tensor_is_gathered_in_bounded_memory(stride: tuple[int, int]) -> None:
    """Transposed, each block needs a few numbers of rows of 16 KiB; as it is, it is cut since its numbers are negated."""
    side = 4096
    numbers = np.arange(side * side, dtype=np.float32)
    tensor = on(numbers.tobytes(), "float32", shape=(side, side), stride=stride, is_neg=stride[1] == 1)
    tracemalloc.start()
    digest = 0
    for chunk in RowMajor(tensor).chunks(0, numbers.nbytes):
        digest += int((np.frombuffer(chunk, np.uint32) & 0x7FFFFFFF).sum(dtype=np.uint64))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert digest == int(numbers.view(np.uint32).sum(dtype=np.uint64))
    assert peak < (3 * blocks.BLOCK if stride[0] == 1 else 8 * CHUNK)


@pytest.mark.parametrize(("marks", "resolved"), [({"is_conj": True}, np.conj), ({"is_neg": True}, np.negative)])
def test_conjugated_and_negated_numbers_are_resolved(marks: dict[str, bool], resolved: Any) -> None:
    numbers = (np.arange(6) + 1j * np.arange(6, 0, -1)).astype(np.complex64)
    tensor = on(numbers.tobytes(), "complex64", shape=(2, 3), stride=(3, 1), **marks)
    assert read_all(RowMajor(tensor)) == resolved(numbers).tobytes()


def test_nothing_is_read_of_a_tensor_without_elements() -> None:
    assert list(RowMajor(on(b"", "float32", shape=(0, 3), stride=(3, 1), offset=7)).chunks(0, 0)) == []


# The elements of a storage that a tensor uses

SHAPES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=3)


@settings(deadline=None, derandomize=True)
@given(SHAPES, st.integers(0, 99), st.integers(0, 99), st.sampled_from([8, 40, 1 << 20]), st.randoms(use_true_random=False))
def test_any_part_of_the_used_elements_is_that_part_of_the_whole(
    dims: list[tuple[int, int]], first: int, last: int, block: int, random: Any
) -> None:
    pairs, step = [], 1
    for size, gap in dims:
        pairs.append((size, step * gap))
        step *= size * gap
    random.shuffle(pairs)
    box = Box(0, tuple(size for size, _ in pairs), tuple(step for _, step in pairs))
    base = np.arange(step + 1, dtype=np.float32)
    payload = UsedElements(BytesPayload(base.tobytes()), 4, box.shape, box.stride)
    whole = base[sorted(positions(box))].tobytes()
    start, stop = sorted((min(first * 4, len(whole)), min(last * 4, len(whole))))
    assert payload.length == len(whole) == 4 * math.prod(box.shape)
    with mock.patch.object(blocks, "CHUNK", block):
        assert read_all(payload) == whole
        assert b"".join(payload.chunks(start, stop)) == whole[start:stop]


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "stride"), [((1 << 20,), (3,)), ((4, 1 << 19), (1 << 20, 2)), ((1 << 10, 4), (4096, 1))])
def test_no_piece_is_larger_than_a_chunk(shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    box = Box(0, shape, stride)
    base = np.arange(box.span[1], dtype=np.uint32)
    pieces = list(UsedElements(BytesPayload(base.tobytes()), 4, shape, stride).chunks(0, 4 * box.numel))
    assert max(map(len, pieces)) <= CHUNK
    assert b"".join(pieces) == base[positions(box)].tobytes()
