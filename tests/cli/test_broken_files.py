"""Files that are no checkpoints, or no whole ones: one line that names the cause, exit code 2, and nothing written.

Whatever the bytes are, only PtzipError (or OSError) leaves `ptzip.slim`, and the folder is as it was.
"""

import gzip
import io
import os
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

import ptzip as package
from tests.cli.shell import names, one_line, ptzip
from tests.small_checkpoints import Records, archive, module_records, save, training_records

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 14808437\n"


def zipped(records: Records) -> bytes:
    """A zip by Python's own writer."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, data in records.items():
            file.writestr(name, data)
    return out.getvalue()


WHOLE = archive(training_records())

NO_CHECKPOINTS = (
    pytest.param(b"", "this is an empty file", id="empty"),
    pytest.param(
        POINTER, "this is a git-lfs pointer: the checkpoint itself was not fetched (`git lfs pull`)", id="git-lfs pointer"
    ),
    pytest.param(b"hello\n", "this is a file of no known format: it neither begins", id="text"),
    pytest.param(b"\0" * 4096, "this is a file of no known format: it neither begins", id="zeros"),
    pytest.param(b"<!DOCTYPE html>", "this is a web page or XML: the download may have failed", id="web page"),
    pytest.param(b'{"error": 404}', "this is JSON text", id="JSON"),
    pytest.param(gzip.compress(WHOLE, mtime=0)[:-99], "this is gzip that is broken or cut off", id="gzip"),
    pytest.param(
        struct.pack("<Q", 2) + b"{}", "the file holds no tensors: the top-level object is an empty dict", id="safetensors"
    ),
    pytest.param(
        b"\x80\x02}q\0.",
        "the file holds no tensors: the top-level object is an empty dict",
        id="bare pickle",
    ),
    pytest.param(
        b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "the protocol version of the legacy stream is broken", id="legacy"
    ),
    pytest.param(WHOLE[: len(WHOLE) // 2], "this is a zip that is cut off", id="cut off"),
    pytest.param(zipped({}), "this is an empty zip", id="empty zip"),
    pytest.param(
        zipped({"a/readme.txt": b"hi"}), "this is a zip, but not one of torch.save: it has no record data.pkl", id="zip"
    ),
    pytest.param(archive({"data.pkl": b"", "constants.pkl": b""}), "this is a TorchScript archive", id="TorchScript"),
)


@pytest.mark.parametrize(("data", "cause"), NO_CHECKPOINTS)
@pytest.mark.parametrize("flags", [(), ("-i",), ("-o", "out.pt")])
def test_a_file_that_is_no_checkpoint_is_named_as_what_it_is(data: bytes, cause: str, flags: tuple[str, ...]) -> None:
    Path("last.pt").write_bytes(data)
    assert one_line(ptzip("slim", "last.pt", *flags), "ptzip: error: last.pt: ").startswith(cause)
    assert names() == ["last.pt"]
    assert Path("last.pt").read_bytes() == data


def without(record: str) -> Records:
    return {name: data for name, data in training_records().items() if name != record}


def changed(record: str, change: Callable[[bytes], bytes]) -> Records:
    return {name: change(data) if name == record else data for name, data in training_records().items()}


BROKEN = (
    pytest.param(without("data/0"), "record data/0 is missing, but the pickle refers to it", id="no storage"),
    pytest.param(without("data/4"), "record data/4 is missing, but the pickle refers to it", id="no storage of the optimizer"),
    pytest.param(without("data.pkl"), "this is a zip, but not one of torch.save: it has no record data.pkl", id="no pickle"),
    pytest.param(
        changed("data/1", lambda data: data[:-1]), "record last/data/1 is 15 bytes long, expected 16", id="short storage"
    ),
    pytest.param(
        changed("data/1", lambda data: data + b"\0"), "record last/data/1 is 17 bytes long, expected 16", id="long storage"
    ),
    pytest.param(changed("data/1", lambda _: b""), "record last/data/1 is 0 bytes long, expected 16", id="empty storage"),
    pytest.param(
        changed("data.pkl", lambda _: b""), "record data.pkl is broken: the pickle ends without STOP", id="empty pickle"
    ),
    pytest.param(
        changed("data.pkl", lambda data: data[:-1]), "record data.pkl is broken: the pickle ends without STOP", id="no STOP"
    ),
    pytest.param(
        changed("data.pkl", lambda data: data + b"more"),
        "the pickle cannot be rewritten: 4 bytes follow the pickle's STOP",
        id="bytes after STOP",
    ),
    pytest.param(
        changed("data.pkl", lambda _: b"\x80\x02N."), "the file holds no tensors: the top-level object is None", id="no dict"
    ),
    pytest.param(
        changed("data.pkl", lambda _: b"\x80\x02}."),
        "the file holds no tensors: the top-level object is an empty",
        id="empty dict",
    ),
    pytest.param(
        changed(".storage_alignment", lambda _: b"99999999"),
        "the records are aligned to 99999999 bytes, expected at most 32768",
        id="alignment",
    ),
)


@pytest.mark.parametrize(("records", "cause"), BROKEN)
@pytest.mark.parametrize("flags", [(), ("-i",), ("-o", "new/")])
def test_a_broken_checkpoint_is_refused_with_the_cause(records: Records, cause: str, flags: tuple[str, ...]) -> None:
    before = save(Path("last.pt"), records).read_bytes()
    assert one_line(ptzip("slim", "last.pt", *flags), "ptzip: error: last.pt: ").startswith(cause)
    assert names() == ["last.pt"]
    assert Path("last.pt").read_bytes() == before


def refusal() -> str | None:
    """Why `ptzip.slim` refuses `last.pt`, or None where it takes it; it must have written nothing if it refuses."""
    before = Path("last.pt").read_bytes()
    try:
        package.slim("last.pt", "out.pt")
    except package.PtzipError as error:
        assert names() == ["last.pt"]
        assert Path("last.pt").read_bytes() == before
        return str(error)
    return None


@pytest.mark.slow
@pytest.mark.parametrize("records", [training_records(), module_records()], ids=["dict", "module"])
def test_a_checkpoint_cut_off_at_any_byte_is_refused(records: Records) -> None:
    path = save(Path("last.pt"), records)
    causes = []
    for length in reversed(range(path.stat().st_size)):
        os.truncate(path, length)
        causes.append(refusal() or "none")
    assert set(causes) == {
        "this is a zip that is cut off: it has no end of central directory "
        "(`ptzip verify` says how much is missing, `ptzip repair` saves the rest)",
        "this is a file of no known format: it neither begins as a checkpoint does nor ends as a zip does",  # < 4 bytes
        "this is an empty file",
    }


@pytest.mark.parametrize("part", [1, 4, 100, len(WHOLE) // 2, len(WHOLE) - 23, len(WHOLE) - 1])
def test_a_checkpoint_cut_off_is_one_error_line(part: int) -> None:
    Path("last.pt").write_bytes(WHOLE[:part])
    one_line(ptzip("slim", "-i", "last.pt"), "ptzip: error: last.pt: this is ")
    assert Path("last.pt").read_bytes() == WHOLE[:part]
    assert names() == ["last.pt"]


@pytest.mark.parametrize("missing", [1, 22, 100])
def test_a_checkpoint_that_lacks_its_first_bytes_is_refused(missing: int) -> None:
    Path("last.pt").write_bytes(WHOLE[missing:])
    assert refusal() is not None


@pytest.mark.slow
def test_a_pickle_cut_off_anywhere_is_refused() -> None:
    records = training_records()
    pickle = records["data.pkl"]
    for length in range(0, len(pickle), 2):
        save(Path("last.pt"), records | {"data.pkl": pickle[:length]})
        assert (refusal() or "none").startswith("record data.pkl is broken: ")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["archive", "pickle"])
def test_a_changed_byte_is_taken_or_refused_but_never_crashes(place: str) -> None:
    """Five hundred times, drawn from a fixed seed."""
    draw = random.Random(2)
    records = training_records()
    whole = WHOLE if place == "archive" else records["data.pkl"]
    for _ in range(500):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= draw.randrange(1, 256)
        Path("last.pt").write_bytes(data if place == "archive" else archive(records | {"data.pkl": bytes(data)}))
        refusal()
        Path("out.pt").unlink(missing_ok=True)
        assert names() == ["last.pt"]
