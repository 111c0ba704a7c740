"""Pieces of tensors: any layout of boxes gives the tensor, any gap and overlap is an error."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.folders import pieces as module
from ptzip.formats.folders.pieces import Assembled, Piece, Stored, check_coverage
from ptzip.io.payloads import BytesPayload
from ptzip.tensors.strides import contiguous

Range = tuple[int, int]


def split(shape: tuple[int, ...], chance: random.Random, cuts: int) -> list[tuple[Range, ...]]:
    """Boxes that cover a tensor, made by cutting one of them again and again."""
    boxes: list[tuple[Range, ...]] = [tuple((0, size) for size in shape)]
    for _ in range(cuts if shape else 0):
        box = boxes.pop(chance.randrange(len(boxes)))
        axis = chance.randrange(len(shape))
        first, stop = box[axis]
        at = chance.randint(first, stop)
        boxes += [(*box[:axis], (first, at), *box[axis + 1 :]), (*box[:axis], (at, stop), *box[axis + 1 :])]
    chance.shuffle(boxes)
    return boxes


def piece(values: "np.ndarray", box: tuple[Range, ...], order: list[int] | None = None) -> Piece:
    """A box of an array as a file has it: its dimensions in any order, and other bytes before and after."""
    part = np.asarray(values[tuple(slice(*one) for one in box)])
    order = list(range(part.ndim)) if order is None else order
    moved = part.transpose(order).copy(order="C")
    steps = dict(zip(order, contiguous(moved.shape), strict=True))
    stored = Stored(
        BytesPayload(b"x" * 3 * values.itemsize + moved.tobytes()), 3, tuple(steps[axis] for axis in range(part.ndim))
    )
    return Piece([first for first, _ in box], part.shape, lambda: stored, f"file {box}")


def numbers(shape: tuple[int, ...], item: int = 4) -> "np.ndarray":
    return np.arange(math.prod(shape), dtype=f"<u{item}").reshape(shape)


shapes = st.lists(st.integers(0, 7), max_size=4).map(tuple)


@given(shapes, st.integers(0, 9), st.integers(), st.sampled_from((1, 2, 4, 8)), st.sampled_from((8, 64, 1 << 20)))
def test_any_layout_of_boxes_gives_the_tensor(shape: tuple[int, ...], cuts: int, seed: int, item: int, block: int) -> None:
    chance = random.Random(seed)
    values = (numbers(shape, 8) % 251).astype(f"<u{item}")
    found = [piece(values, box, chance.sample(range(len(shape)), len(shape))) for box in split(shape, chance, cuts)]
    check_coverage("weight", shape, found)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK", block)
        payload = Assembled(shape, item, found)
        data = b"".join(payload.chunks(0, payload.length))
        assert data == values.tobytes()
        first, stop = sorted(chance.randint(0, values.size) * item for _ in range(2))
        assert b"".join(payload.chunks(first, stop)) == data[first:stop]


@given(shapes.filter(math.prod), st.integers(0, 9), st.integers())
def test_a_piece_that_is_missing_twice_or_moved_is_an_error(shape: tuple[int, ...], cuts: int, seed: int) -> None:
    chance = random.Random(seed)
    boxes = split(shape, chance, cuts)
    full = [box for box in boxes if all(first < stop for first, stop in box)]
    one = full[chance.randrange(len(full))]
    others = [box for box in boxes if box is not one]
    values = numbers(shape)
    with pytest.raises(FormatError, match="of tensor weight"):
        check_coverage("weight", shape, [piece(values, box) for box in others])
    with pytest.raises(FormatError, match="in both"):
        check_coverage("weight", shape, [piece(values, box) for box in (*boxes, one)])
    if shape:
        moved = piece(values, one)
        moved.offsets = tuple(first + 1 for first in moved.offsets)
        with pytest.raises(FormatError, match="tensor weight"):
            check_coverage("weight", shape, [*(piece(values, box) for box in others), moved])


def test_an_error_names_the_elements_and_the_files() -> None:
    values = numbers((4, 6))
    boxes = [((0, 4), (0, 3)), ((0, 2), (3, 6))]
    with pytest.raises(FormatError) as gap:
        check_coverage("weight", (4, 6), [piece(values, box) for box in boxes])
    assert str(gap.value) == "elements [2:4, 3:6] of tensor weight, whose shape is [4, 6], are in no file, expected in one"
    with pytest.raises(FormatError) as overlap:
        check_coverage("weight", (4, 6), [piece(values, box) for box in (*boxes, ((1, 4), (3, 6)))])
    assert "elements [1:2, 3:6] of tensor weight" in str(overlap.value)
    assert "are in both file ((0, 2), (3, 6)) and file ((1, 4), (3, 6))" in str(overlap.value)


def test_a_tensor_of_many_pieces_is_checked_in_time_that_grows_with_them() -> None:
    count = 5_000
    found = [Piece((row, 0), (1, 8), lambda: Stored(BytesPayload(b""), 0, (8, 1)), "") for row in range(count)]
    check_coverage("weight", (count, 8), found)


def test_pieces_that_divide_a_tensor_in_far_more_ranges_than_there_are_pieces_are_refused() -> None:
    """Each column is cut at another row, so that every row is divided by all columns; a grid of as many is none of those."""
    stored = Stored(BytesPayload(b""), 0, (1, 1))
    size = 1 << 11
    columns = [((0, column), (column + 1, 1)) for column in range(size)]
    columns += [((column + 1, column), (size - column, 1)) for column in range(size)]
    with pytest.raises(UnsupportedError, match="the 4,096 pieces of tensor weight make more than 1,048,576 ranges"):
        check_coverage("weight", (size + 1, size), [Piece(*box, lambda: stored, "a file") for box in columns])
    grid = [Piece((row, column), (1, 1), lambda: stored, "a file") for row in range(64) for column in range(64)]
    check_coverage("weight", (64, 64), grid)
