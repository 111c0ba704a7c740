"""What was fetched of a remote file: pieces of whole blocks, several of which are fetched at once and ahead of their reader."""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

BLOCK = 1 << 16
"""The fewest bytes of a request: they take no longer than the answer does to arrive."""

PIECE = 4 << 20
"""The most bytes of a request."""

AHEAD = 8 << 20
"""Bytes that are fetched ahead of a reader that said how far it goes."""

MOST_GROWTH = 1 << 20
"""The most bytes of a request for more than was asked for, to a reader that goes on in small steps."""

CACHE = 64 << 20
"""Bytes that are kept."""

CONNECTIONS = 8
"""Requests at a time."""

SPANS = 32
"""Stretches that readers announced and that are remembered: each thread reads one or two at a time."""


class Piece(NamedTuple):
    """Bytes from `start` to `stop`, on their way or here."""

    start: int
    stop: int
    data: "Future[bytes]"


class BlockCache:
    """Reads of a file of `size` bytes, made of few requests; any thread may read.

    `fetch(start, stop)` makes one request; what it raises, the reads of those bytes raise, and the next read asks again.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch, self._size = fetch, size
        self._pool = ThreadPoolExecutor(CONNECTIONS, "ptzip-remote")
        self._lock = threading.Lock()
        self._pieces = OrderedDict[int, Piece]()
        """By their first block, the last read at the end."""
        self._first_blocks = dict[int, int]()
        """The first block of the piece that has a block."""
        self._spans = deque[tuple[int, int]](maxlen=SPANS)
        self._bytes = 0

    def __del__(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def expect(self, start: int, stop: int) -> None:
        """Announce a stretch that will be read in order."""
        with self._lock:
            self._spans.append((start, stop))

    def request(self, start: int, stop: int) -> None:
        """Have a stretch fetched, without waiting for it."""
        with self._lock:
            self._ask(start, stop)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill a buffer; the stretch has to lie in the file."""
        stop = offset + len(buffer)
        if len(buffer) > PIECE:
            self.expect(offset, stop)
        for start in range(offset, stop, PIECE):
            end = min(start + PIECE, stop)
            for piece in self._needed(start, end):
                first, last = max(start, piece.start), min(end, piece.stop)
                buffer[first - offset : last - offset] = memoryview(self._data(piece))[first - piece.start : last - piece.start]

    def _needed(self, start: int, stop: int) -> list[Piece]:
        """The pieces of a stretch, which all are on their way then, as is what its reader will read next."""
        with self._lock:
            self._ask(start, self._grown(start, stop))
            found = list(self._held(start, stop))
            end = max((last for first, last in self._spans if first <= start < last), default=stop)
            if end > stop:
                self._ask(stop, min(stop + AHEAD, end))
            self._drop_old()
        return found

    def _grown(self, start: int, stop: int) -> int:
        """Where to end a request for a stretch: what follows a piece is taken twice as long as that, up to `MOST_GROWTH`."""
        blocks = range(start // BLOCK, -(-stop // BLOCK))
        missing = next((block for block in blocks if block not in self._first_blocks), 0)
        before = self._first_blocks.get(missing - 1)
        if before is None:
            return stop
        length = self._pieces[before].stop - self._pieces[before].start
        grown = missing * BLOCK + min(2 * length, MOST_GROWTH) if length <= MOST_GROWTH else stop
        return max(stop, min(grown, self._size))

    def _held(self, start: int, stop: int) -> Iterator[Piece]:
        at = start
        while at < stop:
            piece = self._pieces[self._first_blocks[at // BLOCK]]
            self._pieces.move_to_end(piece.start // BLOCK)
            yield piece
            at = piece.stop

    def _ask(self, start: int, stop: int) -> None:
        """Request the blocks of a stretch that nobody asked for yet, neighbours together."""
        last, block = -(-stop // BLOCK), start // BLOCK
        while block < last:
            if block in self._first_blocks:
                block += 1
                continue
            end = block + 1
            while end < min(last, block + PIECE // BLOCK) and end not in self._first_blocks:
                end += 1
            self._request(block, end)
            block = end

    def _request(self, first: int, end: int) -> None:
        start, stop = first * BLOCK, min(end * BLOCK, self._size)
        self._pieces[first] = Piece(start, stop, self._pool.submit(self._fetch, start, stop))
        self._first_blocks.update(dict.fromkeys(range(first, end), first))
        self._bytes += stop - start

    def _data(self, piece: Piece) -> bytes:
        try:
            return piece.data.result()
        except BaseException:
            with self._lock:
                if self._pieces.get(piece.start // BLOCK) is piece:
                    self._forget(piece)
            raise

    def _forget(self, piece: Piece) -> None:
        del self._pieces[piece.start // BLOCK]
        for block in range(piece.start // BLOCK, -(-piece.stop // BLOCK)):
            del self._first_blocks[block]
        self._bytes -= piece.stop - piece.start

    def _drop_old(self) -> None:
        while self._bytes > CACHE:
            self._forget(next(iter(self._pieces.values())))
