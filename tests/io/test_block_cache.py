"""Reads are right whatever their order, made of few requests, and of no more bytes than are kept."""

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.io.block_cache import AHEAD, BLOCK, CACHE, PIECE, BlockCache

SIZE = 40 * BLOCK + 17
DATA = bytes(range(251)) * (SIZE // 251 + 1)


class Server:
    """Answers requests of parts, and counts them."""

    def __init__(self, size: int = SIZE) -> None:
        self.size, self.asked, self.lock = size, list[tuple[int, int]](), threading.Lock()

    def fetch(self, start: int, stop: int) -> bytes:
        with self.lock:
            self.asked.append((start, stop))
        return DATA[start:stop] if stop <= SIZE else bytes(stop - start)


def read(cache: BlockCache, offset: int, length: int) -> bytes:
    data = bytearray(length)
    cache.read_into(offset, memoryview(data))
    return bytes(data)


STRETCHES = st.integers(0, SIZE).flatmap(lambda start: st.tuples(st.just(start), st.integers(start, SIZE)))


@given(st.lists(st.tuples(STRETCHES, st.booleans()), max_size=12))
def test_every_read_gets_its_bytes(reads: list[tuple[tuple[int, int], bool]]) -> None:
    server = Server()
    cache = BlockCache(server.fetch, SIZE)
    for (start, stop), is_announced in reads:
        if is_announced:
            cache.expect(start, stop)
        assert read(cache, start, stop - start) == DATA[start:stop]
    asked = sorted(server.asked)
    assert all(stop <= start for (_, stop), (start, _) in itertools.pairwise(asked)), "nothing is asked for twice"


def test_small_reads_of_neighbours_are_few_requests() -> None:
    server = Server()
    cache = BlockCache(server.fetch, SIZE)
    for at in range(0, SIZE, 1000):
        read(cache, at, min(1000, SIZE - at))
    assert len(server.asked) <= 8


def test_a_reader_that_says_how_far_it_goes_is_served_ahead_and_no_further() -> None:
    server = Server(1 << 30)
    cache = BlockCache(server.fetch, server.size)
    cache.expect(0, 3 * AHEAD)
    read(cache, 0, 10)
    assert max(stop for _, stop in server.asked) <= AHEAD + BLOCK
    for at in range(0, 3 * AHEAD, BLOCK):
        read(cache, at, BLOCK)
    assert max(stop for _, stop in server.asked) == 3 * AHEAD
    assert max(stop - start for start, stop in server.asked) <= PIECE


def test_no_more_is_kept_than_is_said() -> None:
    server = Server(4 * CACHE)
    cache = BlockCache(server.fetch, server.size)
    for at in range(0, server.size, PIECE):
        read(cache, at, PIECE)
        assert sum(piece.stop - piece.start for piece in cache._pieces.values()) <= CACHE
    assert len(server.asked) == server.size // PIECE


def test_what_failed_is_asked_for_again() -> None:
    failures = [OSError("lost")]

    def fetch(start: int, stop: int) -> bytes:
        if failures:
            raise failures.pop()
        return DATA[start:stop]

    cache = BlockCache(fetch, SIZE)
    with pytest.raises(OSError, match="lost"):
        read(cache, 5, 10)
    assert read(cache, 5, 10) == DATA[5:15]


def test_threads_share_what_is_fetched() -> None:
    server = Server()
    cache = BlockCache(server.fetch, SIZE)
    found = list[bytes]()
    threads = [threading.Thread(target=lambda: found.append(read(cache, 0, SIZE))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [DATA[:SIZE]] * 8
    assert sum(stop - start for start, stop in server.asked) == SIZE
