"""Arrays of numpy in files of their own (`.npy`): where the pickle of one that holds objects begins.

Source: `numpy/lib/format.py`: a magic, a version, the length of the header, and the header as the text of a dict.
"""

import re

from ptzip.errors import FormatError
from ptzip.io.sources import Source

MAGIC = b"\x93NUMPY"
FIXED = 8
OBJECTS = re.compile(rb"""['"][|<>=]?O\d*['"]""")


def sniff(head: bytes) -> bool:
    return head.startswith(MAGIC)


def data_start(source: Source) -> tuple[int, bool]:
    """Where the data begin, and whether they are a pickle. Raises FormatError where the header is cut off."""
    head = source.read(0, min(source.size, FIXED + 4))
    width = 2 if head[6:7] == b"\x01" else 4
    start = FIXED + width
    length = int.from_bytes(head[FIXED:start], "little")
    if start + length > source.size:
        raise FormatError("the header of the numpy array is cut off", FIXED)
    return start + length, bool(OBJECTS.search(source.read(start, length)))
