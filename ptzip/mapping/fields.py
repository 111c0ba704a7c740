"""Fields of a structure, as they are located in a file; without construct, which only declarations need."""

from typing import NamedTuple

REST = "rest"
"""The name of bytes that are in a structure, or were given with it, and that no field explains."""


class Field(NamedTuple):
    """One field: where it is in the file, its bytes, its value, and what that means ("" where the value says it).

    A field with `value` None is made of the deeper fields that follow it.
    """

    name: str
    offset: int
    length: int
    raw: bytes
    value: object
    meaning: str
    depth: int


class Trace:
    """The fields of some bytes at offset `base` of the file that were parsed so far; `depth` is that of the next one."""

    def __init__(self, data: bytes, base: int) -> None:
        self.data, self.base = data, base
        self.fields: list[Field] = []
        self.depth = 0

    @property
    def end(self) -> int:
        """Where the last field ends in the data."""
        return self.fields[-1].offset + self.fields[-1].length - self.base if self.fields else 0

    def drop_beyond(self, start: int) -> None:
        """Forget what was parsed behind an offset and then taken back, as construct tries what is optional."""
        while self.end > start:
            self.fields.pop()

    def add(self, index: int, name: str, start: int, end: int, value: object, meaning: str) -> None:
        """Insert a field before those that it is made of, unless it has no bytes."""
        if start < end:
            own = None if index < len(self.fields) else value
            field = Field(name, self.base + start, end - start, self.data[start:end], own, meaning, self.depth)
            self.fields.insert(index, field)
