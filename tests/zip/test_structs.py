"""The structures of a zip: each is checked both ways against bytes spelled out by hand from APPNOTE 6.3.10."""

import struct

import pytest

from ptzip.errors import FormatError
from ptzip.io.sources import BytesSource
from ptzip.zip import structs
from ptzip.zip.structs import CentralEntry, Descriptor, Descriptor64, End, End64, LocalHeader, Locator64, Structure

OFFSET = 1000
"""Where the structures are said to lie."""

LOCAL = LocalHeader(20, 0x0808, 8, 0x1234, 0x5678, 0xDEADBEEF, 11, 22, b"a/b", b"FB\x01\x00Z")
LOCAL_BYTES = (
    b"PK\x03\x04" + struct.pack("<5H3I2H", 20, 0x0808, 8, 0x1234, 0x5678, 0xDEADBEEF, 11, 22, 3, 5) + b"a/bFB\x01\x00Z"
)

CENTRAL = CentralEntry(798, 45, 0x0800, 0, 1, 2, 3, 4, 5, 6, 7, 0x80000000, 9, b"name", b"extra", b"comment")
CENTRAL_BYTES = (
    b"PK\x01\x02"
    + struct.pack("<6H3I5H2I", 798, 45, 0x0800, 0, 1, 2, 3, 4, 5, 4, 5, 7, 6, 7, 0x80000000, 9)
    + b"nameextracomment"
)

CASES: tuple[tuple[Structure, bytes], ...] = (
    (LOCAL, LOCAL_BYTES),
    (LOCAL._replace(name=b"", extra=b""), LOCAL_BYTES[:26] + bytes(4)),
    (CENTRAL, CENTRAL_BYTES),
    (Descriptor(1, 2, 0xFFFFFFFF), b"PK\x07\x08" + struct.pack("<3I", 1, 2, 0xFFFFFFFF)),
    (Descriptor64(1, 1 << 32, (1 << 64) - 1), b"PK\x07\x08" + struct.pack("<I2Q", 1, 1 << 32, (1 << 64) - 1)),
    (End(1, 2, 3, 4, 5, 6, b"hello"), b"PK\x05\x06" + struct.pack("<4H2IH", 1, 2, 3, 4, 5, 6, 5) + b"hello"),
    (End64(44, 798, 45, 1, 2, 3, 4, 5, 6), b"PK\x06\x06" + struct.pack("<Q2H2I4Q", 44, 798, 45, 1, 2, 3, 4, 5, 6)),
    (Locator64(1, 1 << 40, 3), b"PK\x06\x07" + struct.pack("<IQI", 1, 1 << 40, 3)),
)
IDS = [f"{type(structure).__name__}-{len(data)}" for structure, data in CASES]

each = pytest.mark.parametrize(("structure", "data"), CASES, ids=IDS)


def check(structure: Structure, data: bytes) -> None:
    """A structure is built to these bytes, and these bytes, with more behind them, are read as the structure."""
    assert structs.build(structure) == data
    assert structs.length_of(structure) == len(data)
    assert structs.parse(type(structure), b"before" + data + b"behind", 6) == structure
    assert structs.read(type(structure), BytesSource(b"before" + data + b"behind"), 6) == structure


def refused(structure: Structure, data: bytes) -> FormatError:
    with pytest.raises(FormatError) as caught:
        structs.parse(type(structure), data, 0, OFFSET)
    return caught.value


@each
def test_a_structure_and_its_bytes_are_two_spellings_of_one_thing(structure: Structure, data: bytes) -> None:
    check(structure, data)


@each
def test_short_bytes_are_a_format_error_wherever_they_end(structure: Structure, data: bytes) -> None:
    for length in range(len(data)):
        assert refused(structure, data[:length]).offset == OFFSET


@each
def test_another_signature_is_a_format_error(structure: Structure, data: bytes) -> None:
    for index in range(4):
        wrong = bytearray(data)
        wrong[index] ^= 0x20
        assert refused(structure, bytes(wrong)).offset == OFFSET


def test_a_structure_that_ends_in_its_name_says_so() -> None:
    assert "the local header ends inside its name" in str(refused(LOCAL, LOCAL_BYTES[:31]))
    assert "the central directory entry ends inside its comment" in str(refused(CENTRAL, CENTRAL_BYTES[:-1]))


def test_the_sizes_are_those_of_the_fixed_parts() -> None:
    fixed = (structs.LOCAL_SIZE, structs.CENTRAL_SIZE, structs.DESCRIPTOR_SIZE, structs.DESCRIPTOR64_SIZE)
    ends = (structs.END_SIZE, structs.END64_SIZE, structs.LOCATOR64_SIZE)
    assert (*fixed, *ends) == tuple(len(data) - _counted(structure) for structure, data in (CASES[0], *CASES[2:]))


def _counted(structure: Structure) -> int:
    return sum(len(value) for value in structure if isinstance(value, bytes))
