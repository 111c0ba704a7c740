"""`ptzip verify`: what is wrong with a file is named by its cause and its place, and a whole file is called whole."""

import errno
import gzip
import io
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

import ptzip
from ptzip.io.payloads import read_all
from ptzip.io.sources import BytesSource, FileSource
from ptzip.verifying.report import VerifyReport
from ptzip.zip.header_mismatches import mismatches
from ptzip.zip.reader import read_archive
from tests.bench.shapes import ORDERED, REBUILD, checkpoint, mapping, storage
from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.cli.shell import ptzip as run
from tests.cli.shell import reports
from tests.corpus import CORPUS, FIXTURES, manifest, needs_corpus, parameters
from tests.header_fields import Flip, copied, cuts, flips, turned, zips
from tests.torch_zips import storage_record, torch_zip

CENTRAL, LOCAL = b"PK\x01\x02", b"PK\x03\x04"

NOT_WHOLE = {
    "format/syn/truncated.pt": "cut",
    "real/gh__Linzaer__Ultra-Light-Fast-Generic-Face-Detector-1MB/RFB-320.bin": "header",
    "real/gh__mmaitre314__picklescan/bad_pytorch.pt": "header",
    "real/gh__mmaitre314__picklescan/not_a_pickle.bin": "header",
    "real/gh__pytorch__serve/model.pt": "header",
}
"""What is wrong with the files of the corpus that are not whole: most are no checkpoints at all."""

OTHERWISE = {"t213/nested_jagged.pt", "t213/dtype_float8_legacy_unloadable.pt"}
"""Files of which torch knows better: classes that it learns on the way, and a dtype that its old format cannot hold."""


@pytest.mark.parametrize("path", [*parameters("yolo"), *parameters("format"), *parameters("real")])
def test_every_file_of_the_corpus_is_judged_right(path: Path) -> None:
    try:
        report = ptzip.verify(path)
    except ptzip.UnsupportedError as error:
        pytest.skip(str(error)[:60])
    expected = NOT_WHOLE.get(path.relative_to(CORPUS).as_posix())
    assert [problem.kind for problem in report.problems][:1] == ([expected] if expected else [])


@needs_corpus
def test_the_verdict_on_weights_only_is_that_of_torch() -> None:
    wrong = set[str]()
    for entry in manifest("format")["files"]:
        try:
            loading = ptzip.verify(CORPUS / "format" / entry["file"]).loading
        except ptzip.PtzipError:
            continue
        if loading is not None and loading.weights_only != bool(entry.get("weights_only")):
            wrong.add(entry["file"])
    assert wrong == OTHERWISE


def of(data: bytes, tmp_path: Path, **options: Any) -> VerifyReport:
    path = tmp_path / "x.pt"
    path.write_bytes(data)
    return ptzip.verify(path, **options)


TORCH_WROTE = [FIXTURES / "training.pt", FIXTURES / "ultralytics-8.4.pt", FIXTURES / "yolov5-v7.0-adam.pt"]


@pytest.mark.slow
@pytest.mark.parametrize("path", [*(pytest.param(path, id=path.stem) for path in TORCH_WROTE), *parameters("yolo")])
def test_a_truncated_file_reports_how_much_is_missing_and_which_tensors_are_complete(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    with ptzip.open(path) as found:
        ends = {entry.name.partition("/data/")[2]: entry.data_offset + entry.size for entry in found.container.archive.entries}  # type: ignore[attr-defined]
        needed = {name: tensor.storage.key for name, tensor in found.tensors().items() if tensor.storage is not None}
    cut = tmp_path / "cut.pt"
    cut.write_bytes(data)
    for size in sorted(random.Random(path.stem).sample(range(64, len(data)), 50), reverse=True):
        os.truncate(cut, size)
        report = ptzip.verify(cut)
        assert [problem.kind for problem in report.problems] == ["cut"]
        if report.rest is not None:
            assert report.rest.missing == len(data) - size
            assert set(report.rest.whole) >= {name for name, key in needed.items() if ends[key] <= size}
            assert set(report.rest.lost) == {name for name, key in needed.items() if ends[key] > size}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]


