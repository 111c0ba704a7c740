"""Line ends that a transfer in text mode, or a version control system, converted in a binary file.

In random bytes one line feed in 256 follows a carriage return, so that a file in which all or none do was converted.
"""

from collections.abc import Iterator

from ptzip.io.copies import copied
from ptzip.io.sources import CHUNK, Source
from ptzip.zip.find_archives import bytes_before, find_end

FEW = 8
"""So many line feeds are after a carriage return by chance in one of 2 ** 64 files."""

LARGE = 1 << 20
"""In a file of so many bytes 16 pairs are expected."""

EXPANDED = "every line feed became a carriage return and a line feed"
STRIPPED = "every carriage return before a line feed was removed"
SHORT = "bytes are missing, and no line feed follows a carriage return"
"""What is sure of a file too small for pairs to be expected in it."""


def converted_line_ends(source: Source) -> str:
    """How all line ends of a zip were converted: `EXPANDED`, `STRIPPED`, or the less sure `SHORT`; "" where they were not."""
    feeds = pairs = 0
    for start in range(0, source.size, CHUNK):
        data = source.read(max(start - 1, 0), min(CHUNK + (start > 0), source.size - max(start - 1, 0)))
        feeds += data.count(b"\n") - (start > 0 and data.startswith(b"\n"))
        pairs += data.count(b"\r\n")
        if 0 < pairs < feeds:  # as in the first piece of most files
            return ""
    if pairs == feeds >= FEW:
        return EXPANDED
    if pairs or not feeds:
        return ""
    return STRIPPED if source.size >= LARGE else SHORT if _lacks_few(source, feeds) else ""


def _lacks_few(source: Source, feeds: int) -> bool:
    """Whether a zip lacks as few bytes as there may have been pairs, by the offset of its directory."""
    end = find_end(source)
    missing = -bytes_before(source, end) if end is not None else 0
    return 0 < missing <= min(feeds, FEW + feeds // 32)


def with_line_feeds(source: Source) -> Source:
    """The file as it was before its line ends were expanded."""
    return copied(_restored(source), source.name)


def _restored(source: Source) -> Iterator[bytes]:
    """The bytes without carriage returns before line feeds. One that ends a piece waits for the next."""
    waiting = b""
    for start in range(0, source.size, CHUNK):
        data = waiting + source.read(start, min(CHUNK, source.size - start))
        waiting = data[len(data.removesuffix(b"\r")) :]
        yield data.removesuffix(b"\r").replace(b"\r\n", b"\n")
    yield waiting
