"""`ptzip repair`: what is saved is what it was, and what is not is named."""

import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ptzip
from ptzip.formats.signatures import is_legacy
from ptzip.io.payloads import read_all
from ptzip.io.sources import BytesSource
from ptzip.pickling.new_nodes import named
from ptzip.pickling.nodes import Persistent
from ptzip.tensors.tensor import Tensor
from ptzip.zip import header_search as headers
from ptzip.zip import structs
from ptzip.zip.reader import Entry
from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.cli.shell import one_line, reports
from tests.cli.shell import ptzip as run
from tests.corpus import CORPUS, FIXTURES, files, needs_corpus
from tests.header_fields import copied, cuts, flips, turned, zips
from tests.repairing.damage_sweep import NAMED, NOTHING, REFUSED, SAVED, Described, described, outcome
from tests.small_checkpoints import Saving, archive, called
from tests.torch_zips import torch_zip

COUNT, LARGE, FEW = 3, 3_000_000, 1
"""Cuts, flips in headers and flips elsewhere of each zip, fewer of large ones; `damaged.py` tries any number."""

SHARD = "dcp_shard.distcp"
"""What is cut off the first zip of a shard is a checkpoint like any other."""

FOREIGN = {"t16_torchscript_scripted.pt", "torch_package.pt", "torchscript_lite.ptl", SHARD}
"""Zips that torch.save did not write."""

ONLY = r"only files of torch\.save are repaired"

WITHOUT_CRC = {"no_crc.pt", "skip_data.pt"}

EVERY = [pytest.param(path, id=path.name) for path in zips("format", "yolo") if path.name != SHARD]
SMALL = [path for path in EVERY if path.values[0].stat().st_size < LARGE]  # type: ignore[union-attr]

TRAINING = FIXTURES / "training.pt"


def count(path: Path) -> int:
    return COUNT if path.stat().st_size < LARGE else FEW


@pytest.mark.slow
@pytest.mark.parametrize("path", EVERY)
def test_in_a_truncated_file_every_tensor_is_unchanged_or_named(path: Path, tmp_path: Path) -> None:
    before, place = described(path), copied(path, tmp_path)
    for size in cuts(path.stat().st_size, count(path), path.name):
        os.truncate(place, size)
        found = outcome(place, before, tmp_path / "out.pt")
        assert found.unreported == (), size
        if found.report and found.report.output:
            assert {problem.kind for problem in found.report.problems} == {"cut"}


@pytest.mark.slow
@pytest.mark.parametrize("path", EVERY)
def test_a_flipped_bit_in_a_header_costs_no_tensor(path: Path, tmp_path: Path) -> None:
    data, before, place = path.read_bytes(), described(path), copied(path, tmp_path)
    for flip in flips(data, count(path), path.name):
        with turned(place, flip):
            found = outcome(place, before, tmp_path / "out.pt")
        assert found.unreported == (), flip
        if path.name in FOREIGN:
            assert found.what == REFUSED
        elif path.name not in WITHOUT_CRC:
            assert found.what in (SAVED, NOTHING), flip


@pytest.mark.slow
@pytest.mark.parametrize("path", SMALL)
def test_after_any_flipped_bit_every_changed_tensor_is_named(path: Path, tmp_path: Path) -> None:
    data, before, place = path.read_bytes(), described(path), tmp_path / "x.pt"
    chance = random.Random(path.name)
    for at in chance.sample(range(len(data)), COUNT):
        place.write_bytes(data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :])
        assert outcome(place, before, tmp_path / "out.pt").unreported == (), at


@pytest.mark.parametrize("path", SMALL)
def test_a_whole_file_is_left_alone_and_all_of_it_found_whole(path: Path, tmp_path: Path) -> None:
    if path.name in FOREIGN:
        with pytest.raises(ptzip.UnsupportedError, match=ONLY):
            ptzip.repair(path, tmp_path / "out.pt")
        return
    report = ptzip.repair(path, tmp_path / "out.pt")
    assert (report.lost, report.damaged) == ((), ())
    assert bool(report.unverifiable) == (path.name in WITHOUT_CRC)
    assert report.output == ("" if path.name != "unaligned.pt" else str(tmp_path / "out.pt"))


