"""Containers: whatever readers may disagree on is found, and what an honest writer may do is no more than a note."""

import io
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable

import pytest

from ptzip.scanning.report import Severity, Verdict
from ptzip.scanning.scan import scan
from tests.scanning.raw_pickles import PAYLOAD, in_zip, name, pickled, rules, scanned, valued, verdict, zipped
from tests.small_checkpoints import archive, training_records

EMPTY = pickled(b"}")
HONEST = in_zip(EMPTY)
HOSTILE = valued(PAYLOAD)


def with_names(*names: str) -> bytes:
    """A zip by the standard library in which a name may stand twice."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w") as made:
        warnings.simplefilter("ignore")
        for name in names:
            made.writestr(name, EMPTY if name.lower().endswith(".pkl") else b"3\n")
    return stream.getvalue()


def patched(data: bytes, signature: bytes, offset: int, change: bytes) -> bytes:
    """A zip in which the first structure of a kind has other bytes at an offset."""
    at = data.index(signature) + offset
    return data[:at] + change + data[at + len(change) :]


LOCAL, CENTRAL, END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def test_an_honest_checkpoint_is_clean_without_a_note() -> None:
    assert scanned(HONEST).findings == ()
    assert scanned(archive(training_records())).findings == ()


FOUND: dict[str, tuple[str, bytes]] = {
    "a name twice": ("PTZ301", with_names("a/data.pkl", "a/data.pkl", "a/version")),
    "names that differ in case": ("PTZ301", with_names("a/data.pkl", "a/DATA.pkl", "a/version")),
    "another name in the local header": ("PTZ302", patched(HONEST, LOCAL, 30, b"evil")),
    "another method in the local header": ("PTZ302", patched(HONEST, LOCAL, 8, b"\x08\x00")),
    "an encrypted bit in the directory": ("PTZ304", patched(HONEST, CENTRAL, 8, b"\x09\x08")),
    "an encrypted bit in the local header": ("PTZ304", patched(HONEST, LOCAL, 6, b"\x09\x08")),
    "a name that climbs out": ("PTZ306", with_names("a/data.pkl", "a/version", "a/../../x")),
    "an absolute name": ("PTZ306", with_names("a/data.pkl", "a/version", "/etc/x")),
    "a name of Windows": ("PTZ306", with_names("a/data.pkl", "a/version", "a/..\\x")),
    "two top folders": ("PTZ311", with_names("a/data.pkl", "a/version", "b/data.pkl")),
    "no version": ("PTZ312", with_names("a/data.pkl")),
    "bytes behind the end": ("PTZ309", HONEST + b"hello there"),
    "bytes before the beginning": ("PTZ315", b"\0\0\0\0" + HONEST),
    "a pickle before the beginning": ("PTZ315", EMPTY + HONEST),
    "native code": ("PTZ501", in_zip(EMPTY, **{"data/model": b"\x7fELF" + bytes(60)})),
    "native code by name": ("PTZ501", in_zip(EMPTY, **{"data/model.so": bytes(60)})),
    "source code": ("PTZ501", in_zip(EMPTY, **{"evil.py": b"import os"})),
    "a 7z archive": ("PTZ315", b"7z\xbc\xaf\x27\x1c" + bytes(60)),
    "TorchScript": (
        "PTZ502",
        zipped({"m/data.pkl": EMPTY, "m/constants.pkl": b"\x80\x02).", "m/version": b"3", "m/code/a.py": b"x"}),
    ),
    "a pickle that no loader reads": ("PTZ205", in_zip(EMPTY, notes=EMPTY)),
}


@pytest.mark.parametrize(("rule", "data"), FOUND.values(), ids=FOUND)
def test_what_readers_disagree_on_is_for_review(rule: str, data: bytes) -> None:
    assert rule in rules(data)
    assert verdict(data) == "review"


def test_torchscript_that_touches_files_is_malicious() -> None:
    code = b"def forward(self, x):\n  _0 = ops.aten.from_file('/etc/hostname', False, 8)\n"
    data = zipped({"m/data.pkl": EMPTY, "m/constants.pkl": b"\x80\x02).", "m/version": b"3", "m/code/a.py": code})
    assert verdict(data) == "malicious"
    assert "PTZ503" in rules(data)


NOTED: dict[str, bytes] = {
    "a wrong CRC": patched(patched(HONEST, CENTRAL, 16, b"\1\2\3\4"), b"PK\x07\x08", 4, b"\1\2\3\4"),
    "a CRC of zero": patched(patched(HONEST, CENTRAL, 16, bytes(4)), b"PK\x07\x08", 4, bytes(4)),
    "zeros at the end": HONEST + bytes(512),
    "a record in upper case": with_names("a/DATA.PKL", "a/version"),
    "a record of text": in_zip(EMPTY, **{"notes.txt": b"a text that nobody needs"}),
    "a record of JSON": in_zip(EMPTY, **{"config.json": b'{"a": 1}'}),
    "a record of bytes": in_zip(EMPTY, **{"extra": bytes(range(256))}),
    "a comment": patched(HONEST, END, 20, b"\x05\x00") + b"hello",
    "several checkpoints in a row": HONEST + HONEST,
}


@pytest.mark.parametrize("data", NOTED.values(), ids=NOTED)
def test_what_honest_writers_may_do_leaves_a_file_clean(data: bytes) -> None:
    report = scanned(data)
    assert report.verdict == "clean", report.findings
    assert {finding.severity for finding in report.findings} <= {Severity.NOTE}


@pytest.mark.slow
def test_an_archive_of_more_records_than_its_end_can_count_is_clean() -> None:
    data = zipped({f"a/data/{number}": b"" for number in range(66_000)} | {"a/data.pkl": EMPTY, "a/version": b"3"})
    assert verdict(data) == "clean"


COMBINED: dict[str, bytes] = {
    "a hostile zip behind an honest one": HONEST + HOSTILE,
    "a hostile zip before an honest one": HOSTILE + HONEST,
    "a hostile pickle before an honest zip": pickled(PAYLOAD) + HONEST,
    "a hostile pickle behind an honest zip": HONEST + pickled(PAYLOAD),
    "a hostile zip behind a marker": b"PK\x07\x08" + HOSTILE,
}


@pytest.mark.parametrize("data", COMBINED.values(), ids=COMBINED)
def test_a_file_that_is_two_things_is_read_as_both(data: bytes) -> None:
    assert verdict(data) == "malicious"


def two_directories(honest_first: bool) -> bytes:
    """One zip64 end names an honest directory, the plain end a hostile one, or the other way round."""
    one, other = (HONEST, HOSTILE) if honest_first else (HOSTILE, HONEST)
    end = one.index(END)
    directory = struct.unpack_from("<II", one, end + 12)
    shifted = zipfile_shifted(other, len(one[: directory[1]]))
    body = one[: directory[1]] + shifted.entries
    first, second = len(body), len(body) + directory[0]
    plain = one[directory[1] : directory[1] + directory[0]]
    count = struct.unpack_from("<H", one, end + 10)[0]
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, *[shifted.count] * 2, len(shifted.directory), second)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, second + len(shifted.directory), 1)
    last = struct.pack("<4s4H2IH", END, 0, 0, count, count, directory[0], first, 0)
    return body + plain + shifted.directory + record + locator + last


class Shifted:
    """The entries of a zip, and its directory as it is when they lie further behind."""

    def __init__(self, entries: bytes, directory: bytes, count: int) -> None:
        self.entries, self.directory, self.count = entries, directory, count


def zipfile_shifted(data: bytes, by: int) -> Shifted:
    end = data.index(END)
    (count,) = struct.unpack_from("<H", data, end + 10)
    size, start = struct.unpack_from("<II", data, end + 12)
    directory, at = bytearray(data[start : start + size]), 0
    for _ in range(count):
        name, extra, comment = struct.unpack_from("<3H", directory, at + 28)
        (offset,) = struct.unpack_from("<I", directory, at + 42)
        struct.pack_into("<I", directory, at + 42, offset + by)
        at += 46 + name + extra + comment
    return Shifted(data[:start], bytes(directory), count)


@pytest.mark.parametrize("honest_first", [True, False])
def test_both_central_directories_are_read_where_the_ends_disagree(honest_first: bool) -> None:
    data = two_directories(honest_first)
    assert verdict(data) == "malicious"
    assert "PTZ305" in rules(data)


def test_an_entry_that_the_central_directory_does_not_list_is_found() -> None:
    hidden = zipped({"last/hidden": b"N."})
    entry = hidden[: hidden.index(CENTRAL)]
    end = HONEST.index(END)
    _, start = struct.unpack_from("<II", HONEST, end + 12)
    moved = struct.pack("<I", start + len(entry))
    plain = HONEST[:start] + entry + HONEST[start:end] + HONEST[end : end + 16] + moved + HONEST[end + 20 :]
    record = plain.index(b"PK\x06\x06")
    fixed = plain[: record + 48] + struct.pack("<Q", start + len(entry)) + plain[record + 56 :]
    locator = fixed.index(b"PK\x06\x07")
    whole = fixed[: locator + 8] + struct.pack("<Q", record) + fixed[locator + 16 :]
    assert "PTZ308" in rules(whole)
    assert verdict(whole) == "review"


def test_overlapping_entries_are_found() -> None:
    data = bytearray(HONEST)
    first = data.index(CENTRAL)
    second = data.index(CENTRAL, first + 4)
    data[second + 42 : second + 46] = struct.pack("<I", 10)
    assert rules(bytes(data)) & {"PTZ302", "PTZ308"}
    assert verdict(bytes(data)) in ("review", "unreadable")


def test_a_link_is_found() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        for name in ("a/data.pkl", "a/version"):
            made.writestr(name, EMPTY)
        link = zipfile.ZipInfo("a/link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        made.writestr(link, b"/etc/passwd")
    assert "PTZ307" in rules(stream.getvalue())


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


UNREADABLE: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "nothing": (b"", bytes),
    "text": (b"hello, this is a text\n", bytes),
    "a web page": (b"<html></html>", bytes),
    "a zip that is cut off": (HONEST, cut),
    "a pointer to a large file": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", bytes),
    "noise": (bytes(range(255, 0, -1)) * 9, bytes),
}


@pytest.mark.parametrize(("data", "change"), UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_file_is_never_clean(data: bytes, change: Callable[[bytes], bytes]) -> None:
    report = scanned(change(data))
    assert report.verdict == "unreadable"
    assert report.reason


SCRIPT_OBJECT = name("__torch__.net.Net") + b")\x81}b"


def test_the_classes_of_a_torchscript_program_are_not_imported_by_python() -> None:
    members = {"m/data.pkl": pickled(SCRIPT_OBJECT), "m/constants.pkl": pickled(b")"), "m/code/__torch__/net.py": b"a"}
    report = scan(zipped({**members, "m/version": b"3"}))
    assert not report.globals
    assert {finding.rule for finding in report.findings} == {"PTZ502"}


@pytest.mark.parametrize("data", [pickled(SCRIPT_OBJECT), in_zip(pickled(SCRIPT_OBJECT))])
def test_such_a_class_elsewhere_is_imported(data: bytes) -> None:
    report = scan(data)
    assert report.globals == ("__torch__.net.Net",)
    assert report.verdict is Verdict.REVIEW


def test_a_torchscript_program_that_imports_something_else_is_no_better_than_others() -> None:
    hostile = name("__torch__.net.Net") + b")\x81" + PAYLOAD + b"b"
    assert scan(in_zip(pickled(hostile), **{"constants.pkl": pickled(b")")})).verdict is Verdict.MALICIOUS
