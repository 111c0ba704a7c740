"""Line ends that a transfer in text mode, or a version control system, converted in a binary file.

In random bytes one line feed in 256 follows a carriage return, so that a file in which all or none do was converted.
"""

from ptzip.io.sources import CHUNK, BytesSource, Source

FEW = 8
"""So many line feeds are after a carriage return by chance in one of 2 ** 64 files."""

LARGE = 1 << 20
"""In a file of so many bytes 16 pairs are expected."""

EXPANDED = "every line feed became a carriage return and a line feed"
STRIPPED = "every carriage return before a line feed was removed"


def converted_line_ends(source: Source) -> str:
    """How all line ends of a file were converted, `EXPANDED` or `STRIPPED`; "" where they were not."""
    feeds = pairs = 0
    for start in range(0, source.size, CHUNK):
        data = source.read(max(start - 1, 0), min(CHUNK + (start > 0), source.size - max(start - 1, 0)))
        feeds += data.count(b"\n") - (start > 0 and data.startswith(b"\n"))
        pairs += data.count(b"\r\n")
    if pairs == feeds >= FEW:
        return EXPANDED
    return STRIPPED if not pairs and feeds and source.size >= LARGE else ""


def with_line_feeds(source: Source) -> BytesSource:
    """The file as it was before its line ends were expanded, in memory."""
    return BytesSource(source.read(0, source.size).replace(b"\r\n", b"\n"), source.name)
