"""Formats: how checkpoints lie on disk. `FORMATS` is all of them, each told by the content of the file.

The first that recognises a file opens it, so what has a mark of its own comes before what is only tried. What reads a format
is loaded with the first file that has it: most processes open files of one.
"""

from collections.abc import Callable
from typing import NamedTuple

from ptzip.errors import FormatError
from ptzip.formats import signatures as marks
from ptzip.formats.container import Container
from ptzip.formats.unknown_files import described
from ptzip.io.sources import Source
from ptzip.limits import Limits


class Format(NamedTuple):
    """`sniff` looks at the first bytes; `read` opens the file or raises PtzipError."""

    sniff: Callable[[Source], bool]
    read: Callable[[Source, Limits], Container]


def _zip(source: Source, limits: Limits) -> Container:
    from ptzip.formats import foreign_zips as zips

    return zips.read(source, limits)


def _tar(source: Source, limits: Limits) -> Container:
    from ptzip.formats import tar

    return tar.read(source, limits)


def _safetensors(source: Source, limits: Limits) -> Container:
    from ptzip.formats import safetensors

    return safetensors.read(source, limits)


def _legacy(source: Source, limits: Limits) -> Container:
    from ptzip.formats import legacy

    return legacy.read(source, limits)


def _bare(source: Source, limits: Limits) -> Container:
    from ptzip.formats import bare

    return bare.read(source, limits)


FORMATS = (
    Format(marks.is_whole_zip, _zip),
    Format(marks.is_tar, _tar),
    Format(marks.is_safetensors, _safetensors),
    Format(marks.is_legacy, _legacy),
    Format(marks.is_pickle, _bare),
)


def read(source: Source, limits: Limits) -> Container:
    """Open a file by the format it has. Raises FormatError, which names what the file is where it is no checkpoint."""
    for kind in FORMATS:
        if kind.sniff(source):
            return kind.read(source, limits)
    raise FormatError(f"this is {described(source)}")
