"""The walk over the regions of a file: what it yields, in which order, and what an error ends."""

import gzip
from collections.abc import Iterator

import pytest

from ptzip.errors import FormatError
from ptzip.io.sources import BytesSource
from ptzip.scanning import walk
from ptzip.scanning.regions import Item, Reading, Region
from ptzip.scanning.scan import SCAN_LIMITS
from ptzip.scanning.subjects import Note, NoteKind, PickleStream, Subject, ZipSubject
from tests.scanning.raw_pickles import PAYLOAD, pickled, raw, zipped

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


def test_every_reading_of_a_region_has_a_reader() -> None:
    assert {*walk.READERS} == {*Reading} - {Reading.CONTENTS}


def test_an_error_ends_the_region_in_which_it_occurs_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(region: Region) -> Iterator[Item]:
        yield region.note(NoteKind.CODE, "before")
        raise FormatError("broken")

    rows = tuple((matches, fails if read is walk.native else read) for matches, read in walk.CONTAINERS)
    monkeypatch.setattr(walk, "CONTAINERS", rows)
    found = subjects(zipped({"a": gzip.compress(b"\x7fELF"), "b.pkl": NONE}))
    assert [subject.message for subject in found if isinstance(subject, Note)] == ["before"]  # a record may be anything
    assert [type(subject) for subject in found][-2:] == [PickleStream, ZipSubject]
    assert [(note.kind, note.message) for note in subjects(b"\x7fELF") if isinstance(note, Note)] == [
        (NoteKind.CODE, "before"),
        (NoteKind.UNREAD, "broken"),
    ]


def test_bytes_that_a_call_loads_and_that_are_no_pickle_are_noted() -> None:
    loaded = b"ctorch.storage\n_load_from_bytes\n" + raw(b"no pickle at all") + b"\x85R"
    notes = [subject for subject in subjects(pickled(loaded)) if isinstance(subject, Note)]
    assert [note.kind for note in notes] == [NoteKind.STRANGE]
