"""The members of tars are those that `tarfile` extracts, byte by byte; no header takes long to read."""

import io
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import FormatError, LimitError, PtzipError
from ptzip.formats.signatures import is_tar
from ptzip.formats.tar import members
from ptzip.io.sources import BytesSource
from tests.raw_tars import END, Parts, header, member, padded, pax, sparse_gnu, sparse_pax

NAMES = st.sampled_from((b"storages", b"a", b"./pickle", b"d/e"))
DATA = st.binary(max_size=700)


@st.composite
def sparse_members(draw: st.DrawFn) -> bytes:
    parts: Parts = []
    at = 0
    for _ in range(draw(st.integers(0, 4))):
        at += draw(st.sampled_from((0, 1, 5, 512)))
        parts.append((at, draw(st.binary(min_size=1, max_size=600))))
        at += len(parts[-1][1])
    size, version = at + draw(st.sampled_from((0, 1, 512))), draw(st.sampled_from(("gnu", "0.0", "0.1", "1.0")))
    name = draw(NAMES)
    return sparse_gnu(name, parts, size) if version == "gnu" else sparse_pax(version, name, parts, size)


MEMBERS = st.one_of(
    st.builds(member, NAMES, DATA, st.sampled_from((b"0", b"\0", b"7", b"Z")), st.sampled_from((b"ustar\x0000", bytes(8)))),
    st.builds(lambda name, data: pax([(b"path", name)]) + member(b"x", data), NAMES, DATA),
    st.builds(lambda data: pax([(b"size", b"%d" % len(data))]) + header(b"sized") + padded(data), DATA),
    st.builds(lambda data: header(b"L", 7, b"L") + padded(b"longer\0") + member(b"x", data), DATA),
    st.builds(lambda data: header(b"big", number=b"\x80" + len(data).to_bytes(11, "big")) + padded(data), DATA),
    st.sampled_from(
        (header(b"folder", kind=b"5"), header(b"folder", 9, kind=b"5"), pax([(b"comment", b"x")], b"g") + member(b"g", b""))
    ),
    sparse_members(),
)


