"""The names in a folder, by which it is told what kind of checkpoint it is."""

import os
import re
from typing import NamedTuple


class Listing(NamedTuple):
    """The `names` in the folder at `path`, in natural order; `index` is the file that was asked for, or ""."""

    path: str
    names: tuple[str, ...]
    index: str = ""

    @classmethod
    def of(cls, path: str, index: str = "") -> "Listing":
        """Raises OSError where there is no such folder."""
        return cls(path, tuple(sorted(os.listdir(path), key=natural)), index)  # noqa: PTH208 (pathlib is slow to import)

    def below(self, name: str) -> "Listing":
        """That of a folder in the folder; an empty one for a file."""
        path = os.path.join(self.path, name)
        return Listing.of(path) if os.path.isdir(path) else Listing(path, ())

    def head(self, name: str, length: int) -> bytes:
        """The first bytes of a file."""
        with open(os.path.join(self.path, name), "rb") as file:
            return file.read(length)

    def is_asked(self, index: str) -> bool:
        """Whether an index is the one that was asked for, if one was."""
        return self.index in ("", index)


def natural(name: str) -> list[tuple[bool, int | str]]:
    """A sort key by which `rank_10` comes after `rank_9`."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else part) for part in re.split(r"([0-9]+)", name)]
