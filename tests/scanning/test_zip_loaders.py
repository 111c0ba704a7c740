"""Zips in which torch or zipfile finds a payload where another reader finds an honest checkpoint.

Each payload calls `os.getpid`; `test_some_loader_reaches_the_payload` shows that a real loader would.
"""

import io
import json
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from ptzip.limits import SCAN_LIMITS
from ptzip.scanning.scan import scan
from ptzip.zip import structs
from tests.scanning.raw_pickles import pickled, rules, scanned, verdict, zipped
from tests.zip.loader_zips import central, covered, cut_end, end, end64, laid, local, whole

PICKLE = pickled(b"cposix\ngetpid\n)R")
HONEST = {"a/data.pkl": pickled(b"}" + b"N0" * 40), "a/version": b"3\n"}
HOSTILE = {"a/data.pkl": PICKLE, "a/version": b"3\n"}
Case = tuple[str, bytes]
"""The loader that reaches the payload, and the file."""


def behind_a_decoy(tail: "Tail") -> bytes:
    """An honest zip whose comment is all of a hostile one, the end of which only loaders accept."""
    decoy = covered(whole(HONEST), len(tail(0)))
    return decoy + tail(len(decoy))


class Tail:
    """Hostile entries, their directory and its end, at some byte of a file; subclasses break one thing."""

    def __call__(self, at: int) -> bytes:
        body, directory = laid(HOSTILE, at)
        return body + directory + self.end(len(directory), at + len(body))

    def end(self, size: int, start: int) -> bytes:
        return cut_end(len(HOSTILE), size, start)


class TooLarge(Tail):
    def end(self, size: int, start: int) -> bytes:
        return end(len(HOSTILE), size + structs.END_SIZE, start)


class EntryAdded(Tail):
    """One more entry, which no loader reads."""

    def __init__(self, **changes: Any) -> None:
        self.changes = changes

    def __call__(self, at: int) -> bytes:
        body, directory = laid(HOSTILE, at)
        directory += central("a/x", b"", at, **self.changes)
        return body + directory + end(len(HOSTILE) + 1, len(directory), at + len(body))


class EntriesLast(Tail):
    """The entries in the comment of the end record, or between the directory and it."""

    def __init__(self, in_comment: bool) -> None:
        self.in_comment = in_comment

    def __call__(self, at: int) -> bytes:
        size = len(laid(HOSTILE)[1])
        body, directory = laid(HOSTILE, at + size + (structs.END_SIZE if self.in_comment else 0))
        if self.in_comment:
            return directory + end(len(HOSTILE), size, at, comment=body)
        return directory + body + end(len(HOSTILE), size, at)


class DirectoryLast(Tail):
    def __call__(self, at: int) -> bytes:
        body, directory = laid(HOSTILE, at)
        return body + end(len(HOSTILE), len(directory), at + len(body) + structs.END_SIZE, comment=directory)


class RecordLast(Tail):
    """The zip64 record in the comment."""

    def __call__(self, at: int) -> bytes:
        body, directory = laid(HOSTILE, at)
        whole_end = end64(len(HOSTILE), len(directory), at + len(body), at + len(body + directory) + 42)
        record, rest = whole_end[: structs.END64_SIZE], whole_end[structs.END64_SIZE :]
        return body + directory + covered(rest, len(record)) + record


def shifted(first: dict[str, bytes], second: dict[str, bytes]) -> bytes:
    """One end record that means the first of two directories by its offset, and the second by its place."""
    first = {name: data + bytes(300) for name, data in first.items()}  # so that no offset is below 0
    body, directory = laid(first)
    at = len(body + directory)
    shift = len(directory) + len(laid(second)[0])
    body2, directory2 = laid(second, at, shift)
    return body + directory + body2 + directory2 + end(len(first), len(directory), len(body))


def uncounted(honest: dict[str, bytes], hostile: dict[str, bytes]) -> bytes:
    """One more entry than the end counts, which lies in the data of an honest one."""
    (name, data), *_ = hostile.items()
    inner = local(name, data)
    files = honest | {"a/data/0": b"weights!" + inner + b"weights!"}
    body, directory = laid(files)
    directory += central(name, data, body.index(inner))
    return body + directory + end(len(files), len(directory), len(body))