def places(data: bytes, signature: bytes, offset: int) -> list[int]:
    """The offsets of a field in every header with this signature."""
    found, at = [], data.find(signature)
    while at >= 0:
        found.append(at + offset)
        at = data.find(signature, at + 4)
    return found


FIELDS = {
    "the signature of a local header": (LOCAL, 0),
    "the method in a local header": (LOCAL, 8),
    "the name in a local header": (LOCAL, 31),
    "the method in the directory": (CENTRAL, 10),
    "the size in the directory": (CENTRAL, 24),
    "the offset in the directory": (CENTRAL, 42),
    "the name in the directory": (CENTRAL, 50),
}


@pytest.mark.parametrize(("signature", "offset"), FIELDS.values(), ids=FIELDS)
def test_a_flipped_bit_in_a_header_is_reported(signature: bytes, offset: int, tmp_path: Path) -> None:
    data = (FIXTURES / "training.pt").read_bytes()
    found = places(data, signature, offset)
    for at in random.Random(offset).sample(found, min(10, len(found))):
        report = of(flipped(data, at), tmp_path)
        assert {problem.kind for problem in report.problems} & {"header", "layout", "pickle"}, at


COMMENTED = {"trailing_zeros.pt", "zip_comment.pt"}
"""Bytes follow the end of these, so that another length of its comment may be the right one."""

COUNT = 50
"""Cuts and flips of each zip."""

LARGE, FEW = 3_000_000, 5
"""Of files from so many bytes there are fewer; they are cut in the test above."""

EVERY = [pytest.param(path, id=path.name) for path in zips("format", "yolo")]

COMPLETE = {"dcp_shard.distcp", "trailing_zeros.pt"}
"""Readers ignore what follows the first end in these: further zips of a shard, and zeros."""


@pytest.mark.slow
@pytest.mark.parametrize("path", [path for path in EVERY if path.values[0].stat().st_size < LARGE])  # type: ignore[union-attr]
def test_every_truncation_is_reported_as_a_cut(path: Path, tmp_path: Path) -> None:
    place = copied(path, tmp_path)
    for size in cuts(path.stat().st_size, COUNT, path.name):
        os.truncate(place, size)
        kinds = {problem.kind for problem in ptzip.verify(place).problems}
        assert kinds == {"cut"} or (path.name in COMPLETE and not kinds), size


@pytest.mark.slow
@pytest.mark.parametrize("path", EVERY)
def test_every_flipped_bit_in_a_header_is_reported_as_a_header_problem(path: Path, tmp_path: Path) -> None:
    data, place = path.read_bytes(), copied(path, tmp_path)
    for flip in flips(data, COUNT if len(data) < LARGE else FEW, path.name):
        with turned(place, flip):
            kinds = {problem.kind for problem in ptzip.verify(place).problems}
        if path.name in COMMENTED and (flip.header, flip.field) == ("end", "comment length"):
            assert kinds <= {"cut", "header"}, "a longer comment may be one that was cut"
        else:
            assert "header" in kinds or (not kinds and says_the_truth(flip, data)), flip


def says_the_truth(flip: Flip, data: bytes) -> bool:
    """Whether what a local header leaves to the descriptor, as 0, has become what the descriptor says."""
    if flip.header != "local header" or flip.field not in ("crc", "stored size", "size"):
        return False
    return not any(True for entry in read_archive(BytesSource(flip.of(data))).entries for _ in mismatches(entry))


