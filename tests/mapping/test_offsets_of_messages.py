"""Findings, problems and errors name bytes by offsets in the file, which `inspect --at` explains."""

import gzip
import io
import re
import tarfile
import zipfile
from collections.abc import Callable

import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.io.sources import BytesSource
from ptzip.limits import DEFAULT_LIMITS
from ptzip.mapping.locate import Location, locate
from ptzip.mapping.where import Where, where
from ptzip.scanning.report import Finding
from tests.small_checkpoints import archive

EVIL = b"\x80\x02}X\x01\x00\x00\x00acos\nsystem\nX\x02\x00\x00\x00ls\x85Rs."
BROKEN = b"\x80\x02}X\x01\x00\x00\x00aK\x01s\xffs."


def zipped(pickle: bytes) -> bytes:
    return archive({"data.pkl": pickle, "version": b"3\n"})


def deflated(pickle: bytes) -> bytes:
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("a/data.pkl", pickle)
            packed.writestr("a/version", b"3\n")
        return file.getvalue()


def in_tar(pickle: bytes) -> bytes:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as packed:
            data = zipped(pickle)
            info = tarfile.TarInfo("weights.ckpt")
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
        return file.getvalue()


def in_a_row(pickle: bytes) -> bytes:
    return zipped(b"\x80\x02}.") + zipped(pickle)


WAYS = {
    "bare": bytes,
    "two in a row": lambda pickle: b"\x80\x02N." + pickle,
    "zip": zipped,
    "deflated": deflated,
    "zip in a tar": in_tar,
    "zips in a row": in_a_row,
    "gzip": gzip.compress,
    "zip in gzip": lambda pickle: gzip.compress(zipped(pickle)),
}


@pytest.fixture(params=list(WAYS.values()), ids=list(WAYS))
def wrap(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    found: Callable[[bytes], bytes] = request.param
    return found


def at(data: bytes, offset: int | None, inside: str | None) -> Location:
    assert offset is not None
    (found,) = locate(BytesSource(data), [Where(offset, None, inside or "")], DEFAULT_LIMITS)
    return found


def test_findings_are_at_the_opcode_that_they_are_about(wrap: Callable[[bytes], bytes]) -> None:
    data = wrap(EVIL)
    found = [one for one in ptzip.scan(data).findings if "system" in one.message]
    assert found
    for finding in found:
        assert isinstance(finding, Finding)
        built = at(data, finding.offset, finding.inside).built
        assert built is not None
        assert (built.opcode.op, built.byte) == ("REDUCE" if "calls" in finding.message else "GLOBAL", 0)


def test_problems_are_at_the_byte_that_breaks_the_pickle(wrap: Callable[[bytes], bytes]) -> None:
    data = wrap(BROKEN)
    found = [one for one in ptzip.verify(data).problems if "0xff is not a pickle opcode" in one.message]
    for problem in found:
        assert at(data, problem.offset, problem.inside).byte == 0xFF
    assert found or wrap in (in_a_row, WAYS["two in a row"]), "torch reads the first one at most"


def test_errors_are_at_the_byte_that_breaks_the_pickle(wrap: Callable[[bytes], bytes]) -> None:
    data = wrap(BROKEN)
    with Checkpoint(BytesSource(data)) as checkpoint:
        parts = [part for part in checkpoint.parts if part.pickle.root is None]
        with pytest.raises(ptzip.FormatError) as raised:
            _ = parts[0].root
        (anomaly,) = parts[0].anomalies
    words = re.search(r"\(at (byte .*)\)$", str(raised.value))
    assert words is not None
    place = where(words[1])
    assert at(data, place.offset, place.inside).byte == 0xFF
    assert (anomaly.offset, anomaly.inside) == (place.offset, place.inside)


def test_what_load_refuses_is_at_the_call(wrap: Callable[[bytes], bytes]) -> None:
    data = wrap(EVIL)
    try:
        ptzip.load(data)
    except ptzip.PtzipError as error:
        words = re.search(r"\(at (byte .*?)\)$", str(error))
        assert words is not None
        place = where(words[1])
        built = at(data, place.offset, place.inside).built
        assert built is not None
        assert built.opcode.op in ("REDUCE", "GLOBAL")
    else:
        assert wrap in (WAYS["two in a row"], WAYS["zips in a row"])


def test_a_pickle_in_the_bytes_of_another_is_located_in_those() -> None:
    data = zipped(b"\x80\x03C" + bytes([len(EVIL)]) + EVIL + b".")
    (finding, *_) = [one for one in ptzip.scan(data).findings if "system" in one.message]
    assert finding.inside == f"bytes at {data.index(EVIL) - 2}"
    built = at(data, finding.offset, finding.inside).built
    assert built is not None
    assert built.opcode.op in ("REDUCE", "GLOBAL")


def test_a_header_in_a_tar_is_where_it_is_in_the_file() -> None:
    data = bytearray(in_tar(b"\x80\x02}."))
    header = data.rindex(b"PK\x03\x04")
    data[header : header + 4] = b"PKXX"
    (problem, *_) = ptzip.verify(bytes(data)).problems
    assert (problem.offset, problem.inside) == (header, "")


def test_a_gzip_that_is_cut_off_says_how_far_its_content_goes() -> None:
    data = gzip.compress(zipped(EVIL), 0)[:-40]
    (problem,) = ptzip.verify(data).problems
    assert problem.inside == "the content of the gzip"
