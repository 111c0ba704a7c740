"""Casts to float16 and bfloat16: the bytes are those of torch however the input is cut, and losses are counted.

The reference is written here in integer arithmetic, independent of the casts of numpy and numkong.
"""

import itertools
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptzip.io.buffers import Buffers
from ptzip.io.payloads import BytesPayload, read_all
from ptzip.tensors import rounding
from ptzip.tensors.cast import Cast
from ptzip.tensors.rounding import Loss, floats, narrow

Floats = npt.NDArray[np.floating]

LOW_BITS = (0x0000, 0x0001, 0x0FFF, 0x1000, 0x1001, 0x1FFF, 0x2000, 0x3000, 0x7FFF, 0x8000, 0x8001, 0xEFFF, 0xF000, 0xFFFF)
"""The lower halves of float32 patterns: below, at and above each place where float16 cuts, halfway cases among them."""

CODES = {"float64": "f8", "float32": "f4"}

MOST_KEPT = 1 << 16
"""Bytes that casting many chunks may take, each of which is larger."""

NAN = 0x7E00
"""What every NaN of a float16 is compared as: payloads are not promised."""


@pytest.fixture(params=["numpy", "numkong"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Cast by numpy, and by numkong where it is installed."""
    if request.param == "numkong":
        pytest.importorskip("numkong")
    else:
        monkeypatch.setitem(sys.modules, "numkong", None)
    rounding._fastest.cache_clear()
    rounding._numkong.cache_clear()
    yield request.param
    rounding._fastest.cache_clear()
    rounding._numkong.cache_clear()


def to_half(numbers: Floats) -> tuple[npt.NDArray[np.float16], Loss]:
    found, loss = narrow(numbers)
    return found.view(np.float16), loss


def bits(halves: npt.NDArray[np.float16]) -> npt.NDArray[np.uint16]:
    """The patterns of float16 numbers, all NaNs alike."""
    return np.where(np.isnan(halves), np.uint16(NAN), halves.view(np.uint16))


def expected(singles: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    """Round to nearest even, in integers: a float32 is `mantissa * 2**exponent`, a float16 counts steps of `2**step`."""
    pattern = singles.view(np.uint32).astype(np.int64)
    sign, biased, fraction = pattern >> 31 << 15, pattern >> 23 & 0xFF, pattern & 0x7FFFFF
    mantissa = np.where(biased > 0, fraction | 0x800000, fraction)
    exponent = np.maximum(biased, 1) - 150
    step = np.maximum(exponent + 23, -14) - 10
    shift = np.minimum(step - exponent, 40)
    whole, rest, middle = mantissa >> shift, mantissa & ((1 << shift) - 1), 1 << (shift - 1)
    whole += (rest > middle) | ((rest == middle) & (whole & 1 == 1))
    magnitude = np.minimum(whole + ((step + 24) << 10), 0x7C00)
    magnitude = np.where(biased == 0xFF, 0x7C00, magnitude)
    return np.where(np.isnan(singles), NAN, sign | magnitude).astype(np.uint16)


def patterns(values: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    return values.view(np.float32)


def every_upper_half() -> npt.NDArray[np.float32]:
    upper = np.arange(65536, dtype=np.uint32) << 16
    return patterns((upper[:, None] | np.array(LOW_BITS, np.uint32)).ravel().astype(np.uint32))


def random_patterns() -> npt.NDArray[np.float32]:
    return patterns(np.random.default_rng(1).integers(0, 1 << 32, 2_000_000, dtype=np.uint32))


def every_subnormal() -> npt.NDArray[np.float32]:
    """All float16 subnormals, the middles between them, and the neighbours of those, of both signs."""
    middles = (np.arange(2 * 1025, dtype=np.float64) * 2**-25).astype(np.float32)
    beside = np.concatenate([np.nextafter(middles, np.float32(0)), middles, np.nextafter(middles, np.float32(1))])
    return np.concatenate([beside, -beside])


def below_65536() -> npt.NDArray[np.float32]:
    """What is cast without a look at each number: no block with a larger one is."""
    found: npt.NDArray[np.float32] = np.concatenate([every_upper_half(), random_patterns()])
    return found[np.abs(found) < 65536]


SINGLES = {
    "every upper half": every_upper_half,
    "random": random_patterns,
    "below 65536": below_65536,
    "subnormals": every_subnormal,
}


def test_the_reference_knows_the_edges_of_float16() -> None:
    values = [65504, 65519.996, 65520, -1e9, 2**-24, 2**-25, 2**-25 * (1 + 2**-23), 1 + 2**-11, 1 + 3 * 2**-11, 0.0, -0.0]
    found = [f"{number:04x}" for number in expected(np.array(values, np.float32))]
    assert found == ["7bff", "7bff", "7c00", "fc00", "0001", "0000", "0001", "3c00", "3c02", "0000", "8000"]


@pytest.mark.parametrize("kind", SINGLES)
def test_float32_is_rounded_to_nearest_even(way: str, kind: str) -> None:
    singles = SINGLES[kind]()
    halves, _ = to_half(singles)
    np.testing.assert_array_equal(bits(halves), expected(singles))


def test_nan_stays_nan_and_keeps_its_sign(way: str) -> None:
    halves, loss = to_half(patterns(np.array([0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFFFFFFF], np.uint32)))
    assert np.isnan(halves).all()
    assert [bool(sign) for sign in np.signbit(halves)] == [False, True, False, True]
    assert loss == Loss(nan=4)


def test_float64_is_rounded_twice_as_torch_does(way: str) -> None:
    above_the_middle = np.array([1 + 2**-11 + 2**-40, -(1 + 2**-11 + 2**-40)])
    assert above_the_middle.astype(np.float16).tolist() == [1 + 2**-10, -(1 + 2**-10)]
    assert to_half(above_the_middle)[0].tolist() == [1, -1]


def test_float64_equals_its_float32(way: str) -> None:
    random = np.random.default_rng(2)
    doubles = np.ldexp(random.uniform(-1, 1, 500_000), random.integers(-40, 20, 500_000))
    halves, _ = to_half(doubles)
    np.testing.assert_array_equal(bits(halves), expected(doubles.astype(np.float32)))


def test_every_bfloat16_is_the_float32_of_its_bits(way: str) -> None:
    data = np.arange(65536, dtype="<u2").tobytes()
    numbers = floats(data, "bfloat16")
    np.testing.assert_array_equal(numbers.view(np.uint32), np.arange(65536, dtype=np.uint32) << 16)
    halves, _ = to_half(numbers)
    np.testing.assert_array_equal(bits(halves), expected(numbers.astype(np.float32)))


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
def test_big_endian_numbers_stay_big_endian(way: str, dtype: str) -> None:
    little = np.random.default_rng(3).uniform(-9, 9, 1000).astype("<f8" if dtype == "float64" else "<f4").tobytes()
    item = 8 if dtype == "float64" else 4 if dtype == "float32" else 2
    big = np.frombuffer(little, f"<u{item}").byteswap().tobytes()
    from_little = read_all(Cast(BytesPayload(little), dtype, item))
    assert (
        read_all(Cast(BytesPayload(big), dtype, item, big_endian=True))
        == np.frombuffer(from_little, "<u2").byteswap().tobytes()
    )


# What is lost


@pytest.mark.parametrize(
    ("values", "loss"),
    [
        pytest.param([0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, 65504.0], Loss(nan=1, infinite=2), id="nothing"),
        pytest.param([65519.996, 65520.0, -65520.0, 3.4e38, np.inf], Loss(overflowed=3, infinite=1), id="overflow"),
        pytest.param([2**-25, -(2**-25), 1e-45, 0.0, -0.0, 2**-24], Loss(vanished=3), id="vanish"),
        pytest.param([1e9, 1e-9, np.nan, np.inf, 0.0], Loss(overflowed=1, vanished=1, nan=1, infinite=1), id="both"),
        pytest.param([], Loss(), id="empty"),
    ],
)
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_only_finite_values_that_change_their_kind_are_lost(way: str, values: list[float], loss: Loss, dtype: str) -> None:
    assert to_half(np.array(values, dtype))[1] == loss


def test_float64_beyond_float32_is_lost_too(way: str) -> None:
    assert to_half(np.array([1e300, -1e300, 1e-300, np.inf, 0.0]))[1] == Loss(overflowed=2, vanished=1, infinite=1)


def test_losses_add_up() -> None:
    assert Loss(1, 2, 3, 4) + Loss(30, 40, 50, 60) == Loss(31, 42, 53, 64)


def test_the_loss_of_random_numbers_is_counted_right(way: str) -> None:
    singles = random_patterns()
    halves = expected(singles).view(np.float16)
    overflowed = int((np.isinf(halves) & ~np.isinf(singles)).sum())
    vanished = int(((halves == 0) & (singles != 0)).sum())
    nan, infinite = int(np.isnan(singles).sum()), int(np.isinf(singles).sum())
    assert to_half(singles)[1] == Loss(overflowed, vanished, nan, infinite)


def test_the_loss_of_a_cast_is_that_of_all_its_chunks(way: str) -> None:
    data = np.array([1e9, 1e-9] * 1000, np.float32).tobytes()
    stage = Cast(Cut(data, (400, 12, 1)), "float32", 4)
    assert stage.loss == Loss()
    read_all(stage)
    assert stage.loss == Loss(overflowed=1000, vanished=1000)


@pytest.mark.parametrize(("target", "largest"), [("float16", 65504.0), ("bfloat16", 3.3895313892515355e38)])
def test_saturate_turns_overflowing_values_into_the_largest_finite_number(way: str, target: str, largest: float) -> None:
    numbers = np.array([1e300, -1e300, np.inf, -np.inf, np.nan, 1.0, largest])
    found, loss = narrow(numbers, target, saturate=True)
    values = floats(found.tobytes(), target)
    np.testing.assert_array_equal(values, [largest, -largest, np.inf, -np.inf, np.nan, 1.0, largest])
    assert loss == Loss(overflowed=2, nan=1, infinite=2)


@pytest.mark.parametrize(("target", "quiet"), [("float16", 0), ("bfloat16", 0x40)])
def test_the_bits_of_nans_are_those_of_numpy_or_cut_off(way: str, target: str, quiet: int) -> None:
    singles = every_upper_half()
    nans = singles[np.isnan(singles)]
    theirs = nans.astype(np.float16).view(np.uint16) if target == "float16" else nans.view(np.uint32) >> 16 | quiet
    np.testing.assert_array_equal(narrow(nans, target)[0], theirs)
    np.testing.assert_array_equal(narrow(singles, target)[0][np.isnan(singles)], theirs)


def test_bfloat16_is_rounded_to_nearest_even(way: str) -> None:
    pattern = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0x00008000, 0x80018000], np.uint32)
    found, loss = narrow(patterns(pattern), "bfloat16")
    assert [f"{number:04x}" for number in found] == ["3f80", "3f82", "3f81", "3f80", "7f80", "0000", "8002"]
    assert loss == Loss(overflowed=1, vanished=1)


# Chunks


@dataclass(frozen=True)
class Cut:
    """A payload that comes in pieces of the given sizes, again and again."""

    data: bytes
    sizes: tuple[int, ...]
    seekable: bool = True
    requested: list[tuple[int, int]] = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.data)

    def chunks(self, start: int, stop: int, buffers: Buffers | None = None) -> Iterator[bytes]:
        self.requested.append((start, stop))
        for size in itertools.cycle(self.sizes):
            if start >= stop:
                return
            yield self.data[start : min(start + size, stop)]
            start += size


@settings(deadline=None, derandomize=True)
@given(
    dtype=st.sampled_from([("float32", 4), ("float64", 8), ("bfloat16", 2)]),
    count=st.integers(0, 60),
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_chunks_that_are_cut_anywhere_give_the_same_bytes(
    dtype: tuple[str, int], count: int, sizes: list[int], seed: int
) -> None:
    name, item = dtype
    data = np.random.default_rng(seed).integers(0, 256, count * item, dtype=np.uint8).tobytes()
    whole = read_all(Cast(BytesPayload(data), name, item))
    assert len(whole) == Cast(BytesPayload(data), name, item).length == 2 * count
    assert read_all(Cast(Cut(data, tuple(sizes)), name, item)) == whole


@settings(deadline=None, derandomize=True)
@given(count=st.integers(1, 40), places=st.tuples(st.integers(0, 40), st.integers(0, 40)))
def test_any_part_of_a_cast_is_that_part_of_the_whole(count: int, places: tuple[int, int]) -> None:
    first, last = sorted(min(place, count) for place in places)
    base = Cut(np.arange(count, dtype=np.float32).tobytes(), (5,))
    part = b"".join(Cast(base, "float32", 4).chunks(2 * first, 2 * last))
    assert part == np.arange(first, last, dtype=np.float16).tobytes()
    assert base.requested == [(4 * first, 4 * last)]


@pytest.mark.parametrize("seekable", [True, False])
def test_a_cast_can_be_sought_where_its_base_can(seekable: bool) -> None:
    assert Cast(Cut(b"", (1,), seekable), "float32", 4).seekable is seekable


@pytest.mark.parametrize("target", ["float16", "bfloat16"])
@pytest.mark.parametrize("dtype", CODES)
def test_only_the_first_chunk_takes_memory(way: str, dtype: str, target: str) -> None:
    numbers = np.random.default_rng(5).normal(size=1 << 20).astype(dtype)
    cast = Cast(BytesPayload(numbers.tobytes()), dtype, numbers.itemsize, target=target)
    chunks = cast.chunks(0, cast.length, Buffers())
    next(chunks)
    tracemalloc.start()
    assert sum(len(chunk) for chunk in chunks) > MOST_KEPT
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_KEPT


def test_numpys_warnings_do_not_leave_a_cast_in_any_thread() -> None:
    data = np.array([1e38, 1e-38] * 100, np.float32).tobytes()
    results: list[bytes] = []
    with np.errstate(all="raise"):
        threads = [
            threading.Thread(target=lambda: results.append(read_all(Cast(BytesPayload(data), "float32", 4)))) for _ in "ab"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        results.append(read_all(Cast(BytesPayload(data), "float32", 4)))
    assert len(results) == 3
    assert len(set(results)) == 1


# Real torch


def ten_million() -> npt.NDArray[np.float32]:
    """Random patterns, half of them such that float16 can hold them, and every middle between two of float16 and bfloat16."""
    random = np.random.default_rng(5)
    anything = random.integers(0, 1 << 32, 5_000_000, dtype=np.uint32)
    near = (
        random.integers(0x33000000, 0x47800000, 4_800_000, dtype=np.uint32)
        | random.integers(0, 2, 4_800_000, dtype=np.uint32) << 31
    )
    middles = np.arange(1 << 16, dtype=np.uint32) << 16
    edges = np.concatenate([middles | low for low in (0x8000, 0x1000, 0x7FFF, 0x8001)]).astype(np.uint32)
    return patterns(np.concatenate([anything, near.astype(np.uint32), edges]))


@pytest.mark.torch
@pytest.mark.parametrize("target", ["float16", "bfloat16"])
def test_ten_million_casts_equal_torch(way: str, target: str) -> None:
    import torch

    singles = ten_million()
    assert singles.size > 10_000_000
    found, _ = narrow(singles, target)
    theirs = torch.from_numpy(singles).to(getattr(torch, target))
    is_nan = theirs.isnan().numpy()
    np.testing.assert_array_equal(found[~is_nan], theirs.view(torch.uint16).numpy()[~is_nan])
    np.testing.assert_array_equal(np.isnan(floats(found.tobytes(), target)), is_nan)


@pytest.mark.torch
@pytest.mark.parametrize("kind", SINGLES)
def test_a_cast_of_float32_equals_torch(way: str, kind: str) -> None:
    import torch

    singles = SINGLES[kind]()
    np.testing.assert_array_equal(bits(to_half(singles)[0]), bits(torch.from_numpy(singles).half().numpy()))


@pytest.mark.torch
def test_a_cast_of_float64_to_bfloat16_goes_through_float32() -> None:
    import torch

    random = np.random.default_rng(6)
    doubles = np.ldexp(random.uniform(-1, 1, 500_000), random.integers(-160, 130, 500_000))
    found, _ = narrow(doubles, "bfloat16")
    np.testing.assert_array_equal(found, torch.from_numpy(doubles).float().bfloat16().view(torch.uint16).numpy())


@pytest.mark.torch
@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
def test_a_cast_of_other_floats_equals_torch(way: str, dtype: str) -> None:
    import torch

    random = np.random.default_rng(4)
    doubles = np.ldexp(random.uniform(-1, 1, 500_000), random.integers(-40, 20, 500_000))
    tensor = torch.from_numpy(doubles).to(getattr(torch, dtype))
    data = tensor.view(torch.uint8).numpy().tobytes()
    halves = np.frombuffer(read_all(Cast(BytesPayload(data), dtype, tensor.element_size())), np.float16)
    np.testing.assert_array_equal(bits(halves), bits(tensor.half().numpy()))
