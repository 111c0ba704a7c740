"""Many checkpoints as a whole: what they are, what `slim` would save, and which storages several files have."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import PtzipError

SMALLEST = 4096
"""Storages of fewer bytes are not compared: small ones are often equal, and there are many."""

MOST_NAMED = 5
"""The files that are named for a storage that several have."""


def storage_sums(checkpoint: Checkpoint) -> list[tuple[int, int]]:
    """The size and the CRC-32 of each storage with a CRC, as the file has recorded them; no storage is read."""
    found = set[tuple[int, int]]()
    for part in checkpoint.parts:
        for key in part.storages:
            try:
                payload = part.stored(key)
            except PtzipError:  # verify reports it
                continue
            if payload.expected is not None and payload.length >= SMALLEST:
                found.add((payload.length, payload.expected))
    return sorted(found)


class Entry(NamedTuple):
    """One file of a registry; sizes in bytes."""

    path: str
    verdict: str
    size: int
    saved: int
    format: str = ""
    framework: str = ""
    torch: str = ""


class Group(NamedTuple):
    """The files that have something in common: how many, their bytes, and what `slim` would save of them."""

    name: str
    files: int
    size: int
    saved: int


class SharedStorage(NamedTuple):
    """A storage that several files have; `paths` are some of them."""

    size: int
    crc: int
    files: int
    paths: tuple[str, ...]

    @property
    def repeated(self) -> int:
        """The bytes beyond the first copy."""
        return self.size * (self.files - 1)


class Registry:
    """All files that were added. Memory grows by the entry of each file, and by each storage that is compared."""

    def __init__(self) -> None:
        self.entries = list[Entry]()
        self._files = Counter[tuple[int, int]]()
        self._paths = dict[tuple[int, int], tuple[str, ...]]()

    def add(self, entry: Entry, storages: Iterable[tuple[int, int]]) -> None:
        self.entries.append(entry)
        for one in storages:
            self._files[one] += 1
            if self._files[one] <= MOST_NAMED:
                self._paths[one] = (*self._paths.get(one, ()), entry.path)

    def groups(self, field: str) -> list[Group]:
        """The files by a field of their entries, those with most bytes first."""
        found = dict[str, Group]()
        for entry in self.entries:
            name = str(entry._asdict()[field]) or "unknown"
            old = found.get(name, Group(name, 0, 0, 0))
            found[name] = Group(name, old.files + 1, old.size + entry.size, old.saved + entry.saved)
        return sorted(found.values(), key=lambda group: (-group.size, group.name))

    def shared(self) -> list[SharedStorage]:
        """The storages of several files, those with most repeated bytes first."""
        several = (SharedStorage(*key, count, self._paths[key]) for key, count in self._files.items() if count > 1)
        return sorted(several, key=lambda one: (-one.repeated, one.crc))
