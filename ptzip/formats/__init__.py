"""Formats: how checkpoints lie on disk. `FORMATS` is all of them, each told by the content of the file.

The first that recognises a file opens it, so what has a mark of its own comes before what is only tried.
"""

from collections.abc import Callable
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.formats import bare, legacy, safetensors, tar, zips
from ptzip.formats.naming import described
from ptzip.formats.part import Layout
from ptzip.limits import Limits
from ptzip.source import Source


class Format(NamedTuple):
    """`sniff` looks at the first bytes; `read` opens the file or raises PtzipError."""

    sniff: Callable[[Source], bool]
    read: Callable[[Source, Limits], Layout]


FORMATS = (
    Format(zips.sniff, zips.read),
    Format(tar.sniff, tar.read),
    Format(safetensors.sniff, safetensors.read),
    Format(legacy.sniff, legacy.read),
    Format(bare.sniff, bare.read),
)


def read(source: Source, limits: Limits) -> Layout:
    """Open a file by the format it has. Raises FormatError, which names what the file is where it is no checkpoint."""
    for kind in FORMATS:
        if kind.sniff(source):
            return kind.read(source, limits)
    raise FormatError(f"this is {described(source)}")
