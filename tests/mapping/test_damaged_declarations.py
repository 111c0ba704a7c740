"""Declarations of damaged bytes, and what a declaration needs."""

import contextlib
import random
import struct
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import FormatError
from ptzip.io.sources import BytesSource
from ptzip.mapping.declarations import STRUCTURES, fields
from ptzip.mapping.fields import REST
from ptzip.mapping.located import MOST_ITEMS
from ptzip.mapping.parts import file_parts
from ptzip.zip import structs
from ptzip.zip.structs import LAYOUTS, CentralEntry, Descriptor, Descriptor64, End, End64, LocalHeader, Locator64
from tests import raw_tars
from tests.corpus import needs_corpus
from tests.mapping.declared import BASE, checked, corpus_contents, quick
from tests.mutations import KINDS
from tests.structured_mutations import STRUCTURED

MUTATIONS = KINDS | STRUCTURED

EXTRA = b"".join(
    structs.extra_field(*one)
    for one in ((1, bytes(16)), (0x5455, b"\7" + bytes(12)), (0x7075, b"\1abcdname"), (0x4246, b"ZZ"), (0xCAFE, b""))
)
FULL = structs.FULL32
ZIP = (
    LocalHeader(45, 0x0808, 8, 1, 2, 3, FULL, FULL, b"a/b", EXTRA),
    CentralEntry(798, 45, 0x0800, 0, 1, 2, 3, FULL, FULL, 0, 1, 0x81A40000, FULL, b"name", EXTRA, b"comment"),
    Descriptor(1, 2, 3),
    Descriptor64(1, 2, 3),
    End(0, 0, 1, 1, 5, 6, b"hello"),
    End64(50, 798, 45, 1, 2, 3, 4, 5, 6),
    Locator64(0, 1 << 40, 1),
)
LEGACY = b"\x80\x02\x8a\x0a" + bytes.fromhex("6cfc9c46f9206aa85019") + b"." + b"\x80\x02K\x01." * 4
JSON = b'{"__metadata__":{"a":"b"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  '
SAMPLES = {
    **{LAYOUTS[type(one)].label: structs.build(one) for one in ZIP},
    "data descriptor without signature": bytes(12),
    "zip64 data descriptor without signature": bytes(20),
    "tar header": raw_tars.header(b"a", 5),
    "pax records": raw_tars.pax([(b"path", b"a/b"), (b"size", b"123")])[512:],
    "GNU long name": b"name\0" + bytes(20),
    "safetensors header": struct.pack("<Q", len(JSON)) + JSON,
    "npy header": b"\x93NUMPY\x01\0\x04\0{  }",
    "legacy stream head": LEGACY,
    "legacy storage count": bytes(8),
    "gzip header": b"\x1f\x8b\x08\x1f" + bytes(6) + b"\x06\0ab\x02\0cdname\0comment\0\1\2",
    "gzip trailer": bytes(8),
    "zstd frame header": b"\x28\xb5\x2f\xfd\xc3" + bytes(13),
    "zstd skippable frame": b"\x50\x2a\x4d\x18\x02\0\0\0ab",
    "zstd checksum": bytes(4),
    "DCP item": structs.build(ZIP[0]) + b"data",
}
EXTREMES = (b"\0", b"\xff", b"\xff\xff", b"\xff\xff\xff\xff", b"\xff" * 8, b"\xff\xff\xff\x7f", b"9" * 5000)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """The bytes with a few changed, replaced by extremes, cut off or repeated."""
    found = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(found) + 1)
        match chance.randrange(5):
            case 0:
                found[at : at + 1] = chance.randbytes(1)
            case 1:
                piece = chance.choice(EXTREMES)
                found[at : at + len(piece)] = piece
            case 2:
                del found[at:]
            case 3:
                found[at:at] = found[: chance.randint(0, 20)]
            case _:
                del found[at : at + chance.randint(1, 9)]
    return bytes(found)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_damaged_bytes_are_parsed_as_far_as_they_go_or_a_format_error(structure: str) -> None:
    chance = random.Random(structure)
    for _ in range(300):
        check_damaged(structure, damaged(SAMPLES[structure], chance))


def check_damaged(structure: str, data: bytes) -> None:
    """Bytes that are a whole structure are built again from its values."""
    with contextlib.suppress(FormatError):
        last = checked(structure, data)[-1]
        if not last.meaning.endswith("is cut off"):
            whole = data[: last.offset - BASE] if last.meaning.startswith("after") else data
            assert STRUCTURES[structure].build(STRUCTURES[structure].parse(data)) == whole


@pytest.mark.parametrize("structure", STRUCTURES)
def test_a_structure_that_is_cut_off_has_the_outermost_fields_that_are_complete(structure: str) -> None:
    data = SAMPLES[structure]
    whole = [one for one in checked(structure, data) if one.depth == 0 and one.name != REST]
    for length in range(len(data)):
        complete = [one for one in whole if one.offset + one.length <= BASE + length]
        try:
            found = checked(structure, data[:length])
        except FormatError:
            found = []
        assert [one for one in found if one in whole] == complete


@pytest.mark.parametrize("structure", STRUCTURES)
@quick
@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_structure_or_a_format_error(structure: str, data: bytes) -> None:
    check_damaged(structure, data)


@pytest.mark.parametrize("kind", MUTATIONS)
def test_every_structure_in_the_map_of_a_mutated_file_has_its_fields(kind: str) -> None:
    for index in range(20):
        check_map(MUTATIONS[kind](random.Random(index)))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MUTATIONS)
def test_every_structure_in_the_map_of_many_mutated_files_has_its_fields(kind: str) -> None:
    for index in range(20, 220):
        check_map(MUTATIONS[kind](random.Random(index)))


@pytest.mark.slow
@needs_corpus
def test_every_structure_in_the_map_of_a_file_of_the_corpora_is_one_that_is_declared() -> None:
    for data in corpus_contents():
        check_map(data)


def check_map(data: bytes) -> None:
    """No part is longer than the structure it is said to be."""
    for part in file_parts(BytesSource(data)):
        if part.structure:
            assert not checked(part.structure, data[part.offset : part.end])[-1].meaning.startswith("after")


@pytest.mark.parametrize(
    ("structure", "data"),
    [
        ("pax records", b"5 a=\n" * (1 << 19)),
        ("safetensors header", struct.pack("<Q", 6 << 19) + b'"":{},' * (1 << 19)),
        ("local header", structs.build(LocalHeader(0, 0, 0, 0, 0, 0, 0, 0, b"a", bytes((1 << 16) - 4)))),
    ],
    ids=["pax", "safetensors", "extra"],
)
def test_very_many_parts_of_a_structure_take_little_memory(structure: str, data: bytes) -> None:
    tracemalloc.start()
    found = fields(structure, data, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) > 3 * MOST_ITEMS - 9
    assert peak < 64 << 20
    assert STRUCTURES[structure].build(STRUCTURES[structure].parse(data)) == data


def test_an_unknown_structure_is_a_wrong_argument() -> None:
    with pytest.raises(ValueError, match="unknown structure 'header': expected one of local header, "):
        fields("header", b"", 0)