# One damage at a time


def names(data: bytes, signature: bytes, offset: int, name: bytes) -> int:
    """The offset of the name in one header."""
    at = data.find(signature)
    while data[at + offset : at + offset + len(name)] != name:
        at = data.index(signature, at + 4)
    return at + offset


def test_a_digit_of_a_name_does_not_make_one_storage_another(tmp_path: Path) -> None:
    data, before = TRAINING.read_bytes(), described(TRAINING)
    for key in range(2, 10):
        for signature, offset in ((structs.LOCAL_SIGNATURE, 30), (structs.CENTRAL_SIGNATURE, 46)):
            name = f"training/data/{key}".encode()
            at = names(data, signature, offset, name) + len(name) - 1
            place = tmp_path / "x.pt"
            place.write_bytes(data[:at] + str(key ^ 1).encode() + data[at + 1 :])
            found = outcome(place, before, tmp_path / "out.pt")
            assert (found.what, found.unreported) == (SAVED, ())


def test_without_a_directory_a_digit_is_not_believed_against_the_layout(tmp_path: Path) -> None:
    data, before = TRAINING.read_bytes(), described(TRAINING)
    for key in range(2, 6):
        name = f"training/data/{key}".encode()
        at = names(data, structs.LOCAL_SIGNATURE, 30, name) + len(name) - 1
        place = tmp_path / "x.pt"
        place.write_bytes((data[:at] + str(key ^ 1).encode() + data[at + 1 :])[:800_000])
        assert outcome(place, before, tmp_path / "out.pt").unreported == ()


def test_a_flip_in_a_storage_is_damage_and_its_bytes_stay(tmp_path: Path) -> None:
    data = bytearray(TRAINING.read_bytes())
    with ptzip.open(TRAINING) as checkpoint:
        entry = torch_zip(checkpoint).records["data/7"]
        start, size = entry.data_offset, entry.size
        named = [name for name, tensor in checkpoint.tensors().items() if tensor.storage and tensor.storage.key == "7"]
    data[start] ^= 1
    (tmp_path / "x.pt").write_bytes(data)
    report = ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt")
    assert list(report.damaged) == named
    assert (report.lost, report.unverifiable, report.doubt) == ((), (), "")
    with ptzip.open(tmp_path / "out.pt") as checkpoint:
        stored = read_all(torch_zip(checkpoint).records["data/7"].payload)
    assert stored == data[start : start + size]


@pytest.mark.slow
def test_a_flip_in_the_pickle_puts_all_in_doubt_or_is_refused(tmp_path: Path) -> None:
    data = TRAINING.read_bytes()
    with ptzip.open(TRAINING) as checkpoint:
        entry = torch_zip(checkpoint).records["data.pkl"]
        pickle = range(entry.data_offset, entry.data_offset + entry.size)
    doubted = 0
    for at in random.Random(3).sample(pickle, 20):
        (tmp_path / "x.pt").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        try:
            report = ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt", overwrite=True)
        except ptzip.PtzipError:
            continue
        doubted += 1
        assert "in doubt" in report.doubt
        assert not report.is_saved
    assert doubted


def test_records_without_a_crc_are_unverifiable(tmp_path: Path) -> None:
    data = bytearray(TRAINING.read_bytes())
    for signature, offset in ((structs.CENTRAL_SIGNATURE, 16), (structs.DESCRIPTOR_SIGNATURE, 4)):
        at = data.find(signature)
        while at >= 0:
            data[at + offset : at + offset + 4] = bytes(4)
            at = data.find(signature, at + 4)
    (tmp_path / "x.pt").write_bytes(data[:-10])
    report = ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt")
    assert (report.whole, report.lost, report.damaged) == ((), (), ())
    assert len(report.unverifiable) == 56
    assert "no CRC" in report.doubt


