"""The meanings of fields, against what the standard library says of the same values."""

import io
import stat
import tarfile
import zipfile
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.mapping.meanings import MEANINGS
from tests.mapping.declared import quick

NUMBERS = {"B": (0, 0xFF), "H": (0, 0xFFFF), "I": (0, 0xFFFFFFFF), "Q": (0, (1 << 64) - 1), "i": (-(1 << 31), (1 << 31) - 1)}


def values(width: str) -> st.SearchStrategy[Any]:
    """Everything that a field of a width may hold."""
    if width in NUMBERS:
        return st.integers(*NUMBERS[width])
    size = int(width[:-1])
    return st.binary(min_size=size, max_size=size) | st.integers(0, 8**7).map(lambda number: b"%0*o" % (size, number))


@pytest.mark.parametrize("field", MEANINGS)
@quick
@given(data=st.data())
def test_every_value_of_a_field_has_a_meaning_in_one_printable_line(field: str, data: st.DataObject) -> None:
    assert MEANINGS[field](data.draw(values(field.partition(":")[2]))).isprintable()


@quick
@given(st.datetimes(datetime(1980, 1, 1), datetime(2107, 12, 31)))
def test_dates_and_times_of_ms_dos_are_those_that_zipfile_reads(moment: datetime) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as packed:
        packed.writestr(zipfile.ZipInfo("a", moment.timetuple()[:6]), b"")
    time, date = (int.from_bytes(file.getvalue()[at : at + 2], "little") for at in (10, 12))
    found = f"{MEANINGS['date:H'](date)} {MEANINGS['time:H'](time)}"
    assert found == f"{moment.replace(second=moment.second // 2 * 2):%Y-%m-%d %H:%M:%S}"


@quick
@given(st.integers(0, 0xFFFF), st.integers(0, 0x3F))
def test_external_attributes_are_a_mode_of_unix_and_those_of_ms_dos(mode: int, attributes: int) -> None:
    found = MEANINGS["external:I"](mode << 16 | attributes)
    assert found.startswith(stat.filemode(mode) if mode else "")
    assert ("folder" in found) == bool(attributes & stat.FILE_ATTRIBUTE_DIRECTORY)


@quick
@given(st.integers(0, 8**11 - 1))
def test_numbers_of_a_tar_are_those_that_tarfile_reads(number: int) -> None:
    field = tarfile.itn(number, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    assert MEANINGS["size:12s"](field) == f"{number:,}"
    assert MEANINGS["mtime:12s"](field) == (
        f"{datetime.fromtimestamp(number, UTC):%Y-%m-%d %H:%M:%S} UTC" if number else "none"
    )


@pytest.mark.parametrize(
    ("field", "value", "meaning"),
    [
        ("made_by:H", 0x031E, "Unix, version 3.0"),
        ("made_by:H", 0, "MS-DOS"),
        ("needed:H", 45, "4.5 (zip64)"),
        ("needed:H", 20, "2.0"),
        ("flags:H", 0x0808, "data descriptor follows, UTF-8 names"),
        ("flags:H", 0x8000, "bit 15"),
        ("method:H", 8, "deflated"),
        ("method:H", 77, "unknown"),
        ("size:I", 0xFFFFFFFF, "in the zip64 field"),
        ("size:I", 5, ""),
        ("id:H", 0x4246, "0x4246, padding of torch"),
        ("type:1s", b"L", "GNU long name of the next member"),
        ("uid:8s", b"nonsense", "no number"),
        ("mode:8s", b"0000644\0", "rw-r--r--"),
        ("window:B", 0x51, "1,179,648 bytes"),
        ("descriptor:B", 0x64, "2-byte content size, 0-byte dictionary id, single segment, checksum"),
        ("content_size:H", 744, "1,000 bytes"),
    ],
)
def test_a_value_is_spelled_out(field: str, value: Any, meaning: str) -> None:
    assert MEANINGS[field](value) == meaning
