"""A file that is to be written: where it goes, and all that it will hold, of which nothing is read yet."""

from pathlib import Path
from typing import NamedTuple

from ptzip.io.atomic_output import NewFile


class File(NamedTuple):
    """One file, and its place."""

    place: Path
    content: NewFile
