"""What holds for the fields of every declaration, and the files they are compared on."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from hypothesis import settings

from ptzip.errors import PtzipError
from ptzip.mapping.declarations import STRUCTURES, fields
from ptzip.mapping.fields import REST, Field
from tests import corpus

BASE = 1 << 40
"""Where the structures are said to be in a file."""

FOLDERS = ("format", "real", "frameworks", "threats", "yolo")

quick = settings(deadline=None, derandomize=True, max_examples=150)


T = TypeVar("T")


def corpus_contents() -> Iterator[bytes]:
    """The content of every file of the corpora, one after the other."""
    return (path.read_bytes() for path in corpus.files(*FOLDERS))


def read_or_none(read: Callable[..., T], *arguments: Any) -> T | None:
    """What a reader reads; None of what it refuses."""
    try:
        return read(*arguments)
    except PtzipError:
        return None


def leaves(found: list[Field]) -> list[Field]:
    """The fields that are not made of others."""
    return [one for one, after in zip(found, [*found[1:], None], strict=True) if after is None or after.depth <= one.depth]


def checked(structure: str, data: bytes) -> list[Field]:
    """The fields, which have the bytes at their offsets, and of which the innermost add up to all bytes."""
    found = fields(structure, data, BASE)
    assert b"".join(one.raw for one in leaves(found)) == data
    for one in found:
        start = one.offset - BASE
        assert one.length == len(one.raw)
        assert one.raw or one.name == REST
        assert one.raw == data[start : start + one.length]
    return found


def both_ways(structure: str, data: bytes) -> dict[str, Field]:
    """The outermost fields of a structure that has exactly these bytes, which its values are built to again."""
    declaration = STRUCTURES[structure]
    assert declaration.build(declaration.parse(data)) == data
    found = [one for one in checked(structure, data) if one.depth == 0]
    assert not found[-1].meaning.startswith("after")
    return {one.name: one for one in found}
