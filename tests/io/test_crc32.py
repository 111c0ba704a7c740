"""The CRC of bytes in pieces is zlib's CRC of the whole, whatever the pieces and their order."""

import itertools
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.io import crc32 as checksum
from ptzip.io.crc32 import Pieces, combine


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_two_pieces_combine_to_the_crc_of_both(first: bytes, second: bytes) -> None:
    assert combine(zlib.crc32(first), zlib.crc32(second), len(second)) == zlib.crc32(first + second)


@pytest.mark.parametrize("exponent", [20, 26])
def test_a_long_second_piece_combines_too(exponent: int) -> None:
    zeros = zlib.crc32(bytes(1 << exponent))
    assert combine(zlib.crc32(b"abc"), zeros, 1 << exponent) == zlib.crc32(bytes(1 << exponent), zlib.crc32(b"abc"))


def test_a_length_beyond_four_gigabytes_is_the_sum_of_its_halves() -> None:
    half, length = 0x12345678, (5 << 32) + 3
    both = combine(half, half, length)
    assert combine(combine(7, half, length), half, length) == combine(7, both, 2 * length)


@given(st.binary(max_size=3000), st.lists(st.integers(0, 3000), max_size=8), st.randoms(use_true_random=False))
def test_pieces_may_come_in_any_order(data: bytes, cuts: list[int], order: random.Random) -> None:
    borders = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    parts = list(itertools.pairwise(borders)) or [(0, 0)]
    order.shuffle(parts)
    pieces = Pieces()
    for start, stop in parts:
        pieces.add(start, stop, zlib.crc32(data[start:stop]))
    assert pieces.crc(len(data)) == zlib.crc32(data)


def test_a_piece_that_passes_twice_counts_once() -> None:
    pieces = Pieces()
    for start, stop, data in ((0, 2, b"ab"), (2, 3, b"c"), (0, 2, b"ab")):
        pieces.add(start, stop, zlib.crc32(data))
    assert pieces.crc(3) == zlib.crc32(b"abc")


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_while_a_piece_is_missing_there_is_no_crc(missing: int) -> None:
    pieces = Pieces()
    for index, piece in enumerate((b"aa", b"bb", b"cc")):
        if index != missing:
            pieces.add(2 * index, 2 * index + 2, zlib.crc32(piece))
    assert pieces.crc(6) is None


def test_more_bytes_than_expected_have_no_crc() -> None:
    pieces = Pieces()
    pieces.add(0, 3, zlib.crc32(b"abc"))
    assert pieces.crc(2) is None


def test_nothing_at_all_has_the_crc_of_nothing() -> None:
    assert Pieces().crc(0) == 0


@given(st.binary(max_size=5000), st.integers(0, 0xFFFFFFFF))
def test_the_crc_in_use_is_that_of_zlib(data: bytes, start: int) -> None:
    assert checksum.crc32(data, start) == zlib.crc32(data, start)
    assert checksum.crc32(memoryview(data)) == zlib.crc32(data)