def test_what_is_lost_is_nan_or_zero(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(TRAINING.read_bytes()[:400_000])
    report = ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt")
    with ptzip.open(tmp_path / "out.pt") as checkpoint:
        lost = [checkpoint.tensors()[name] for name in report.lost]
        values = [(tensor.dtype, tensor.numpy()) for tensor in lost]
    assert {dtype for dtype, _ in values} == {"float32", "float64", "int64"}
    assert all((array != array).all() if dtype != "int64" else (array == 0).all() for dtype, array in values)
    assert ptzip.verify(tmp_path / "out.pt").ok


def test_entries_of_others_are_dropped_and_deflated_ones_stored(tmp_path: Path) -> None:
    with ptzip.open(TRAINING) as checkpoint:
        records = {entry.name: read_all(entry.payload) for entry in torch_zip(checkpoint).archive.entries}
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("training/", b"")
        for name, content in records.items():
            archive.writestr(name, content)
        archive.writestr("training/data/999", b"left")
        archive.writestr("__MACOSX/training/._data.pkl", b"finder")
    before = described(TRAINING)
    found = outcome(tmp_path / "x.pt", before, tmp_path / "out.pt")
    assert (found.what, found.unreported) == (SAVED, ())
    assert found.report is not None
    dropped = {one.name: one.reason for one in found.report.dropped}
    assert dropped["__MACOSX/training/._data.pkl"] == "it is outside the folder training/"
    assert dropped["training/data/999"] == "no pickle refers to it"
    assert dropped["training/"] == "it is a folder"
    assert ptzip.verify(tmp_path / "out.pt").ok


def entries(path: Path) -> dict[str, Entry]:
    with ptzip.open(path) as checkpoint:
        return {name: entry for name, entry in torch_zip(checkpoint).records.items() if entry.data_offset}


def same_size(found: dict[str, Entry]) -> tuple[Entry, Entry]:
    """Two storages of one length and other bytes."""
    stored = [entry for name, entry in found.items() if name.startswith("data/") and entry.size > 4]
    pairs = ((one, other) for one in stored for other in stored if one.size == other.size and one.crc != other.crc)
    return next(pairs)


@pytest.mark.parametrize("both", [True, False])
def test_bytes_that_moved_with_their_descriptor_are_not_whole(both: bool, tmp_path: Path) -> None:
    data, before = bytearray(TRAINING.read_bytes()), described(TRAINING)
    one, other = same_size(entries(TRAINING))
    length = one.size + structs.DESCRIPTOR_SIZE
    first, second = (slice(entry.data_offset, entry.data_offset + length) for entry in (one, other))
    data[first], data[second] = (data[second] if both else data[first]), data[first]
    (tmp_path / "x.pt").write_bytes(data)
    found = outcome(tmp_path / "x.pt", before, tmp_path / "out.pt")
    assert (found.what, found.unreported) == (NAMED, ())


def test_bytes_of_ones_are_not_their_own_descriptor(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "a.pt", {"f": builder.tensor(numbers(1)), "g": builder.tensor(numbers(9))})
    before, at = described(path), entries(path)["data/0"].data_offset
    data = bytearray(path.read_bytes())
    data[at : at + 20] = b"\xff" * 20
    (tmp_path / "x.pt").write_bytes(data)
    found = outcome(tmp_path / "x.pt", before, tmp_path / "out.pt")
    assert found.unreported == ()
    assert found.report is not None
    assert found.report.damaged == ("f",)


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_a_tail_that_was_never_written_leaves_a_version_that_can_be_read(byte: bytes, tmp_path: Path) -> None:
    data, at = TRAINING.read_bytes(), entries(TRAINING)["version"].data_offset
    (tmp_path / "x.pt").write_bytes(data[:at] + byte * (len(data) - at))
    assert ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt").is_saved
    with ptzip.open(tmp_path / "out.pt") as checkpoint:
        assert read_all(torch_zip(checkpoint).records["version"].payload).strip() == b"3"


def test_a_damaged_deflate_stream_loses_its_own_tensors_only(tmp_path: Path) -> None:
    with ptzip.open(TRAINING) as checkpoint:
        records = {entry.name: read_all(entry.payload) for entry in torch_zip(checkpoint).archive.entries}
    with zipfile.ZipFile(tmp_path / "x.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    hit = max(
        (entry for name, entry in entries(tmp_path / "x.pt").items() if name.startswith("data/")), key=lambda one: one.size
    )
    data = bytearray((tmp_path / "x.pt").read_bytes())
    middle = hit.data_offset + hit.compressed_size // 2
    data[middle : middle + 40] = bytes(40)
    (tmp_path / "x.pt").write_bytes(data)
    found = outcome(tmp_path / "x.pt", described(TRAINING), tmp_path / "out.pt")
    assert (found.what, found.unreported) == (NAMED, ())
    assert found.report is not None
    assert len(found.report.lost) >= 1
    assert ptzip.verify(tmp_path / "out.pt").ok


def test_records_of_another_length_get_the_length_that_torch_asks_for(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "a.pt", {"f": builder.tensor(numbers(99)), "g": builder.tensor(numbers(9))})
    with ptzip.open(path) as checkpoint:
        records = {entry.name: read_all(entry.payload) for entry in torch_zip(checkpoint).archive.entries}
    with zipfile.ZipFile(tmp_path / "x.pt", "w") as archive:
        for name, content in records.items():
            archive.writestr(name, content[:100] if name.endswith("data/0") else content)
    report = ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt")
    assert report.damaged == ("f",)
    assert ptzip.verify(tmp_path / "out.pt").ok
    with ptzip.open(tmp_path / "out.pt") as checkpoint:
        array = checkpoint.tensors()["f"].numpy()
    assert (array[:25] == numbers(99)[:25]).all()
    assert (array[25:] != array[25:]).all()


def test_a_file_of_nothing_but_signatures_is_too_much(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(headers, "MOST", 10)
    (tmp_path / "x.pt").write_bytes(structs.LOCAL_SIGNATURE * 100)
    with pytest.raises(ptzip.LimitError, match="more than 10 signatures"):
        ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt")


@pytest.mark.parametrize("size", [0, 1, 3])
def test_anything_but_a_zip_is_refused(size: int, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"PK\x03"[:size])
    with pytest.raises(ptzip.UnsupportedError, match=ONLY):
        ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt")


@needs_corpus
def test_other_formats_are_refused(tmp_path: Path) -> None:
    for path in files("format"):
        if path.read_bytes()[:2] != b"PK" and not is_legacy(BytesSource(path.read_bytes())):
            with pytest.raises(ptzip.UnsupportedError, match=ONLY):
                ptzip.repair(path, tmp_path / "out.pt")
    assert not list(tmp_path.iterdir())


def test_empty_storages_are_found_and_none_of_them_is_dropped(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    empty = [builder.tensor(numbers(0)), builder.tensor(numbers(0))]
    path = builder.save(tmp_path / "a.pt", {"a": empty[0], "b": builder.tensor(numbers(9)), "c": empty[1]})
    (tmp_path / "x.pt").write_bytes(path.read_bytes()[:-5])
    report = ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt")
    assert report.is_saved
    assert [one.name for one in report.dropped if "second" in one.reason] == []


# Line ends


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in sorted(FIXTURES.glob("*.pt"))])
def test_expanded_line_ends_are_named_and_undone(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    (tmp_path / "x.pt").write_bytes(data.replace(b"\n", b"\r\n"))
    assert "every line feed became" in ptzip.verify(tmp_path / "x.pt").problems[0].message
    found = outcome(tmp_path / "x.pt", described(path), tmp_path / "out.pt")
    assert (found.what, found.unreported) == (SAVED, ())


def test_removed_carriage_returns_are_named_and_what_had_none_is_saved(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    noise = random.Random(1).randbytes(2 << 20)
    values = {"a.weight": builder.tensor(np.frombuffer(noise, np.uint8)), "b.weight": builder.tensor(numbers(9))}
    path = builder.save(tmp_path / "a.pt", values)
    (tmp_path / "x.pt").write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    assert "every carriage return" in ptzip.verify(tmp_path / "x.pt").problems[0].message
    found = outcome(tmp_path / "x.pt", described(path), tmp_path / "out.pt")
    assert found.unreported == ()
    assert found.report is not None
    assert "b.weight" in found.report.whole


# Legacy streams

TWO_OBJECTS = "two_objects_legacy"
"""The first of which is complete where the second is cut off."""

LEGACY = [pytest.param(path, id=path.name) for path in files("format") if is_legacy(BytesSource(path.read_bytes()))]


def readable(path: Path) -> Described:
    """Every tensor of a file with its form and the bytes of its storages, without their keys, which a new file numbers anew."""
    with ptzip.open(path) as checkpoint:
        found = dict(checkpoint.tensors())
        return {name: comparable(tensor) for name, tensor in found.items()}


def comparable(tensor: Tensor) -> tuple[object, ...]:
    data = None if tensor.storage is None else tensor.storage.read(0, tensor.storage.size)
    inner = tuple((name, comparable(part)) for name, part in tensor.components.items())
    return tensor.dtype, tensor.shape, tensor.stride, tensor.offset, tensor.requires_grad, data, inner


@pytest.mark.parametrize("most", [pytest.param(10, id="few"), pytest.param(1000, id="many", marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", LEGACY)
def test_of_a_truncated_legacy_stream_every_tensor_is_unchanged_or_named(path: Path, most: int, tmp_path: Path) -> None:
    data, before = path.read_bytes(), readable(path)
    place, out = tmp_path / "x.pt", tmp_path / "out.pt"
    saved = 0
    for size in range(len(data) - 1, 64, -max(50, len(data) // most)):
        place.write_bytes(data[:size])
        verified = ptzip.verify(place)
        assert {problem.kind for problem in verified.problems} == {"cut"} or path.stem == TWO_OBJECTS, size
        try:
            report = ptzip.repair(place, out, overwrite=True)
        except ptzip.PtzipError:
            assert verified.rest is None, size
            continue
        after = readable(out if report.output else place)
        assert [name for name in after if after[name] != before[name] and name not in report.lost] == [], size
        assert before.keys() == after.keys() or path.stem == TWO_OBJECTS, size
        assert verified.rest is None or (verified.rest.whole, verified.rest.lost) == named_by(report), size
        saved += bool(report.output)
    assert saved or not before


def named_by(report: ptzip.RepairReport) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tensors that are whole, and those that are lost."""
    whole, lost = (tuple(name for name in names if not name.startswith("storage ")) for names in (report.whole, report.lost))
    return whole, lost


@needs_corpus
@pytest.mark.torch
def test_torch_loads_what_was_repaired_of_a_legacy_stream(tmp_path: Path) -> None:
    import torch

    for name in (
        "t113/t113_state_dict_legacy",
        "t16/t16_state_dict_legacy",
        "t213/views_legacy",
        "t213/full_training_ckpt_legacy",
    ):
        path = CORPUS / "format" / f"{name}.pt"
        whole, data = torch.load(path, weights_only=False), path.read_bytes()
        for size in range(len(data) - 1, len(data) // 2, -len(data) // 9):
            (tmp_path / "x.pt").write_bytes(data[:size])
            try:
                ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt", overwrite=True)
            except ptzip.FormatError:
                continue
            found = torch.load(tmp_path / "out.pt", weights_only=False)
            assert type(found) is type(whole)
            assert list(found) == list(whole)


# torch itself


@needs_corpus
@pytest.mark.torch
def test_torch_loads_what_was_repaired(tmp_path: Path) -> None:
    import torch

    for name in ("full_training_ckpt", "mixed_precision", "align_4096", "many_storages", "views"):
        path = CORPUS / "format" / "t213" / f"{name}.pt"
        with ptzip.open(path) as checkpoint:
            header = torch_zip(checkpoint).records["data/0"].header_offset
        data = bytearray(path.read_bytes())
        data[header] ^= 1
        (tmp_path / "x.pt").write_bytes(data[:-5])
        report = ptzip.repair(tmp_path / "x.pt", tmp_path / "out.pt", overwrite=True)
        assert report.is_saved
        for mmap in (False, True):
            before, after = (
                torch.load(place, mmap=mmap, weights_only=False, map_location="cpu") for place in (path, tmp_path / "out.pt")
            )
            assert equal(before, after)


def equal(one: object, other: object) -> bool:
    """Whether two values of torch are the same, NaN and all."""
    import torch

    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and bool(
            torch.equal(one.contiguous().view(-1).cpu(), other.contiguous().view(-1).cpu())
        )
    if isinstance(one, dict) and isinstance(other, dict):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return type(one) is type(other)


# The command


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    data = TRAINING.read_bytes()
    at = data.rindex(structs.END_SIGNATURE)
    for name, content in {"good.pt": data, "cut.pt": data[:400_000], "header.pt": data[:at] + b"pk" + data[at + 2 :]}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "stub.pt").write_bytes(data[:3000])
    return tmp_path


@pytest.mark.usefixtures("place")
def test_lines_and_exit_codes() -> None:
    good, cut, header = (run("repair", f"{name}.pt", "-o", f"{name}.new.pt") for name in ("good", "cut", "header"))
    assert (good.code, cut.code, header.code) == (0, 1, 0)
    assert good.out == "good.pt: nothing to repair, nothing written\n"
    assert not Path("good.new.pt").exists()
    assert cut.out.splitlines()[0] == "cut.pt -> cut.new.pt: 20 of 56 tensors recovered"
    assert "  lost, NaN or 0 in the new file (36):" in cut.out.splitlines()
    assert header.out.splitlines()[0] == "header.pt -> header.new.pt: 56 of 56 tensors recovered"


@pytest.mark.usefixtures("place")
def test_every_error_is_one_line() -> None:
    error = "ptzip: error: stub.pt: "
    assert "data.pkl is cut off or cannot be found" in one_line(run("repair", "stub.pt", "-o", "out.pt"), error)
    error = "ptzip: error: cut.pt: "
    assert one_line(run("repair", "cut.pt", "-o", "good.pt"), error) == "good.pt already exists (use -f to overwrite)"
    assert "is the input itself" in one_line(run("repair", "cut.pt", "-f", "-o", "cut.pt"), error)
    assert run("repair", "-q", "-f", "header.pt", "-o", "good.pt") == (0, "", "")


@pytest.mark.usefixtures("place")
def test_json_has_everything() -> None:
    (report,) = reports(run("repair", "--json", "cut.pt", "-o", "out.pt").out)
    assert (report["ok"], len(report["whole"]), len(report["lost"])) == (False, 20, 36)
    assert report["problems"][0]["kind"] == "cut"


def claiming(count: int) -> bytes:
    """A checkpoint of which the end is cut off, and that mentions a storage of `count` floats, which is lost."""
    saving = Saving()
    storage = saving.node(("storage", named("torch", "FloatStorage"), "9", "cpu", count))
    arguments = (Persistent("BINPERSID", None, [storage]), 0, (count,), (1,), False, saving.ordered({}))
    lost = called("torch._utils", "_rebuild_tensor_v2", saving.node(arguments))
    return archive(saving.records(saving.node({"lost": lost, "whole": numbers(4)})))[:-60]


@pytest.mark.parametrize(
    ("count", "flags", "limit"),
    [(1 << 34, (), 1 << 30), (1 << 34, ("--max-fill", "1MB"), 10**6), (1 << 20, ("--max-fill", "4194303"), (4 << 20) - 1)],
)
def test_no_more_is_filled_than_allowed(count: int, flags: tuple[str, ...], limit: int, tmp_path: Path) -> None:
    (tmp_path / "cut.pt").write_bytes(claiming(count))
    line = one_line(
        run("repair", *flags, tmp_path / "cut.pt", "-o", tmp_path / "out.pt"), f"ptzip: error: {tmp_path / 'cut.pt'}: "
    )
    assert line == (
        f"{4 * count:,} bytes that the pickle mentions are missing, more than the {limit:,} that are filled "
        f"(--max-fill {4 * count} fills them)"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["cut.pt"]


def test_as_much_is_filled_as_the_message_asks_for(tmp_path: Path) -> None:
    (tmp_path / "cut.pt").write_bytes(claiming(1 << 20))
    assert run("repair", "--max-fill", "4194304", tmp_path / "cut.pt", "-o", tmp_path / "out.pt").code == 1
    with ptzip.open(tmp_path / "out.pt") as checkpoint:
        assert np.isnan(checkpoint["lost"].numpy()).all()
        assert checkpoint["lost"].shape == (1 << 20,)
