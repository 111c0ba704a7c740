"""Tars: whatever torch unpickles in one is judged, and what breaks off there is a finding.

Every variant was loaded by torch 2.13, which reached a harmless payload.
"""

import io
import struct
import tarfile

import pytest

from tests.formats.test_tar import MEMBERS, tar
from tests.raw_tars import END, Parts, header, member, padded, pax, sparse_gnu, sparse_pax
from tests.scanning.raw_pickles import PAYLOAD, pickled, scanned, text, verdict
from tests.small_checkpoints import archive, training_records

ZERO = pickled(b"K\x00")
STORAGES, TENSORS, OBJECT = ZERO + pickled(b"]"), ZERO, pickled(b"N")
EVIL = pickled(PAYLOAD)
NUL = b"I\0\n."
"""0 for the C unpickler."""


def torch_tar(storages: bytes = STORAGES, tensors: bytes = TENSORS, pickle: bytes = OBJECT, **options: bytes) -> bytes:
    made = (
        member(b"storages", storages, **options),
        member(b"tensors", tensors, **options),
        member(b"pickle", pickle, **options),
    )
    return b"".join(made) + END


def with_pickle(blocks: bytes) -> bytes:
    return member(b"storages", STORAGES) + member(b"tensors", TENSORS) + blocks + END


STORAGE = pickled(text("0") + text("cpu") + b"ctorch\nFloatStorage\n\x87") + struct.pack("<q", 1) + bytes(4)
AFTER_NUL = b"I\0\n0" + PAYLOAD + b"."

EVIL_TARS = {
    **{f"{key}, without a magic": torch_tar(**{key: EVIL}, magic=bytes(8)) for key in ("storages", "tensors", "pickle")},
    "another magic": torch_tar(pickle=EVIL, magic=b"xxxxxxxx"),
    "a count that only C reads": torch_tar(NUL + EVIL),
    "a count that breaks off": torch_tar(b"\x80\x02" + PAYLOAD + b"\xff"),
    "a text as count": torch_tar(b"I0\n." + PAYLOAD + b"\xff"),
    "tensors that break off": torch_tar(tensors=ZERO[:-1] + b"0" + PAYLOAD + b"\xff"),
    "an object that breaks off": torch_tar(pickle=b"]" + PAYLOAD + b"\xff"),
    "views": torch_tar(pickled(b"K\x01") + STORAGE + EVIL),
    "a second storage": torch_tar(pickled(b"K\x02") + STORAGE + EVIL),
    "a size of pax": with_pickle(pax([(b"size", b"%d" % len(EVIL))]) + header(b"pickle") + padded(EVIL)),
    "a name of pax": with_pickle(pax([(b"path", b"pickle")]) + member(b"a", AFTER_NUL)),
    "a long name": with_pickle(header(b"L", 7, b"L") + padded(b"pickle\0") + member(b"a", AFTER_NUL)),
    "a size in base 256": with_pickle(header(b"pickle", number=b"\x80" + len(EVIL).to_bytes(11, "big")) + padded(EVIL)),
    "a hard link": with_pickle(member(b"x", AFTER_NUL) + header(b"pickle", kind=b"1", link=b"x")),
    "a symbolic link": with_pickle(member(b"x", AFTER_NUL) + header(b"pickle", kind=b"2", link=b"x")),
    "two of a name": member(b"storages", STORAGES) + torch_tar(NUL + EVIL),
    **{f"members of type {kind!r}": torch_tar(NUL + EVIL, kind=kind) for kind in (b"7", b"Z", b"\0")},
    "a name that is a pickle": header(PAYLOAD + b".") + END,
    "a name that breaks off": header(PAYLOAD + b"\xff") + END,
    "a name that runs into a member": header(b"T\xfb\x01\0\0", 1024) + padded(b"0" + PAYLOAD + b"\xff") + END,
    "behind the end": header(b"T\xfb\x05\0\0") + END + b"0" + PAYLOAD + b".",
    "a name before a broken header": header(b"I1\n0" + PAYLOAD + b".") + header(b"L", 1 << 20, b"L") + b"x",
    "a member that is cut off": header(PAYLOAD + b".", 1 << 30) + bytes(512),
}


@pytest.mark.parametrize("data", EVIL_TARS.values(), ids=EVIL_TARS.keys())
def test_what_torch_unpickles_in_a_tar_is_found(data: bytes) -> None:
    assert verdict(data) == "malicious"


LIMITED = b"(" * 1_100_000 + PAYLOAD + b"1" * 1_100_000 + b"K\x00."


@pytest.mark.parametrize("key", ["storages", "tensors", "pickle"])
def test_a_pickle_of_torch_that_crosses_a_limit_is_a_finding(key: str) -> None:
    assert verdict(torch_tar(**{key: LIMITED + pickled(b"]")})) != "clean"


def split(before: bytes, after: bytes) -> tuple[Parts, int]:
    """A text of zeros, which are a hole, between two pieces of a pickle; without the hole, the text would be what follows."""
    head = before + b"X" + struct.pack("<I", len(after))
    return [(0, head), (len(head) + len(after), b"0" + after + b".")], len(head) + 2 * len(after) + 2


@pytest.mark.parametrize("version", ["gnu", "0.0", "0.1", "1.0"])
def test_sparse_members_are_read_with_their_holes(version: str) -> None:
    def sparse(name: bytes, after: bytes) -> bytes:
        parts, size = split(b"\x80\x02", after)
        return sparse_gnu(name, parts, size) if version == "gnu" else sparse_pax(version, name, parts, size)

    assert verdict(with_pickle(sparse(b"pickle", PAYLOAD + b"."))) == "malicious"
    assert (
        verdict(sparse(b"storages", PAYLOAD + b"K\0." + pickled(b"]")) + torch_tar()[len(member(b"storages", STORAGES)) :])
        == "malicious"
    )
    assert verdict(sparse(b"a.pkl", b"N.")[:-512] + padded(b"0N..") + END) in ("clean", "review")


def test_tars_that_torch_wrote_are_clean() -> None:
    assert scanned(tar(MEMBERS)).findings == ()
    assert verdict(tar(MEMBERS | {"pickle": EVIL})) == "malicious"
    assert verdict(tar(MEMBERS | {"pickle": OBJECT + EVIL})) == "malicious"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_tars_of_checkpoints_are_clean(form: int) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as made:
        for name, data in {"a/b.pt": archive(training_records()), "notes.txt": b"notes", "n" * 90 + ".pkl": OBJECT}.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    assert scanned(stream.getvalue()).findings == ()


def test_bytes_between_members_are_read() -> None:
    data = member(b"a.txt", b"some text")
    assert verdict(data[:-100] + EVIL.ljust(100, b"\0") + member(b"b.txt", b"more text") + END) != "clean"