def extracted(data: bytes) -> list[tuple[str, bytes | None]]:
    """What `TarFile.extract` writes, as torch does."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:", format=tarfile.PAX_FORMAT) as archive:
        found = list[tuple[str, bytes | None]]()
        for info in archive.getmembers():
            file = None if info.isdir() else archive.extractfile(info)
            found.append((f"{info.name}/" if info.isdir() else info.name, file.read() if file else None))
        return found


@given(st.lists(MEMBERS, min_size=1, max_size=4))
def test_members_are_those_that_tarfile_extracts(made: list[bytes]) -> None:
    data = b"".join(made) + END
    assert is_tar(BytesSource(data))
    found = list(members(BytesSource(data)))
    assert [(one.name, None if one.name.endswith("/") else one.content.whole()) for one in found] == extracted(data)
    assert all(not one.is_odd and not one.link for one in found)


@given(
    st.lists(MEMBERS, min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 4000), st.binary(min_size=1, max_size=12)), max_size=3),
)
def test_broken_tars_have_the_members_of_tarfile_or_none(made: list[bytes], changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(b"".join(made) + END)
    for offset, value in changes:
        data[offset % len(data) : offset % len(data) + len(value)] = value
    try:
        expected = extracted(bytes(data))
    except (tarfile.TarError, ValueError, LookupError, OSError, TypeError, EOFError):
        return
    assert is_tar(BytesSource(bytes(data))) or not expected
    try:
        found = list(members(BytesSource(bytes(data))))
    except PtzipError:
        return  # a finding
    links = [(one.name, None if one.name.endswith("/") or one.link else one.content.whole()) for one in found]
    for (name, content), (other, wanted), one in zip(links, expected, found, strict=True):
        assert name == other
        assert content == wanted or one.is_odd or one.link


BLOCKS = st.binary(min_size=512, max_size=512)
FIELDS = [
    lambda total: b"%06o\0 " % total,
    lambda total: b" %6o\0" % total,
    lambda total: b"0o%o" % total,
    lambda _: b"\xff\0\0x    ",
]


@given(BLOCKS, st.sampled_from(FIELDS), st.booleans(), st.integers(-1, 1))
def test_a_tar_is_recognised_by_its_checksum_like_by_tarfile(block: bytes, field: Any, unsigned: bool, more: int) -> None:
    total = tarfile.calc_chksums(block)[0 if unsigned else 1] + (more if more < 0 else 0)  # type: ignore[attr-defined]
    written = field(total) if total >= 0 else b"\xff" + (256**7 + total).to_bytes(7, "big")
    block = block[:148] + written[:8].ljust(8) + block[156:]
    try:
        expected = tarfile.nti(block[148:156]) in tarfile.calc_chksums(block)  # type: ignore[attr-defined]
    except tarfile.HeaderError:
        expected = False
    assert is_tar(BytesSource(block)) == expected


def test_parts_are_written_in_the_order_of_the_tar_and_noted_if_they_overlap() -> None:
    (one,) = members(BytesSource(sparse_gnu(b"a", [(2, b"later"), (0, b"xx")], 7) + END))
    assert (one.content.whole(), one.is_odd) == (b"xxlater", True)
    (one,) = members(BytesSource(sparse_gnu(b"a", [(0, b"xxxx"), (2, b"ab")], 4) + END))
    assert (one.content.whole(), one.is_odd) == (b"xxab", True)


def negative(size: int) -> bytes:
    return b"\xff" + (256**11 - size).to_bytes(11, "big")


HOSTILE = {
    "a negative size": header(b"a", number=negative(512)) + END,
    "a size that leads back": header(b"a") + header(b"b", number=negative(1024)) + END,
    "a negative size of pax": pax([(b"size", b"-512")]) + header(b"a") + END,
    "long names in a row": (header(b"L", 7, b"L") + padded(b"a\0")) * 5000 + header(b"a") + END,
    "digits": pax([(b"comment", b"1" * 16000)]) * 16 + header(b"a") + END,
    "long keys": (header(b"x", 16384, b"x") + b"3 a" * 5461 + b"=") * 16 + header(b"a") + END,
    "a sparse member of 8 GiB": sparse_gnu(b"a", [(0, b"N"), (2**32, b"x")], 2**33) + END,
    "many sparse members": sparse_gnu(b"a", [(0, b"N"), (60 << 20, b"x")], (60 << 20) + 1) * 40 + END,
    "a large sparse map": sparse_pax("1.0", b"a", [(index, b"x") for index in range(100_000)], 100_000) + END,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_headers_take_long(data: bytes) -> None:
    start = time.process_time()
    with pytest.raises((FormatError, LimitError)):
        list(members(BytesSource(data)))
    assert time.process_time() - start < 2


SIZED = pax([(b"size", b"700")])
PLACED_BY_VERSION = {
    "a long name behind the size": SIZED + header(b"L", 7, b"L") + padded(b"longer\0") + member(b"x", bytes(700)),
    "two extended headers": SIZED + pax([(b"path", b"y")]) + member(b"x", bytes(700)),
    "a sparse member": SIZED + sparse_pax("1.0", b"x", [(0, bytes(700))], 700),
    "a real size": pax([(b"size", b"700"), (b"GNU.sparse.realsize", b"10")]) + member(b"x", bytes(700)),
    "a size for all members": pax([(b"size", b"700")], b"g") + member(b"x", bytes(700)),
}


@pytest.mark.parametrize("data", PLACED_BY_VERSION.values(), ids=PLACED_BY_VERSION.keys())
def test_members_after_which_versions_of_tarfile_differ_are_noted(data: bytes) -> None:
    assert next(members(BytesSource(data + END))).is_odd


def test_members_before_a_broken_header_are_found(tmp_path: Path) -> None:
    found = members(BytesSource(member(b"a", b"data") + pax([(b"size", b"-1")]) + header(b"b") + END))
    assert next(found).content.whole() == b"data"
    with pytest.raises(FormatError):
        next(found)
