"""Declarations of tar headers against `tarfile`."""

import io
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from ptzip.formats.signatures import TAR_BLOCK, is_tar, tar_number
from ptzip.io.sources import BytesSource
from tests import raw_tars
from tests.corpus import needs_corpus
from tests.mapping.declared import both_ways, checked, corpus_contents


def blocks(data: bytes) -> Iterator[bytes]:
    """Every block that is the header of a member, wherever it is in a tar."""
    if is_tar(BytesSource(data)):
        for at in range(0, len(data), TAR_BLOCK):
            if any(block := data[at : at + TAR_BLOCK]) and is_tar(BytesSource(block)):
                yield block


@needs_corpus
def test_every_header_of_a_tar_has_the_fields_that_tarfile_reads() -> None:
    found = [block for data in corpus_contents() for block in blocks(data)]
    assert found
    for block in found:
        check_tar_header(block)


def check_tar_header(block: bytes) -> None:
    found = {name: one.raw for name, one in both_ways("tar header", block).items()}
    info = tarfile.TarInfo.frombuf(block, "latin-1", "strict")
    texts = (info.linkname, info.uname, info.gname)
    assert [found[name].partition(b"\0")[0].decode("latin-1") for name in ("link", "uname", "gname")] == [*texts]
    numbers = (info.mode, info.uid, info.gid, info.size, info.mtime, info.chksum, info.devmajor, info.devminor)
    names = ("mode", "uid", "gid", "size", "mtime", "checksum", "devmajor", "devminor")
    assert [tar_number(found[name]) for name in names] == [*numbers]


def tar_of(kind: int, name: str, **fields: Any) -> bytes:
    info, file = tarfile.TarInfo(name), io.BytesIO()
    info.size = 3
    for field, value in fields.items():
        setattr(info, field, value)
    with tarfile.open(fileobj=file, mode="w", format=kind) as tar:
        tar.addfile(info, io.BytesIO(b"abc"))
    return file.getvalue()


TARS = {
    "ustar": tar_of(tarfile.USTAR_FORMAT, "p" * 90 + "/" + "n" * 90, mtime=1e9, uname="me"),
    "GNU": tar_of(tarfile.GNU_FORMAT, "n" * 200, linkname="l" * 200, uid=1 << 40, mtime=-5),
    "pax": tar_of(tarfile.PAX_FORMAT, "n" * 200, mtime=1.5, uid=1 << 40),
    "sparse": raw_tars.sparse_gnu(b"a", [(0, b"x"), (512, b"y")], 1024),
}


@pytest.mark.parametrize("name", TARS)
def test_every_form_of_a_tar_header_is_declared(name: str) -> None:
    found = [*blocks(TARS[name])]
    assert found
    for block in found:
        check_tar_header(block)


def test_pax_records_are_those_that_tarfile_reads() -> None:
    records = raw_tars.pax([(b"path", b"a/b"), (b"GNU.sparse.map", b"0,1"), (b"comment", "é\n=".encode())])[TAR_BLOCK:]
    found = checked("pax records", records)
    assert [(one.meaning, one.length) for one in found if one.name == "record"] == [
        ("'path'", 12),
        ("'GNU.sparse.map'", 22),
        ("'comment'", 16),
    ]
    assert [one.value for one in found if one.name == "value"] == [b"a/b", b"0,1", "é\n=".encode()]
    both_ways("pax records", records)


def test_a_long_name_of_gnu_tar_ends_at_its_nul() -> None:
    found = both_ways("GNU long name", TARS["GNU"][TAR_BLOCK : 2 * TAR_BLOCK])
    assert found["name"].value == b"l" * 200 + b"\0"
    assert both_ways("GNU long name", b"name")["name"].value == b"name"  # as `tarfile` reads it
