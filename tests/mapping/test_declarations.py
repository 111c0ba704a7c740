"""Declarations of the structures of a zip against the reader of `slim`, `scan` and `verify`, on every file of the corpora."""

import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import FormatError
from ptzip.mapping.fields import REST
from ptzip.zip import structs
from ptzip.zip.structs import LAYOUTS, CentralEntry, Descriptor, Descriptor64, End64, LocalHeader, Structure
from tests import corpus
from tests.mapping.declared import FOLDERS, both_ways, checked, quick

KINDS: dict[bytes, list[type[Structure]]] = {}
for kind, layout in LAYOUTS.items():
    KINDS.setdefault(layout.signature, []).append(kind)


def zip_headers(data: bytes) -> Iterator[tuple[type[Structure], int]]:
    """Every structure of a zip, wherever its signature is in a file."""
    for found in re.finditer(b"|".join(map(re.escape, KINDS)), data):
        for kind in KINDS[found.group()]:
            yield kind, found.start()


@pytest.mark.parametrize("path", corpus.parameters(*FOLDERS))
def test_both_readers_agree_on_every_header_of_a_zip(path: Path) -> None:
    data = path.read_bytes()
    for kind, at in zip_headers(data):
        try:
            read = structs.parse(kind, data, at)
        except FormatError:
            assert checked(LAYOUTS[kind].label, data[at:])[-1].name == REST  # it ends too early
        else:
            check_read(read, data[at : at + structs.length_of(read)])


def check_read(read: Structure, data: bytes) -> None:
    """The declaration of a structure has the fields that the reader has; those without bytes are not listed."""
    by_name = both_ways(LAYOUTS[type(read)].label, data)
    values = {name: one.raw if one.value is None else one.value for name, one in by_name.items()}
    assert {name: values.get(name, b"") for name in read._fields} == read._asdict()


numbers = {"H": st.integers(0, 0xFFFF), "I": st.integers(0, 0xFFFFFFFF), "Q": st.integers(0, (1 << 64) - 1)}
extra_data = st.tuples(st.sampled_from([0x0001, 0x4246, 0x5455, 0x7075, 0xCAFE]), st.binary(max_size=30))
extras = st.builds(
    lambda listed, rest: b"".join(structs.extra_field(*one) for one in listed) + rest,
    st.lists(extra_data, max_size=4),
    st.binary(max_size=6),
)


@st.composite
def zip_structures(draw: Callable[[Any], Any]) -> Structure:
    """Any structure with any values, overflowing ones among them."""
    kind = draw(st.sampled_from([*LAYOUTS]))
    widths, values = LAYOUTS[kind].widths, []
    for name in kind._fields:
        width = widths.get(name)
        special = st.sampled_from([0, structs.FULL16, structs.FULL32] if width in ("I", "Q") else [0, structs.FULL16])
        values.append(draw(numbers[width] | special if width else extras if name == "extra" else st.binary(max_size=9)))
    found: Structure = kind(*values)
    return found._replace(record_size=structs.END64_SIZE - 12) if isinstance(found, End64) else found


@quick
@given(zip_structures())
def test_any_structure_of_a_zip_is_read_as_the_fast_reader_reads_it(structure: Structure) -> None:
    check_read(structure, structs.build(structure))


@pytest.mark.parametrize("kind", [Descriptor, Descriptor64])
def test_a_descriptor_needs_no_signature(kind: type[Descriptor]) -> None:
    found = both_ways(f"{LAYOUTS[kind].label} without signature", structs.build(kind(1, 2, 3))[4:])
    assert {name: one.value for name, one in found.items()} == kind(1, 2, 3)._asdict()


def test_a_zip64_field_has_what_overflows_in_its_header() -> None:
    full = structs.FULL32
    extra = structs.extra_field(structs.ZIP64_FIELD, struct.pack("<QQ", 1 << 33, 1 << 34))
    entry = CentralEntry(0, 45, 0, 0, 0, 0, 0, 7, full, 0, 0, 0, full, b"a", extra, b"")
    found = checked("central directory entry", structs.build(entry))
    inner = {one.name: one.value for one in found if one.depth == 2}
    assert inner == {"id": 1, "length": 16, "size": 1 << 33, "offset": 1 << 34}
    assert structs.true_sizes(entry) == (1 << 33, 7, 1 << 34)


def test_extra_fields_are_unfolded_with_what_they_mean() -> None:
    times = structs.extra_field(0x5455, struct.pack("<Bii", 3, 86400, -1))
    path = structs.extra_field(0x7075, struct.pack("<BI", 1, 0xDEADBEEF) + "é".encode())
    header = LocalHeader(20, 0x0808, 8, 0xBF7D, 0x5D7C, 0, 0, 0, b"a", times + path + structs.extra_field(0x4246, b"ZZ") + b"?")
    found = [(one.depth, one.name, one.meaning) for one in checked("local header", structs.build(header))]
    assert (0, "flags", "data descriptor follows, UTF-8 names") in found
    assert (0, "method", "deflated") in found
    assert (0, "time", "23:59:58") in found
    assert (0, "date", "2026-11-28") in found
    assert [meaning for _, name, meaning in found if name == "extra field"] == [
        "extended timestamp",
        "Info-ZIP unicode path",
        "padding of torch",
    ]
    assert (2, "times", "modified, accessed") in found
    assert (2, "modified", "1970-01-02 00:00:00 UTC") in found
    assert (2, "name_crc", "0xdeadbeef") in found
    assert found[-1] == (1, REST, "")
