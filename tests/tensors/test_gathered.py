"""Elements without gaps, whatever part of them is asked for, in pieces that fit in memory."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptzip.io.payloads import BytesPayload, read_all
from ptzip.io.sources import CHUNK
from ptzip.tensors import gathered
from ptzip.tensors.gathered import Gathered


def expected(base: Any, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """The distinct elements in the order of their places."""
    places = np.zeros(1, np.int64)
    for size, step in zip(shape, stride, strict=True):
        places = (places[:, None] + np.arange(size) * step).ravel()
    return np.asarray(base)[np.unique(places)].tobytes()


SHAPES = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=3)


@settings(deadline=None, derandomize=True)
@given(SHAPES, st.integers(0, 99), st.integers(0, 99), st.sampled_from([8, 40, 1 << 20]), st.randoms(use_true_random=False))
def test_any_part_is_that_part_of_the_whole(dims: Any, first: int, last: int, chunk: int, random: Any) -> None:
    pairs, step = [], 1
    for size, gap in dims:
        pairs.append((size, step * gap))
        step *= size * gap
    random.shuffle(pairs)
    shape, stride = tuple(size for size, _ in pairs), tuple(step for _, step in pairs)
    base = np.arange(step + 1, dtype=np.float32)
    payload = Gathered(BytesPayload(base.tobytes()), 4, shape, stride)
    whole = expected(base, shape, stride)
    before, gathered.BLOCK = gathered.BLOCK, chunk
    try:
        start, stop = sorted((min(first * 4, len(whole)), min(last * 4, len(whole))))
        assert payload.length == len(whole) == 4 * math.prod(shape)
        assert read_all(payload) == whole
        assert b"".join(payload.chunks(start, stop)) == whole[start:stop]
    finally:
        gathered.BLOCK = before


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "stride"), [((1 << 20,), (3,)), ((4, 1 << 19), (1 << 20, 2)), ((1 << 10, 4), (4096, 1))])
def test_no_piece_is_larger_than_a_chunk(shape: tuple[int, ...], stride: tuple[int, ...]) -> None:
    span = sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) + 1
    base = np.arange(span, dtype=np.uint32)
    payload = Gathered(BytesPayload(base.tobytes()), 4, shape, stride)
    pieces = list(payload.chunks(0, payload.length))
    assert max(map(len, pieces)) <= CHUNK
    assert b"".join(pieces) == expected(base, shape, stride)
