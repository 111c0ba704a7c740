"""The walk over the regions of a file: what it yields, in which order, and what an error ends."""

import gzip
import zlib
from collections.abc import Generator, Iterator

import pytest

from ptzip.errors import FormatError
from ptzip.formats.signatures import Kind, kinds_of
from ptzip.io.sources import BytesSource
from ptzip.limits import SCAN_LIMITS
from ptzip.scanning import walk
from ptzip.scanning.regions import Item, Outcome, Read, Region
from ptzip.scanning.report import Hit
from ptzip.scanning.rules import RULES
from ptzip.scanning.scan import scan
from ptzip.scanning.subjects import Data, Note, NoteKind, PickleStream, Subject, ZipSubject
from tests.scanning.raw_pickles import PAYLOAD, object_array, pickled, raw, tarred, zipped

NONE = pickled(b"N")


def subjects(data: bytes) -> list[Subject]:
    return list(walk.subjects(BytesSource(data), SCAN_LIMITS))


def test_what_is_inside_a_region_comes_before_what_follows_it() -> None:
    inner = gzip.compress(pickled(raw(PAYLOAD + b".")))
    found = subjects(zipped({"a.bin": inner, "b.pkl": NONE}))
    assert [(type(subject), subject.location) for subject in found] == [
        (PickleStream, "record a.bin, content of the gzip"),
        (PickleStream, "record a.bin, content of the gzip, bytes at 2"),
        (PickleStream, "record b.pkl"),
        (ZipSubject, ""),
    ]


FILES = {
    Kind.PICKLE: NONE,
    Kind.COMPRESSED: gzip.compress(NONE),
    Kind.ARRAY: object_array(NONE),
    Kind.TAR: tarred({"a.pkl": NONE}),
    Kind.SAFETENSORS: b"\x02\0\0\0\0\0\0\0{}",
    Kind.ZIP: zipped({"a.pkl": NONE}),
    Kind.NATIVE: b"\x7fELF\x02",
    Kind.SCRIPT: b"#!/bin/sh",
}
"""A file of each kind that some loader reads; without its reader, nobody knows what is in it."""


def test_a_kind_without_its_reader_is_never_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {*FILES} == {*walk.READERS}
    for kind, data in FILES.items():
        assert kind in kinds_of(BytesSource(data))
        with monkeypatch.context() as patch:
            patch.delitem(walk.READERS, kind)
            for whole in (data, zipped({"a": data}) if kind is not Kind.ZIP else gzip.compress(data)):
                assert scan(whole).verdict not in ("clean",), kind


@pytest.mark.parametrize("kind", [kind for kind in FILES if kind not in (Kind.NATIVE, Kind.SCRIPT)], ids=str)
def test_honest_files_of_each_kind_are_clean_with_their_reader(kind: Kind) -> None:
    assert scan(FILES[kind]).verdict == "clean"
    assert scan(gzip.compress(FILES[kind])).verdict == "clean"


def test_an_error_ends_the_reading_in_which_it_occurs_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(region: Region) -> Generator[Item, None, Outcome]:
        yield region.note(NoteKind.CODE, "before")
        raise FormatError("broken")

    monkeypatch.setitem(walk.READERS, Kind.NATIVE, fails)
    found = subjects(zipped({"a": gzip.compress(b"\x7fELF"), "b.pkl": NONE}))
    notes = [(subject.kind, subject.message) for subject in found if isinstance(subject, Note)]
    assert notes == [(NoteKind.CODE, "before"), (NoteKind.STRANGE, "broken")]
    assert [type(subject) for subject in found][-2:] == [PickleStream, ZipSubject]
    notes = [(note.kind, note.message) for note in subjects(b"\x7fELF") if isinstance(note, Note)]
    assert notes == [(NoteKind.CODE, "before"), (NoteKind.UNREAD, "broken")]


def test_what_follows_all_readings_is_a_finding_and_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    def reads_four(_: Region) -> Generator[Item, None, Outcome]:
        yield from ()
        return Read(4)

    monkeypatch.setitem(walk.READERS, Kind.NATIVE, reads_four)
    found = subjects(b"\x7fELF" + pickled(PAYLOAD))
    assert [type(subject) for subject in found] == [Note, PickleStream]
    assert isinstance(found[0], Note)
    assert (found[0].kind, found[0].offset) == (NoteKind.STRANGE, 4)


def test_what_every_reading_refuses_is_named_as_data() -> None:
    assert [subject for subject in subjects(zipped({"a.txt": b"hello"})) if isinstance(subject, Data)] == [Data("record a.txt")]


def test_bytes_that_a_call_loads_and_that_are_no_pickle_are_noted() -> None:
    loaded = b"ctorch.storage\n_load_from_bytes\n" + raw(b"no pickle at all") + b"\x85R"
    notes = [subject for subject in subjects(pickled(loaded)) if isinstance(subject, Note)]
    assert [note.kind for note in notes] == [NoteKind.STRANGE]


BEGINNINGS = {
    "an import before garbage": b"\x8c\x02os\x8c\x06system\x93\xff\xff",
    "a frame that is longer than the file": b"\x95\0\0\0\4\0\0\0\0" + PAYLOAD + b".",
    "a name at the end": b"cevil\nxy",
    "a module at the end": b"cevilx",
    "a call before garbage": b"cevil\nx\n)R]",
    "a call of a module that is no identifier": b"ce-v!l\nx\n)R]",
}


@pytest.mark.parametrize("data", BEGINNINGS.values(), ids=BEGINNINGS)
def test_what_a_loader_imports_before_it_fails_is_a_finding_also_in_a_record(data: bytes) -> None:
    assert scan(data).verdict != "clean"
    assert data.isascii() or scan(zipped({"a": data})).verdict != "clean"


def test_words_are_no_imports_unless_the_record_is_named_like_a_pickle() -> None:
    assert scan(zipped({"labels.txt": b"cat\ncow\ndog\n"})).verdict == "clean"
    assert scan(zipped({"labels.pkl": b"cat\ncow\ndog\n"})).verdict == "review"


PACKED = {
    "bytes behind zlib": zlib.compress(NONE) + b"abc",
    "bytes behind gzip": gzip.compress(NONE) + b"abc",
    "zlib that is cut off": zlib.compress(NONE)[:-2],
}


@pytest.mark.parametrize("packed", PACKED.values(), ids=PACKED)
def test_what_follows_a_compressed_stream_or_is_missing_is_a_finding(packed: bytes) -> None:
    assert scan(packed).verdict == "review"
    assert scan(zipped({"a": packed})).verdict == "review"
    assert scan(zlib.compress(NONE)).verdict == scan(gzip.compress(NONE) + bytes(9)).verdict == "clean"


def test_a_rule_that_fails_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: object) -> Iterator[Hit]:
        yield from ()
        raise FormatError("broken")

    rows = [row._replace(check=fails) for row in RULES if row.id == "PTZ301"]
    monkeypatch.setattr("ptzip.scanning.scan.RULES_OF", {row.of: rows for row in rows})
    assert [finding.message for finding in scan(zipped({"a": b""})).findings] == ["this cannot be checked: broken"]