def two_records(adjacent: dict[str, bytes], located: dict[str, bytes]) -> bytes:
    """A zip64 record right before the locator, and another to which the locator leads."""
    body, directory = laid(located)
    data = body + directory
    record = end64(len(located), len(directory), len(body))[: structs.END64_SIZE]
    at = len(data + record)
    body2, directory2 = laid(adjacent, at)
    start = at + len(body2)
    return data + record + body2 + directory2 + end64(len(adjacent), len(directory2), start, len(data))


def array(pickle: bytes) -> bytes:
    """An `.npy` of one object."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + pickle


NUMBERS = array(b"").replace(b"'|O'", b"'<f8'") + bytes(8)
ARRAYS, OBJECTS = {"x.npy": NUMBERS.ljust(300, b"\0")}, {"x.npy": array(PICKLE)}


def ends(files: dict[str, bytes], **changes: int) -> bytes:
    body, directory = laid(files)
    return body + directory + end(len(files), len(directory), len(body), **changes)


def unicode_path(name: str, other: str) -> bytes:
    data = struct.pack("<BI", 1, zlib.crc32(name.encode())) + other.encode()
    return structs.extra_field(0x7075, data)


def one_entry(name: str, data: bytes, **changes: Any) -> bytes:
    """A zip of one entry, with other fields in the directory."""
    body, directory = local(name, data), central(name, data, 0, **changes)
    return body + directory + end(1, len(directory), len(body))


def smaller() -> bytes:
    """A stored pickle whose compressed size is 1; miniz compares sizes only where the time is 0."""
    body, _ = laid(HOSTILE)
    directory = central("a/data.pkl", PICKLE, 0, compressed_size=1, time=5) + central("a/version", b"3\n", body.index(b"PK", 4))
    return body + directory + end(2, len(directory), len(body))


QUICK = 4.0
"""Seconds; each took more than ten, or minutes."""

PLACES = ("between entries", "behind the directory", "in the comment", "behind the end")

CASES: dict[str, Case] = {
    **{
        f"a decoy, and {name}": (loader, behind_a_decoy(tail))
        for name, loader, tail in (
            ("an end with a cut comment", "torch", Tail()),
            ("a directory larger than the room for it", "torch", TooLarge()),
            ("entries in the comment", "torch", EntriesLast(in_comment=True)),
            ("entries behind the directory", "torch", EntriesLast(in_comment=False)),
            ("the directory in the comment", "torch", DirectoryLast()),
            ("the zip64 record in the comment", "torch", RecordLast()),
            ("an entry without its zip64 field", "torch", EntryAdded(size=structs.FULL32, compressed_size=structs.FULL32)),
            (
                "an entry with an empty zip64 field",
                "torch",
                EntryAdded(size=structs.FULL32, compressed_size=structs.FULL32, extra=structs.extra_field(1, b"")),
            ),
        )
    },
    "offsets from another byte than 0": ("zipfile", shifted(HONEST, HOSTILE)),
    "offsets from byte 0": ("torch", shifted(HOSTILE, HONEST)),
    "an array by offsets from another byte": ("numpy", shifted(ARRAYS, OBJECTS)),
    "an entry that is not counted": ("zipfile", uncounted(HONEST, HOSTILE)),
    "an array that is not counted": ("numpy", uncounted(ARRAYS, OBJECTS)),
    "no entry counted": ("zipfile", ends(HOSTILE, entries=0, entries_here=0)),
    "no array counted": ("numpy", ends(OBJECTS, entries=0, entries_here=0)),
    "another count on this disk": ("zipfile", ends(HOSTILE, entries_here=1)),
    "disks that are not the first": ("zipfile", ends(HOSTILE, disk=1, directory_disk=1)),
    "the zip64 record before the locator": ("zipfile", two_records(HOSTILE, HONEST)),
    "the zip64 record that the locator means": ("torch", two_records(HONEST, HOSTILE)),
    "an array by the zip64 record before the locator": ("numpy", two_records(OBJECTS, ARRAYS)),
    "an end 69,500 bytes before the last": ("torch", whole(HOSTILE) + bytes(69_500 - structs.END_SIZE)),
    "an end 65,558 bytes before the last": ("zipfile", whole(HOSTILE) + bytes(structs.FULL16 + 1)),
    "a Unicode path": ("numpy", one_entry("x.txt", array(PICKLE), extra=unicode_path("x.txt", "x.npy"))),
    "a stored entry of two sizes": ("torch", smaller()),
    "bytes in front": ("zipfile", b"#" * 99 + whole(HOSTILE)),
    "offsets that know the bytes in front": ("zipfile", whole(HOSTILE, b"#" * 99)),
    "arrays compressed by bzip2": ("numpy", zipped(OBJECTS, 12)),
    "arrays compressed by lzma": ("numpy", zipped(OBJECTS, 14)),
}

LOADING = """
import io, json, os, pickle, sys, warnings, zipfile
import numpy, torch
warnings.simplefilter("ignore")
seen = []
sys.addaudithook(lambda event, args: seen.append(args[1]) if event == "pickle.find_class" else None)

