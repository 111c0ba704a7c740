"""Declarations against the readers that `slim`, `scan` and `verify` use, field by field, on every file of the corpora."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptzip.errors import FormatError
from ptzip.mapping.declarations import STRUCTURES, fields
from ptzip.mapping.fields import REST, Field
from ptzip.zip import structs
from ptzip.zip.structs import LAYOUTS, Structure
from tests import corpus

BASE = 1 << 40
"""Where the structures are said to be in a file."""

KINDS: dict[bytes, list[type[Structure]]] = {}
for kind, layout in LAYOUTS.items():
    KINDS.setdefault(layout.signature, []).append(kind)


def zip_headers(data: bytes) -> Iterator[tuple[type[Structure], int]]:
    """Every structure of a zip, wherever its signature is in a file."""
    for found in re.finditer(b"|".join(map(re.escape, KINDS)), data):
        for kind in KINDS[found.group()]:
            yield kind, found.start()


def leaves(found: list[Field]) -> list[Field]:
    """The fields that are not made of others."""
    return [one for one, after in zip(found, [*found[1:], None], strict=True) if after is None or after.depth <= one.depth]


def check_places(found: list[Field], data: bytes) -> None:
    """Fields have the bytes at their offsets, and those that are not made of others add up to all of them."""
    assert b"".join(one.raw for one in leaves(found)) == data
    for one in found:
        start = one.offset - BASE
        assert one.length > 0
        assert one.raw == data[start : start + one.length]
    assert [one.offset for one in leaves(found)] == sorted(one.offset for one in found if one in leaves(found))


def as_read(structure: Structure, found: list[Field]) -> dict[str, object]:
    """The fields that a reader has, by the declaration; those without bytes are not listed."""
    by_name = {one.name: one.raw if one.value is None else one.value for one in found if one.depth == 0}
    return {name: by_name.get(name, b"") for name in structure._fields}


@pytest.mark.parametrize("path", corpus.parameters("format", "real", "frameworks", "threats", "yolo"))
def test_both_readers_agree_on_every_header_of_a_zip(path: Path) -> None:
    data = path.read_bytes()
    for kind, at in zip_headers(data):
        check_header(kind, data, at)


def check_header(kind: type[Structure], data: bytes, at: int) -> None:
    label = LAYOUTS[kind].label
    try:
        read = structs.parse(kind, data, at)
    except FormatError:
        assert fields(label, data[at:], BASE)[-1].name == REST  # it ends too early
        return
    raw = data[at : at + structs.length_of(read)]
    assert STRUCTURES[label].build(STRUCTURES[label].parse(raw)) == raw
    found = fields(label, raw, BASE)
    assert as_read(read, found) == read._asdict()
    check_places(found, raw)
