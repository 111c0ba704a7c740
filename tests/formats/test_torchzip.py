"""The zip of torch.save is read as torch reads it, also where other programs packed it, and what is not edited is kept."""

import importlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.editing.account import Category
from ptzip.errors import EditError, FormatError, LimitError, UnsupportedError
from ptzip.io.payloads import read_all
from ptzip.limits import Limits
from ptzip.pickling.nodes import Persistent
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, node, numbers
from tests.corpus import CORPUS, FIXTURES, needs_corpus
from tests.torch_reference import differences, summary
from tests.torch_zips import storage_record, torch_zip

SOURCE = FIXTURES / "yolov5-v4.0.pt"

Records = dict[str, bytes]


def records(path: Path) -> Records:
    """The records of a file in their order, by their names without the prefix."""
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def packed(path: Path, content: Records, prefix: str = "last/", method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> Path:
    """A zip as other programs write it: no alignment, no descriptors, no zip64."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.comment = comment
        for name, data in content.items():
            archive.writestr(prefix + name, data)
    return path


def weights(path: Path) -> list[bytes]:
    """The bytes of all storages in order of first appearance."""
    with ptzip.open(path) as checkpoint:
        return [read_all(storage_record(checkpoint, key).payload) for key in checkpoint.storages]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """What is left of the storages when the file is slimmed as torch wrote it."""
    output = tmp_path_factory.mktemp("expected") / "out.pt"
    ptzip.slim(SOURCE, output)
    return weights(output)


# Odd but whole


PACKINGS: dict[str, dict[str, Any]] = {
    "stored": {},
    "deflated": {"method": zipfile.ZIP_DEFLATED},
    "an empty prefix": {"prefix": "/"},
    "no prefix": {"prefix": ""},
    "another prefix": {"prefix": "ärchive 1.0/"},
    "a comment": {"comment": b"saved by hand"},
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_file_that_was_packed_again_is_slimmed_like_the_first(packing: str, tmp_path: Path, expected: list[bytes]) -> None:
    options = PACKINGS[packing]
    path = packed(tmp_path / "last.pt", records(SOURCE), **options)
    report = ptzip.slim(path, tmp_path / "out.pt")
    assert report.warnings == ()
    assert weights(tmp_path / "out.pt") == expected
    with zipfile.ZipFile(tmp_path / "out.pt") as archive:
        assert archive.testzip() is None
        assert {name.startswith(options.get("prefix", "last/")) for name in archive.namelist()} == {True}


def test_names_of_records_may_be_in_capitals(tmp_path: Path, expected: list[bytes]) -> None:
    path = packed(tmp_path / "last.pt", {name.upper(): data for name, data in records(SOURCE).items()})
    ptzip.slim(path, tmp_path / "out.pt")
    assert weights(tmp_path / "out.pt") == expected


@pytest.mark.parametrize("record", ["data/Weights", "data/weights", "DATA/WEIGHTS"])
def test_the_key_of_a_storage_may_be_a_name_in_any_case(record: str, tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    tensor = builder.tensor(numbers(4))
    identity = tensor.arguments[0]
    assert isinstance(identity, Persistent)
    identity.id.parts[2] = node("Weights")
    content = records(builder.save(tmp_path / "plain.pt", DEFAULTS | {"model": {"w": tensor}}))
    content[record] = content.pop("data/0")
    ptzip.slim(packed(tmp_path / "last.pt", content), tmp_path / "out.pt")
    assert weights(tmp_path / "out.pt") == [numbers(4, dtype="float16").tobytes()]


@pytest.mark.parametrize("padding", [b"\0" * 100, b"x" * 60_000])
def test_bytes_behind_the_zip_are_left_out(padding: bytes, tmp_path: Path, expected: list[bytes]) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(SOURCE.read_bytes() + padding)
    report = ptzip.slim(path, tmp_path / "out.pt")
    assert report.new_size == (tmp_path / "out.pt").stat().st_size
    assert weights(tmp_path / "out.pt") == expected


def test_records_in_any_order_are_found(tmp_path: Path, expected: list[bytes]) -> None:
    path = packed(tmp_path / "last.pt", dict(reversed(records(SOURCE).items())))
    ptzip.slim(path, tmp_path / "out.pt")
    assert weights(tmp_path / "out.pt") == expected


def test_extra_records_are_kept_where_they_are(tmp_path: Path, expected: list[bytes]) -> None:
    content = {"notes.txt": b"first"} | records(SOURCE) | {"extra/config.json": b"{}"}
    packed(tmp_path / "last.pt", content)
    ptzip.slim(tmp_path / "last.pt", tmp_path / "out.pt")
    after = records(tmp_path / "out.pt")
    others = [name for name in content if not name.startswith("data/") and name != ".data/serialization_id"]
    assert [name for name in after if not name.startswith("data/")] == others
    assert (after["notes.txt"], after["extra/config.json"]) == (b"first", b"{}")
    assert weights(tmp_path / "out.pt") == expected


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["data.pkl", "version", "byteorder", "data/0"])
def test_of_two_records_of_one_name_the_one_that_torch_reads_is_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    with zipfile.ZipFile(FIXTURES / "training.pt") as old, zipfile.ZipFile(path, "w") as new:
        for entry in old.namelist():
            for _ in range(1 + entry.endswith(f"/{name}")):
                new.writestr(entry, old.read(entry))
    assert not ptzip.verify(path).ok
    ptzip.slim(path, tmp_path / "slim.pt")
    assert ptzip.verify(tmp_path / "slim.pt").ok


def test_a_deflated_record_is_copied_as_it_lies(tmp_path: Path) -> None:
    packed(tmp_path / "last.pt", records(SOURCE) | {"log.txt": b"loss 0.5\n" * 1000}, method=zipfile.ZIP_DEFLATED)
    ptzip.slim(tmp_path / "last.pt", tmp_path / "out.pt")
    with ptzip.open(tmp_path / "last.pt") as before, ptzip.open(tmp_path / "out.pt") as after:
        old, new = (torch_zip(each).records["log.txt"] for each in (before, after))
        assert (old.method, old.size, old.crc) == (new.method, new.size, new.crc)
        assert new.method == zipfile.ZIP_DEFLATED
        assert read_all(old.stored) == read_all(new.stored)
        assert {storage_record(after, key).method for key in after.storages} == {zipfile.ZIP_STORED}  # torch maps them


def test_storages_that_nothing_refers_to_are_left_out(tmp_path: Path) -> None:
    path = packed(tmp_path / "last.pt", records(SOURCE) | {"data/999": b"nobody reads this"})
    ptzip.slim(path, tmp_path / "out.pt")
    assert "data/999" not in records(tmp_path / "out.pt")


def test_the_serialization_id_which_hashes_all_records_is_left_out(tmp_path: Path) -> None:
    ptzip.slim(SOURCE, tmp_path / "out.pt")
    assert ".data/serialization_id" in records(SOURCE)
    assert ".data/serialization_id" not in records(tmp_path / "out.pt")


@pytest.mark.parametrize("alignment", [1, 4096])
def test_another_alignment_that_is_recorded_is_kept(alignment: int, tmp_path: Path) -> None:
    path = packed(tmp_path / "last.pt", records(SOURCE) | {".storage_alignment": str(alignment).encode()})
    ptzip.slim(path, tmp_path / "out.pt")
    with ptzip.open(tmp_path / "out.pt") as checkpoint:
        offsets = [storage_record(checkpoint, key).data_offset for key in checkpoint.storages]
        assert torch_zip(checkpoint).alignment == alignment
    assert {offset % alignment for offset in offsets} == {0}


def test_without_a_byteorder_numbers_are_little_endian(tmp_path: Path, expected: list[bytes]) -> None:
    content = records(SOURCE)
    del content["byteorder"]
    path = packed(tmp_path / "last.pt", content)
    with ptzip.open(path) as checkpoint:
        assert not torch_zip(checkpoint).parts[0].big_endian
    ptzip.slim(path, tmp_path / "out.pt")
    assert weights(tmp_path / "out.pt") == expected


@pytest.mark.torch
@pytest.mark.parametrize(
    "packing",
    ["stored", "deflated", "an empty prefix", "another prefix", "a comment", "in capitals", "extra records", "aligned to 4096"],
)
def test_torch_reads_it_the_same_whoever_packed_it(packing: str, tmp_path: Path) -> None:
    content = records(SOURCE)
    if packing == "in capitals":
        content = {name.upper(): data for name, data in content.items()}
    elif packing == "extra records":
        content = {"a.txt": b"1", **content, "z.txt": b"2"}
    elif packing == "aligned to 4096":
        content[".storage_alignment"] = b"4096"
    ptzip.slim(packed(tmp_path / "last.pt", content, **PACKINGS.get(packing, {})), tmp_path / "out.pt")
    golden = json.loads(SOURCE.with_suffix(".own.json").read_text())
    config: Any = importlib.import_module("torch.utils.serialization.config")
    with config.patch("load.calculate_storage_offsets", True):
        assert differences(summary(tmp_path / "out.pt", mmap=True), golden) == []
    assert differences(summary(tmp_path / "out.pt"), golden) == []
    assert differences(summary(tmp_path / "out.pt", mmap=True), golden) == []


# CRCs


def with_crc(path: Path, wrong: dict[str, int]) -> Path:
    """The source, but with other CRCs in the central directory; "*" stands for all records."""
    data = bytearray(SOURCE.read_bytes())
    at = data.find(b"PK\x01\x02")
    while at >= 0:
        (length,) = struct.unpack_from("<H", data, at + 28)
        name = data[at + 46 : at + 46 + length].decode().partition("/")[2]
        if name in wrong or "*" in wrong:
            struct.pack_into("<I", data, at + 16, wrong.get(name, wrong.get("*", 0)))
        at = data.find(b"PK\x01\x02", at + 46)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", ["data.pkl", "data/0", "data/5", "version"])
def test_a_wrong_crc_is_a_warning_that_names_the_record(name: str, tmp_path: Path, expected: list[bytes]) -> None:
    report = ptzip.slim(with_crc(tmp_path / "last.pt", {name: 0xDEADBEEF}), tmp_path / "out.pt")
    assert report.warnings == (f"the CRC of record yolov5-v4.0/{name} does not match: its bytes may be damaged",)
    assert weights(tmp_path / "out.pt") == expected


def test_a_wrong_crc_of_what_is_dropped_is_not_noticed(tmp_path: Path) -> None:
    with ptzip.open(SOURCE) as checkpoint:
        last = list(checkpoint.storages)[-1]
    assert ptzip.slim(with_crc(tmp_path / "last.pt", {f"data/{last}": 1}), tmp_path / "out.pt").warnings == ()


def test_a_storage_whose_crc_was_wrong_gets_a_right_one(tmp_path: Path) -> None:
    ptzip.slim(with_crc(tmp_path / "last.pt", {"data/0": 1, "data/5": 0}), tmp_path / "out.pt")
    with zipfile.ZipFile(tmp_path / "out.pt") as archive:
        assert archive.testzip() is None


def test_no_crcs_at_all_are_one_warning(tmp_path: Path, expected: list[bytes]) -> None:
    report = ptzip.slim(with_crc(tmp_path / "last.pt", {"*": 0}), tmp_path / "out.pt")
    (warning,) = report.warnings
    assert warning.endswith("records were saved without a CRC and could not be checked, yolov5-v4.0/data.pkl the first")
    assert weights(tmp_path / "out.pt") == expected


def test_a_dry_run_checks_the_pickle(tmp_path: Path) -> None:
    path = with_crc(tmp_path / "last.pt", {"data.pkl": 1, "data/0": 1})
    assert [warning.split()[4] for warning in ptzip.slim(path, dry_run=True).warnings] == ["yolov5-v4.0/data.pkl"]


# Broken


def without(name: str) -> Records:
    return {each: data for each, data in records(SOURCE).items() if each != name}


BROKEN: dict[str, tuple[Records, type[Exception], str]] = {
    "a missing storage": (without("data/3"), FormatError, "record data/3 is missing, but the pickle refers to it"),
    "a short storage": (records(SOURCE) | {"data/3": b"\0" * 4}, FormatError, "record last/data/3 is 4 bytes long, expected"),
    "a missing pickle": (without("data.pkl"), FormatError, "it has no record data.pkl, only last/"),
    "an empty pickle": (records(SOURCE) | {"data.pkl": b""}, FormatError, "record data.pkl is broken: "),
    "a pickle that is cut off": (records(SOURCE) | {"data.pkl": records(SOURCE)["data.pkl"][:-1]}, FormatError, "is broken"),
    "bytes behind the pickle": (
        records(SOURCE) | {"data.pkl": records(SOURCE)["data.pkl"] + b"x"},
        EditError,
        "1 bytes follow",
    ),
    "an alignment beyond reason": (
        records(SOURCE) | {".storage_alignment": b"1000000"},
        UnsupportedError,
        "aligned to 1000000",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_archive_is_refused_with_the_cause(kind: str, tmp_path: Path) -> None:
    content, error, words = BROKEN[kind]
    path = packed(tmp_path / "last.pt", content)
    with pytest.raises(error, match=words):
        ptzip.slim(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_pickle_beyond_the_limit_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(LimitError, match=r"record yolov5-v4.0/data.pkl is [\d,]+ bytes long, above the limit of 100"):
        ptzip.open(SOURCE, Limits(pickle_bytes=100))


def test_an_encrypted_record_is_refused(tmp_path: Path) -> None:
    data = bytearray(packed(tmp_path / "last.pt", records(SOURCE)).read_bytes())
    at = data.find(b"PK\x01\x02")
    data[at + 8] |= 1
    (tmp_path / "last.pt").write_bytes(data)
    with pytest.raises(UnsupportedError, match=r"last/data\.pkl is encrypted"):
        ptzip.open(tmp_path / "last.pt")


def test_the_first_of_two_records_of_one_name_counts(tmp_path: Path) -> None:
    packed(tmp_path / "last.pt", records(SOURCE))
    with zipfile.ZipFile(tmp_path / "last.pt", "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("last/data/0", b"second")
    assert weights(tmp_path / "last.pt") == weights(SOURCE)


# The corpus


@needs_corpus
@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("syn/upper_case_names.pt", ["a", "e", "c", "h"]),
        ("syn/empty_prefix.pt", ["a", "e", "c", "h"]),
        ("syn/extra_records.pt", ["a", "e", "c", "h"]),
        ("syn/deflated.pt", ["a", "e", "c", "h"]),
        ("syn/dir_entries.pt", ["a", "e", "c", "h"]),
        ("syn/trailing_zeros.pt", ["a", "e", "c", "h"]),
        ("syn/zip_comment.pt", ["a", "e", "c", "h"]),
        ("syn/storage_keys_named.pt", ["a", "e", "c", "h"]),
        ("t213/no_crc.pt", None),
        ("t213/align_4096.pt", None),
    ],
)
def test_an_odd_zip_of_the_corpus_is_opened(name: str, keys: list[str] | None) -> None:
    with ptzip.open(CORPUS / "format" / name) as checkpoint:
        checkpoint.main.check_storages()
        assert keys in (None, checkpoint.top_level_keys)
        assert checkpoint.anomalies == []


def test_results_are_a_step_of_their_own() -> None:
    assert ptzip.slim(SOURCE, dry_run=True).saved[Category.RESULTS] > 3000