def by_torch(path):
    torch.load(path, weights_only=False)

def by_numpy(path):
    for array in numpy.load(path, allow_pickle=True).values():
        pass

def by_zipfile(path):
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            try:
                pickle.loads(archive.read(name))
            except pickle.UnpicklingError:
                pass

reached = {}
for name in sorted(os.listdir(sys.argv[1])):
    for load in (by_torch, by_numpy, by_zipfile):
        seen.clear()
        try:
            load(os.path.join(sys.argv[1], name))
        except Exception:
            pass
        if "getpid" in seen:
            reached.setdefault(name, []).append(load.__name__[3:])
print(json.dumps(reached))
"""


@pytest.mark.parametrize("data", [data for _, data in CASES.values()], ids=CASES)
def test_a_payload_that_some_loader_reaches_is_never_ok(data: bytes) -> None:
    assert verdict(data) in ("malicious", "review")


@pytest.mark.torch
def test_some_loader_reaches_each_payload(tmp_path: Path) -> None:
    for number, (_, data) in enumerate(CASES.values()):
        (tmp_path / f"{number:03}").write_bytes(data)
    done = subprocess.run([sys.executable, "-c", LOADING, str(tmp_path)], capture_output=True, check=True)
    reached = json.loads(done.stdout)
    for number, (loader, _) in enumerate(CASES.values()):
        if loader == "torch" or sys.version_info < (3, 11, 8):  # later releases of zipfile refuse overlapping entries
            assert loader in reached[f"{number:03}"]


def with_descriptors(files: dict[str, bytes]) -> bytes:
    """A zip written to a pipe: sizes and CRC follow the data."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.data += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return pipe.data


def spaced(between: bytes) -> bytes:
    """Bytes between the last entry and the directory."""
    body, directory = laid(HONEST)
    return body + between + directory + end(len(HONEST), len(directory), len(body + between))


def piped(data: bytes) -> bytes:
    """A zip of Info-ZIP with one entry from a pipe, the descriptor of which has sizes of 64 bits."""
    entry = local("-", b"", flags=structs.HAS_DESCRIPTOR, crc=0) + data
    entry += structs.build(structs.Descriptor64(zlib.crc32(data), len(data), len(data)))
    directory = central("-", data, 0, flags=structs.HAS_DESCRIPTOR)
    return entry + directory + end(1, len(directory), len(entry))


HONEST_ZIPS = {
    "a comment": ends(HONEST)[:-2] + b"\x05\x00hello",
    "a zip64 record": b"".join(laid(HONEST)) + end64(2, len(laid(HONEST)[1]), len(laid(HONEST)[0])),
    "a zip in the last record": whole({**HONEST, "a/extra": whole(ARRAYS)}),
    "an array in the last record": whole({**HONEST, "a/extra": NUMBERS}),
    "two zips of one layout": whole(HONEST) * 2,
    "zips of several layouts": whole(HONEST) + whole(ARRAYS) + whole(HONEST),
    "an empty zip": end(0, 0, 0),
    "descriptors": with_descriptors(HONEST),
    "a descriptor of 64 bits": piped(b"{}"),
    "zeros between the entries and the directory": spaced(bytes(1 << 17)),
    "a folder": whole({"a/": b"", **HONEST}),
    "arrays": zipped(ARRAYS, zipfile.ZIP_DEFLATED),
}


