"""A file that is to be written: where it goes, and all that it will hold, of which nothing is read yet."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol


class Content(Protocol):
    """See `container.writer.Plan` and `container.sequence.Sequential`."""

    @property
    def size(self) -> int: ...

    def write(self, descriptor: int, progress: Callable[[int], None] | None = None) -> None: ...


class File(NamedTuple):
    """One file, and its place."""

    place: Path
    content: Content
