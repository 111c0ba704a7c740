"""The parts of a declaration: fields of construct that a parse locates, and what layouts and readers of ptzip give for them."""

import io
import re
import struct
from collections.abc import Callable, Iterator
from typing import Any, cast

import construct as c

from ptzip.mapping.fields import REST, Trace
from ptzip.mapping.meanings import MEANINGS, Meaning, no_meaning
from ptzip.pickling.reader import read_seen

Declaration = Any
"""A `construct.Construct`, which has no types."""


class Located(c.Renamed):  # type: ignore[misc]  # construct has no types
    """A field with a name, which a parse notes in its `trace`, if it has one."""

    def __init__(self, name: str, subcon: Declaration, meaning: Meaning = no_meaning) -> None:
        super().__init__(subcon, name)
        self.meaning = meaning

    def _parse(self, stream: Any, context: Any, path: str) -> Any:
        trace: Trace = context._params.get("trace") or Trace(b"", 0)
        start = stream.tell()
        trace.drop_beyond(start)
        index = len(trace.fields)
        trace.depth += 1
        try:
            value = super()._parse(stream, context, path)
            end, meaning = stream.tell(), self.meaning(value)
            return value
        except Exception:  # of this field, what is complete
            value, end, meaning = None, trace.end, "cut off"
            raise
        finally:
            trace.depth -= 1
            trace.add(index, self.name, start, end, value, meaning)


class Ending(c.Construct):  # type: ignore[misc]  # construct has no types
    """Bytes whose end a function finds from their start in the data; it gives -1 where they have no end."""

    def __init__(self, end: Callable[[bytes, int], int]) -> None:
        super().__init__()
        self.end = end

    def _parse(self, stream: Any, context: Any, path: str) -> bytes:
        data, start = stream.getvalue(), io.BytesIO.tell(stream)  # not the offset in the file, which a part of it has
        length = self.end(data, start) - start
        if length < 0:
            raise c.StreamError("no end was found", path)
        return cast("bytes", stream.read(length))

    def _build(self, obj: bytes, stream: Any, context: Any, path: str) -> bytes:
        stream.write(obj)
        return obj


def up_to(mark: bytes) -> Declaration:
    """Bytes up to a mark, which is the last of them."""
    return Ending(lambda data, start: found + len(mark) if (found := data.find(mark, start)) >= 0 else -1)


def matching(pattern: bytes) -> Declaration:
    """Bytes that match a pattern."""
    match = re.compile(pattern, re.DOTALL).match
    return Ending(lambda data, start: found.end() if (found := match(data, start)) else -1)


def _pickle_end(data: bytes, start: int) -> int:
    pickle = read_seen(data, start)
    return pickle.end if pickle.root is not None else -1


PICKLE = Ending(_pickle_end)
"""A pickle up to its STOP."""

WORDS = {"I": "L", "i": "l"}
"""What `struct` spells in two ways for 32 bits, and construct in one."""


def declared(fields: str, magic: bytes = b"") -> Iterator[Declaration]:
    """The fields of a layout, of which the first may be a `magic` number."""
    for field in fields.split():
        name, width = field.split(":")
        kind = c.Bytes(int(width[:-1])) if width.endswith("s") else c.FormatField("<", WORDS.get(width, width))
        yield Located(name, c.Const(magic) if magic else kind, MEANINGS.get(field, no_meaning))
        magic = b""


def one(field: str) -> Declaration:
    """A field that is spelled as in a layout."""
    return next(declared(field))


def counter(name: str, packer: struct.Struct) -> Declaration:
    """A number as a reader unpacks it."""
    return one(f"{name}:{packer.format.lstrip('<')}")


def optional(condition: Any, field: str) -> Declaration:
    """A field that is there under a condition, unless the bytes end before it."""
    kind = one(field)
    return kind.name / c.If(condition, c.Optional(kind))


def sized(name: str, length: Any) -> Declaration:
    """A number of 1, 2, 4 or 8 bytes, or none."""
    return name / c.Switch(length, {1: one(f"{name}:B"), 2: one(f"{name}:H"), 4: one(f"{name}:I"), 8: one(f"{name}:Q")})


def raw(name: str, length: Any = None) -> Declaration:
    """So many bytes, or all that are left."""
    return Located(name, c.GreedyBytes if length is None else c.Bytes(length))


MOST_ITEMS = 1 << 14
"""Repeated structures that are unfolded, each of which takes about two kilobytes; as many as extra fields a header can have."""


def repeated(name: str, *parts: Declaration, meaning: Meaning = no_meaning) -> Declaration:
    """Structures of these parts, up to where no other follows or `MOST_ITEMS` were read, and the rest."""
    item = c.Struct(c.Check(lambda item: item._index < MOST_ITEMS), *parts)
    return c.Struct("items" / c.GreedyRange(Located(name, item, meaning)), raw(REST))