@pytest.mark.parametrize("data", HONEST_ZIPS.values(), ids=HONEST_ZIPS)
def test_zips_of_honest_programs_are_clean(data: bytes) -> None:
    assert scanned(data).verdict == "clean", scanned(data).findings


@pytest.mark.parametrize("at", PLACES)
def test_a_pickle_outside_all_entries_is_found(at: str) -> None:
    hidden = bytes(1 << 17) * (at == "between entries") + PICKLE
    body, directory = laid(HONEST)
    gap, between, comment, after = (hidden if at == place else b"" for place in PLACES)
    data = body + gap + directory + between + end(2, len(directory), len(body + gap), comment=comment) + after
    assert verdict(data) == "malicious"


def test_what_torch_takes_for_a_folder_may_not_have_bytes() -> None:
    assert "PTZ319" in rules(one_entry("a/x", PICKLE, external=0x10))


@pytest.mark.parametrize("files", [{f"{n}": b"" for n in range(1000)}, {f"{n}": b"N." for n in range(1000)}])
def test_a_zip_of_too_many_entries_is_for_review(files: dict[str, bytes]) -> None:
    report = scan(whole(files), limits=SCAN_LIMITS._replace(entries=999))
    assert [finding.rule for finding in report.findings] == ["PTZ318"]


def test_the_comment_of_every_zip_in_a_row_is_searched() -> None:
    assert verdict(covered(whole(HONEST), len(PICKLE)) + PICKLE + whole(HONEST)) == "malicious"


@pytest.mark.parametrize("front", [b"", whole(HONEST)])
@pytest.mark.parametrize(("base", "expected"), [(-90, "review"), (1 << 24, "malicious")])
def test_entries_outside_the_file_keep_no_other_from_being_read(base: int, expected: str, front: bytes, tmp_path: Path) -> None:
    """Their offsets lead before the first byte, where no loader finds anything, or one of them past the last."""
    body, directory = laid(HOSTILE)
    directory += central("a/x", b"1234", max(base, 0), flags=structs.HAS_DESCRIPTOR)
    path = tmp_path / "zip"
    path.write_bytes(front + body + directory + end(3, len(directory), len(body) - min(base, 0)))
    assert scan(path).verdict == expected


BIG = 20_000


def many_gaps() -> bytes:
    body, directory = b"", b""
    for number in range(BIG):
        directory += central(f"a/{number}", b"", len(body))
        body += local(f"a/{number}", b"") + b"N.x"
    return body + directory + end(BIG, len(directory), len(body))


def many_directories() -> bytes:
    """Sixteen end records, whose directories share all but a few entries."""
    body, directory = laid({f"a/{number:05}": b"" for number in range(BIG)})
    size = len(directory) // BIG
    ends = (end(BIG - skip, len(directory) - skip * size, len(body) + skip * size) for skip in range(15, -1, -1))
    return body + directory + b"".join(ends)


def one_entry_often(data: bytes, count: int) -> bytes:
    body, directory = local("a/x", data), central("a/x", data, 0) * count
    return body + directory + end(count, len(directory), len(body))


def shifted_often(count: int) -> bytes:
    """Entries that share all but a few of their bytes."""
    data = b"QUJD" * 100_000
    header = local("a/x", b"", size=len(data), compressed_size=len(data))
    body = header * count + data
    offsets = [number * len(header) for number in range(count)]
    directory = b"".join(central("a/x", bytes(len(data)), offset) for offset in offsets)
    return body + directory + end(count, len(directory), len(body))


SLOW = {
    "gaps": many_gaps(),
    "directories that share entries": many_directories(),
    "one text often": one_entry_often(b"QUJD" * (1 << 16), 2000),
    "texts that overlap": shifted_often(2000),
    "zips in a row": whole({"a": b""}) * BIG * 2,
}


@pytest.mark.parametrize("data", SLOW.values(), ids=SLOW)
def test_a_zip_made_to_be_slow_is_for_review_in_seconds(data: bytes) -> None:
    started = time.process_time()
    assert verdict(data) == "review"
    assert time.process_time() - started < QUICK
