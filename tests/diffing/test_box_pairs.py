"""Tensors are read in small boxes: every element of both once, whatever the strides, and never much at once."""

import math
import random
from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ptzip.diffing import box_pairs as module
from ptzip.diffing.box_pairs import Resumed, box_pairs
from ptzip.errors import FormatError, LimitError
from ptzip.io.payloads import BytesPayload, JoinedPayload
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor


def tensor(array: npt.NDArray[Any], shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> Tensor:
    data = BytesPayload(array.tobytes())
    dtype = BY_NAME[array.dtype.name]
    return Tensor(dtype.name, shape, stride, offset, storage=Storage("0", dtype, data.length, lambda: data))


def strides(shape: tuple[int, ...], order: list[int]) -> tuple[int, ...]:
    """The strides of a tensor whose dimensions lie in that order, the first widest."""
    found, step = [0] * len(shape), 1
    for place in reversed(order):
        found[place], step = step, step * shape[place]
    return tuple(found)


@pytest.mark.parametrize("seed", range(60))
def test_every_pair_of_elements_comes_as_often_as_it_is_there(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr(module, "STRETCH", 4 * chance.choice([1, 7, 64, 1000]))
    shape = tuple(chance.randint(1, 7) for _ in range(chance.randint(0, 4)))
    numbers = np.arange(math.prod(shape) + 9, dtype=np.int32)
    orders = [chance.sample(range(len(shape)), len(shape)) for _ in range(2)]
    steps = [tuple(step * chance.choice([1, 1, 1, 0]) for step in strides(shape, order)) for order in orders]
    a, b = (tensor(numbers * sign, shape, step, chance.randint(0, 9)) for sign, step in zip((1, -1), steps, strict=True))
    pairs = box_pairs(a, b)
    found = Counter[tuple[int, int]]()
    for one, other in pairs.boxes():
        for pair in zip(one.numpy().reshape(-1).tolist(), other.numpy().reshape(-1).tolist(), strict=True):
            found[pair] += pairs.repeats
    assert found == Counter(zip(a.numpy().reshape(-1).tolist(), b.numpy().reshape(-1).tolist(), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("stride", [(500, 1), (1, 400), (0, 1), (1, 0)])
def test_no_box_is_large(stride: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRETCH", 4000)
    numbers = np.arange(400 * 500, dtype=np.float32)
    a, b = tensor(numbers, (400, 500), (500, 1)), tensor(numbers, (400, 500), stride)
    for pair in box_pairs(a, b).boxes():
        for one in pair:
            assert one.numel <= 1000
            assert sum((size - 1) * step for size, step in zip(one.shape, one.stride, strict=True)) < 1000


def test_tensors_laid_out_alike_are_read_in_long_stretches() -> None:
    numbers = np.arange(60, dtype=np.float32)
    a = tensor(numbers, (3, 4, 5), (5, 15, 1))
    assert [one.shape for one, _ in box_pairs(a, a).boxes()] == [(60,)]


def test_few_bytes_that_stand_for_very_many_numbers_are_refused() -> None:
    numbers = np.zeros(100_000, np.float32)
    with pytest.raises(LimitError, match="repeats"):
        box_pairs(tensor(numbers, (100_000, 100_000), (1, 0)), tensor(numbers, (100_000, 100_000), (0, 1)))


def test_numbers_that_both_repeat_are_read_once() -> None:
    one = tensor(np.ones(1, np.float32), (10**9, 10**9), (0, 0))
    pairs = box_pairs(one, one)
    assert (len(list(pairs.boxes())), pairs.repeats) == (1, 10**18)


def test_a_tensor_that_reaches_past_its_storage_is_an_error() -> None:
    numbers = np.zeros(10, np.float32)
    with pytest.raises(FormatError, match="ends at byte 44 of a storage of 40 bytes"):
        box_pairs(tensor(numbers, (10,), (1,)), tensor(numbers, (10,), (1,), 1))


def test_a_payload_that_is_read_from_its_beginning_is_read_on() -> None:
    class Counted(JoinedPayload):
        """Counts how often it is begun."""

        begun = 0

        def chunks(self, start: int, stop: int, buffers: Any = None) -> Any:
            Counted.begun += 1
            return super().chunks(start, stop)

    data = bytes(range(200))
    payload = Resumed(Counted((BytesPayload(data[:70]), BytesPayload(data[70:]))))
    for start, stop in ((0, 30), (30, 30), (30, 100), (120, 200)):
        assert b"".join(payload.chunks(start, stop)) == data[start:stop]
    assert Counted.begun == 1
    assert b"".join(payload.chunks(50, 120)) == data[50:120]
    assert Counted.begun == 2