def test_a_flipped_bit_in_a_storage_is_reported_with_its_record(tmp_path: Path) -> None:
    path = FIXTURES / "training.pt"
    data = path.read_bytes()
    with ptzip.open(path) as found:
        entries = [entry for entry in found.container.archive.entries if "/data/" in entry.name]  # type: ignore[attr-defined]
        middles = {entry.name: entry.data_offset + entry.size // 2 for entry in entries}
    for name in random.Random(1).sample(sorted(middles), 20):
        report = of(flipped(data, middles[name]), tmp_path)
        assert [(problem.kind, problem.place) for problem in report.problems] == [("data", name)]


def test_a_flipped_bit_in_the_pickle_is_reported(tmp_path: Path) -> None:
    path = FIXTURES / "training.pt"
    data = path.read_bytes()
    with ptzip.open(path) as found:
        record = next(entry for entry in found.container.archive.entries if entry.name.endswith("data.pkl"))  # type: ignore[attr-defined]
        start = record.data_offset
    for at in random.Random(2).sample(range(start, start + record.size), 20):
        assert {"data"} <= {problem.kind for problem in of(flipped(data, at), tmp_path).problems}


@pytest.fixture
def safe(tmp_path: Path) -> Path:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "a.pt", {"a.weight": builder.tensor(numbers(30)), "b.weight": builder.tensor(numbers(3))})
    ptzip.convert(path, tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


@pytest.mark.parametrize("missing", [1, 7, 120, 132])
def test_missing_bytes_of_truncated_safetensors_are_counted(safe: Path, missing: int) -> None:
    assert ptzip.verify(safe).ok
    whole = safe.stat().st_size
    os.truncate(safe, whole - missing)
    (problem,) = ptzip.verify(safe).problems
    assert (problem.kind, problem.message) == ("cut", f"it is cut off: {missing} of {whole} bytes are missing")


def test_trailing_bytes_and_a_broken_header_of_safetensors_are_reported(safe: Path) -> None:
    data = safe.read_bytes()
    safe.write_bytes(data + b"x")
    assert [problem.kind for problem in ptzip.verify(safe).problems] == ["layout"]
    safe.write_bytes(data.replace(b"dtype", b"ctype", 1))
    assert [problem.kind for problem in ptzip.verify(safe).problems] == ["header"]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_what_is_inside_a_compressed_file_is_verified(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    data = (FIXTURES / "training.pt").read_bytes()
    report = of(pack(data), tmp_path)
    assert (report.ok, report.records, report.loading) == (True, 57, None)
    with ptzip.open(FIXTURES / "training.pt") as found:
        at = storage_record(found, "7").data_offset
    assert [problem.kind for problem in of(pack(flipped(data, at)), tmp_path).problems] == ["data"]
    assert [problem.kind for problem in of(pack(data[:-1000]), tmp_path).problems] == ["cut"]
    assert [problem.kind for problem in of(pack(data)[:-1000], tmp_path).problems] == ["cut"]


@needs_corpus
def test_files_that_torch_does_not_load_directly_are_marked(tmp_path: Path) -> None:
    (shard,) = CORPUS.glob("format/**/dcp_shard.distcp")
    (tmp_path / "x.pt.gz").write_bytes(gzip.compress((FIXTURES / "training.pt").read_bytes()))
    assert "use torch.distributed.checkpoint" in run("verify", str(shard)).out
    assert "torch loads it after decompression" in run("verify", str(tmp_path / "x.pt.gz")).out


def test_a_legacy_stream_without_its_magic_number_is_not_whole(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    source = builder.save(tmp_path / "a.pt", {"a.weight": builder.tensor(numbers(30))})
    ptzip.slim(source, tmp_path / "b.pt", recipe="generic", format="legacy")
    assert ptzip.verify(tmp_path / "b.pt").ok
    data = (tmp_path / "b.pt").read_bytes()
    (problem,) = of(data[:4] + bytes(4) + data[8:], tmp_path).problems
    assert (problem.kind, problem.message.partition(" bytes ")[2]) == ("layout", "after the last pickle are not a pickle")


def test_before_the_first_storage_the_missing_bytes_are_a_lower_bound(tmp_path: Path) -> None:
    data = (FIXTURES / "training.pt").read_bytes()
    with ptzip.open(FIXTURES / "training.pt") as found:
        first = storage_record(found, "0").data_offset
    for size, words in ((first - 1, "at least"), (first, f"{len(data) - first:,} of {len(data):,} bytes")):
        (problem,) = of(data[:size], tmp_path).problems
        assert words in problem.message


@pytest.mark.parametrize("name", ["training.pt", "coqui_lj_parameters.pt", "pyg_pre_filter.pt"])
def test_the_missing_bytes_are_exact_or_a_lower_bound(name: str, tmp_path: Path) -> None:
    found = [path for path in (FIXTURES / name, CORPUS / "frameworks" / "real" / name) if path.exists()]
    if not found:
        pytest.skip("needs the corpus")
    data = found[0].read_bytes()
    for size in range(8, len(data), 1 if len(data) < 1000 else 4093):
        report = of(data[:size], tmp_path)
        if report.rest is not None:
            missing, is_bound = report.rest.missing, "at least" in report.problems[0].message
            assert missing <= len(data) - size if is_bound else missing == len(data) - size, size


@pytest.mark.torch
def test_the_missing_bytes_of_a_file_of_this_torch_are_exact_or_a_lower_bound(tmp_path: Path) -> None:
    import torch

    for value in ({"a": 1}, {"a": torch.zeros(3)}):
        saved = io.BytesIO()
        torch.save(value, saved)
        data = saved.getvalue()
        for size in range(64, len(data)):
            report = of(data[:size], tmp_path)
            assert "laid out" not in report.problems[0].message
            if report.rest is not None:
                missing, is_bound = report.rest.missing, "at least" in report.problems[0].message
                assert missing <= len(data) - size if is_bound else missing == len(data) - size, size


@needs_corpus
def test_nothing_is_computed_for_torchscript_that_was_cut_off(tmp_path: Path) -> None:
    compiled = [*CORPUS.glob("format/**/*torchscript*"), CORPUS / "frameworks" / "real" / "test_model.ptl"]
    for path in (path for path in compiled if path.exists()):
        data = path.read_bytes()
        for size in range(0, len(data), 997):
            report = of(data[:size], tmp_path)
            assert (report.ok, report.rest) == (False, None), path.name


@pytest.mark.parametrize(
    ("method", "words"), [(zipfile.ZIP_STORED, "not laid out by torch"), (zipfile.ZIP_DEFLATED, "compressed")]
)
def test_nothing_is_computed_for_a_truncated_file_of_another_program(method: int, words: str, tmp_path: Path) -> None:
    with ptzip.open(FIXTURES / "training.pt") as found:
        records = {entry.name: read_all(entry.payload) for entry in torch_zip(found).archive.entries}
    with zipfile.ZipFile(tmp_path / "whole.pt", "w", method) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    data = (tmp_path / "whole.pt").read_bytes()
    report = of(data[: len(data) // 2], tmp_path)
    assert report.rest is None
    assert [problem.kind for problem in report.problems] == ["cut"]
    assert words in report.problems[0].message


def test_a_zip_split_over_several_disks_is_reported(tmp_path: Path) -> None:
    data = (FIXTURES / "training.pt").read_bytes()
    locator = data.rindex(b"PK\x06\x07")
    for at in (locator + 4, locator + 16, locator + 17):
        assert [problem.kind for problem in of(flipped(data, at), tmp_path).problems] == ["header"]


@pytest.mark.parametrize("name", ["version", "byteorder"])
def test_a_damaged_file_reports_nothing_that_loads_it(name: str, tmp_path: Path) -> None:
    data = (FIXTURES / "training.pt").read_bytes()
    with ptzip.open(FIXTURES / "training.pt") as found:
        at = torch_zip(found).records[name].data_offset
    report = of(flipped(data, at), tmp_path)
    assert [problem.kind for problem in report.problems] == ["data"]
    assert report.loading is None


def test_a_read_error_of_the_disk_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(self: FileSource, offset: int, buffer: memoryview) -> None:
        raise OSError(errno.EIO, "the disk failed", self.name)

    monkeypatch.setattr(FileSource, "read_into", failing)
    with pytest.raises(OSError, match="the disk failed"):
        ptzip.verify(FIXTURES / "training.pt")
    assert run("verify", str(FIXTURES / "training.pt")).code == 2


def test_records_without_a_crc_cannot_be_checked(tmp_path: Path) -> None:
    data = bytearray((FIXTURES / "training.pt").read_bytes())
    for at in places(bytes(data), CENTRAL, 16):
        data[at : at + 4] = bytes(4)
    for at in places(bytes(data), b"PK\x07\x08", 4):
        data[at : at + 4] = bytes(4)
    report = of(bytes(data), tmp_path)
    assert report.ok
    assert (report.records, len(report.unchecked)) == (0, 57)


def test_tensors_with_nan_or_infinity_are_named(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    odd = np.array([np.nan, np.inf, -np.inf, 1], np.float32)
    path = builder.save(tmp_path / "x.pt", {"a.weight": builder.tensor(odd), "b.weight": builder.tensor(numbers(3))})
    assert ptzip.verify(path).numbers == ()
    assert [tuple(found) for found in ptzip.verify(path, values=True).numbers] == [("a.weight", 1, 2)]


def test_tensors_that_repeat_a_few_bytes_are_not_read_value_by_value() -> None:
    expanded = REBUILD + b"(" + storage(0) + b"K\0J\0\0\0\x01\x85K\0\x85\x89" + ORDERED + b")RtR"  # 2 ** 24 times the same
    data = checkpoint(mapping([(f"w{number}", expanded) for number in range(300)]))
    assert ptzip.verify(data).ok
    with pytest.raises(ptzip.LimitError, match="tensors share 16 bytes so often"):
        ptzip.verify(data, values=True)


# What torch minds, and what it does not


@pytest.mark.torch
@pytest.mark.parametrize("numbers_of_one", [3, 1000])
def test_bytes_behind_a_zip_are_a_problem_where_torch_does_not_find_its_end(numbers_of_one: int) -> None:
    import torch

    saved = io.BytesIO()
    torch.save({"a": torch.zeros(numbers_of_one), "none": torch.zeros(0)}, saved)
    size, chance = len(saved.getvalue()), random.Random(numbers_of_one)
    edges = [edge for block in range(1, 19) for edge in (block * 4093 + 2 - size, block * 4093 + 3 - size, block * 4093 + 24)]
    for behind in [*(edge for edge in edges if edge >= 0), *(chance.randrange(75_000) for _ in range(50))]:
        data = saved.getvalue() + bytes(behind)
        try:
            torch.load(io.BytesIO(data))
            loads = True
        except (ValueError, RuntimeError):
            loads = False
        assert ptzip.verify(data).ok == loads, behind


def test_a_file_that_was_zipped_again_is_whole_and_has_a_warning(tmp_path: Path) -> None:
    with ptzip.open(FIXTURES / "training.pt") as found:
        records = {entry.name: read_all(entry.payload) for entry in torch_zip(found).archive.entries}
    with zipfile.ZipFile(tmp_path / "again.pt", "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    report = ptzip.verify(tmp_path / "again.pt")
    assert report.ok
    assert [warning.place for warning in report.warnings] == ["training/data.pkl"]
    assert "  warning: layout training/data.pkl: it begins at byte" in run("verify", str(tmp_path / "again.pt")).out
    assert ptzip.repair(tmp_path / "again.pt", tmp_path / "out.pt").is_saved
    assert ptzip.verify(tmp_path / "out.pt").warnings == ()


# The command


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    data = (FIXTURES / "training.pt").read_bytes()
    for name, content in {"good.pt": data, "cut.pt": data[:400_000], "text.pt": b"hello"}.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.mark.usefixtures("place")
def test_lines_and_exit_codes() -> None:
    good, cut = run("verify", "good.pt"), run("verify", "good.pt", "cut.pt")
    assert (good.code, cut.code, run("verify", "missing.pt", "cut.pt").code) == (0, 1, 2)
    assert good.out.splitlines()[0] == "OK: good.pt: torch.save zip, all 57 CRCs match"
    first, second, third = cut.out.splitlines()[-3:]
    assert first == "ERROR: cut.pt: 1 problem"
    assert second == "  cut: it is cut off: 493,379 of 893,379 bytes are missing (byte 400,000)"
    assert third.startswith("  20 of 56 tensors intact; lost: model.model.3.conv.weight, ")


@pytest.mark.usefixtures("place")
def test_json_has_everything() -> None:
    good, cut = reports(run("verify", "--json", "good.pt", "cut.pt").out)
    assert (good["ok"], good["records"], good["loading"]["mmap"]) == (True, 57, True)
    assert (cut["ok"], cut["problems"][0]["kind"], cut["rest"]["missing"]) == (False, "cut", 493_379)


@pytest.mark.usefixtures("place")
def test_quiet_prints_nothing_about_intact_files() -> None:
    assert run("verify", "-q", "good.pt") == (0, "", "")
