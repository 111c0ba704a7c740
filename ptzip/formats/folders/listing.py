"""The names of the files in a folder, from which the kind of checkpoint is detected."""

import re
from pathlib import Path
from typing import NamedTuple


class Listing(NamedTuple):
    """The `names` in the folder at `path`, in natural order; `asked` is the index that was asked for, or ""."""

    path: Path
    names: tuple[str, ...]
    asked: str = ""

    @classmethod
    def of(cls, path: Path, asked: str = "") -> "Listing":
        """Raises OSError where there is no such folder."""
        return cls(path, tuple(sorted((entry.name for entry in path.iterdir()), key=natural)), asked)

    def below(self, name: str) -> "Listing":
        """That of a folder in the folder; an empty one for a file."""
        path = self.path / name
        return Listing.of(path) if path.is_dir() else Listing(path, ())

    def head(self, name: str, length: int) -> bytes:
        """The first bytes of a file; none of a folder, a pipe or a device, whose end may never come."""
        path = self.path / name
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(length)

    def is_about(self, *indexes: str) -> bool:
        """Whether the index that was asked for, if one was, is one of some."""
        return self.asked in ("", *indexes)


def natural(name: str) -> list[tuple[bool, int | str]]:
    """A sort key by which `rank_10` comes after `rank_9`."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else part) for part in re.split(r"([0-9]+)", name)]
