"""Bytes that can be indexed, sliced and searched: all of them in memory, or of a large file page by page.

Files are not mapped: to access a page that another program cut off ends the process (SIGBUS).
"""

from collections.abc import Callable
from typing import Protocol, overload


class Stream(Protocol):
    """What readers of pickles need of `bytes`, and all that they may use."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, key: int) -> int: ...

    @overload
    def __getitem__(self, key: slice) -> bytes: ...

    def find(self, wanted: bytes, start: int, /) -> int: ...

    def rfind(self, wanted: bytes, start: int, /) -> int: ...


class PagedStream:
    """A stream of `size` bytes of which one page is in memory; not to be used by two threads at once.

    `read` is given an offset and a length; what it raises, every access may raise.
    """

    def __init__(self, read: Callable[[int, int], bytes], size: int, page_size: int) -> None:
        self._read, self._size, self._page_size = read, size, page_size
        self._start, self._page = 0, b""

    def __len__(self) -> int:
        return self._size

    @overload
    def __getitem__(self, key: int) -> int: ...

    @overload
    def __getitem__(self, key: slice) -> bytes: ...

    def __getitem__(self, key: int | slice) -> int | bytes:
        if isinstance(key, slice):
            start, stop, _ = key.indices(self._size)
            return self._part(start, max(start, stop))
        if not 0 <= key - self._start < len(self._page):
            self._turn_to(key)
        return self._page[key - self._start]

    def find(self, wanted: bytes, start: int, /) -> int:
        while start <= self._size - len(wanted):
            if not 0 <= start - self._start <= len(self._page) - len(wanted):
                self._turn_to(start)
            found = self._page.find(wanted, start - self._start)
            if found >= 0:
                return self._start + found
            start = self._start + len(self._page) - len(wanted) + 1
        return -1

    def rfind(self, wanted: bytes, start: int, /) -> int:
        stop = self._size
        while stop - start >= len(wanted):
            first = max(start, stop - self._page_size)
            found = self._read(first, stop - first).rfind(wanted)
            if found >= 0:
                return first + found
            stop = first + len(wanted) - 1 if first > start else start
        return -1

    def _part(self, start: int, stop: int) -> bytes:
        if stop - start > self._page_size:
            return self._read(start, stop - start)
        if not self._start <= start <= stop <= self._start + len(self._page):
            self._turn_to(start)
        return self._page[start - self._start : stop - self._start]

    def _turn_to(self, at: int) -> None:
        """Read the page that begins at a byte."""
        if not 0 <= at <= self._size:
            raise IndexError(f"byte {at} is outside of a stream of {self._size}")
        self._page = self._read(at, min(self._page_size, self._size - at))
        self._start = at
