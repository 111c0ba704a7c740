"""Slim files against real torch: what the frameworks' own strippers and the original recipe make of the same files.

The references are not ptzip's: those of the corpus come from the frameworks themselves (`corpus/yolo/manifest.json`), those of
the fixtures from torch's `half()` on the stand-in classes (`fixtures/make_fixtures.py`).
"""

import dataclasses
import functools
import importlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

import ptzip
from ptzip.io import sources as source
from ptzip.pickling.nodes import Atom, lookup, walk
from ptzip.tensors.dtypes import DType
from ptzip.tensors.references import storage_refs
from ptzip.tensors.rounding import Loss
from tests.corpus import CORPUS, FIXTURES, ROOT, files, manifest, needs_corpus, parameters
from tests.torch_reference import Summary, differences, load, summary, summary_of_manifest
from tests.torch_zips import storage_record

KINDS = {"own": "auto", "basic": "basic"}
"""The recipe that makes what a golden file holds, by the kind of that file."""

REFERENCES = {"strip_own": "auto", "blogscript": "basic"}
"""The same for the entries of the corpus's manifest."""

YOLO = parameters("yolo")

REFERENCED = [
    pytest.param(path, reference, id=f"{path.stem}.{reference}")
    for path in files("yolo")
    for reference in REFERENCES
    if f"{path.stem}.{reference}.pt" in manifest("yolo")["files"]
] or [pytest.param(CORPUS, "", marks=needs_corpus, id="corpus missing")]

BLOG = "y5_v70_s_sgd.blog"


GOLDEN = [pytest.param(path, id=path.stem) for path in sorted(FIXTURES.glob("*.json"))]


Slimmer = Callable[[Path, str], Path]


@pytest.fixture(scope="module")
def slimmed(tmp_path_factory: pytest.TempPathFactory) -> Slimmer:
    """What ptzip makes of a file by a recipe, made once; torch lets numbers beyond the range become infinite."""

    @functools.cache
    def run(path: Path, recipe: str) -> Path:
        output = tmp_path_factory.mktemp("slim") / path.name
        assert ptzip.slim(path, output, recipe=recipe, dtype=dtype_for(path), on_overflow="inf").output == str(output)
        return output

    return run


def dtype_for(path: Path) -> Literal["auto", "float16"]:
    """The default, except for files with bfloat16, which `half()` casts, and slim only where the dtype is named."""
    with ptzip.open(path) as checkpoint:
        dtypes = {storage.dtype.name for storage in checkpoint.storages.values()}
    return "float16" if "bfloat16" in dtypes else "auto"


def test_the_default_dtype_is_compared_where_it_gives_the_same() -> None:
    named = {path.stem for path in FIXTURES.glob("*.pt") if dtype_for(path) == "float16"}
    assert named == {"sharing", "tensors"}


def fixture_of(golden: Path) -> tuple[Path, str]:
    """The checkpoint that a golden file is about, and the recipe that should give the same."""
    name, _, kind = golden.stem.rpartition(".")
    return FIXTURES / f"{name}.pt", KINDS[kind]


def read_in_every_mode(path: Path) -> list[Summary]:
    """What torch reads plainly, from mapped memory, and from mapped memory at offsets that it computes."""
    config: Any = importlib.import_module("torch.utils.serialization.config")
    with config.patch("load.calculate_storage_offsets", True):
        computed = summary(path, mmap=True)
    return [summary(path), summary(path, mmap=True), computed]


@pytest.mark.torch
@pytest.mark.parametrize(("path", "reference"), REFERENCED)
def test_a_slim_file_equals_what_the_framework_made(path: Path, reference: str, slimmed: Slimmer) -> None:
    found = summary(slimmed(path, REFERENCES[reference]))
    entry = manifest("yolo")["files"][f"{path.stem}.{reference}.pt"]
    assert differences(found, summary_of_manifest(entry, found), ignore=("date", "version")) == []


@pytest.mark.torch
@pytest.mark.parametrize("path", YOLO)
def test_the_truth_of_an_input_equals_the_manifest(path: Path) -> None:
    found = summary(path)
    assert differences(found, summary_of_manifest(manifest("yolo")["files"][path.name], found)) == []


@pytest.mark.torch
@pytest.mark.parametrize("golden", GOLDEN)
def test_a_slim_fixture_equals_what_torch_made(golden: Path, slimmed: Slimmer) -> None:
    path, recipe = fixture_of(golden)
    assert differences(summary(slimmed(path, recipe)), json.loads(golden.read_text())) == []


@pytest.mark.torch
@pytest.mark.parametrize("golden", GOLDEN)
def test_torch_reads_a_slim_fixture_the_same_in_every_mode(golden: Path, slimmed: Slimmer) -> None:
    path, recipe = fixture_of(golden)
    plain, mapped, computed = read_in_every_mode(slimmed(path, recipe))
    assert plain == mapped == computed


@pytest.mark.torch
@pytest.mark.parametrize("path", YOLO)
def test_torch_reads_a_slim_file_the_same_in_every_mode(path: Path, slimmed: Slimmer) -> None:
    plain, mapped, computed = read_in_every_mode(slimmed(path, "auto"))
    assert plain == mapped == computed


@pytest.mark.torch
@pytest.mark.parametrize("name", ["training", "tensors", "extremes", "yolov5-v1.0", "yolov5-v7.0-adam", "ultralytics-8.4"])
def test_kept_dtypes_keep_every_value_of_the_model(name: str, tmp_path: Path) -> None:
    path, output = FIXTURES / f"{name}.pt", tmp_path / "kept.pt"
    before = summary(path)
    ptzip.slim(path, output, dtype="keep")
    after = summary(output)
    kept = "ema" if "ema" in before["values"] else "model"
    expected = {name.replace(kept, "model", 1): each for name, each in before["tensors"].items() if name.startswith(f"{kept}/")}
    for name, tensor in after["tensors"].items():
        assert (tensor["dtype"], tensor["sha256"]) == (expected[name]["dtype"], expected[name]["sha256"]), name
    assert expected.keys() - after["tensors"].keys() == {name for name in expected if "/criterion/" in name}


@pytest.mark.parametrize("golden", GOLDEN)
def test_zipfile_finds_nothing_wrong_in_a_slim_fixture(golden: Path, slimmed: Slimmer) -> None:
    path, recipe = fixture_of(golden)
    with zipfile.ZipFile(slimmed(path, recipe)) as archive:
        assert archive.testzip() is None


@pytest.mark.parametrize("path", YOLO)
def test_zipfile_finds_nothing_wrong_in_a_slim_file(path: Path, slimmed: Slimmer) -> None:
    with zipfile.ZipFile(slimmed(path, "auto")) as archive:
        assert archive.testzip() is None


@needs_corpus
def test_the_blog_checkpoint_is_a_quarter_of_its_size(slimmed: Slimmer) -> None:
    path = CORPUS / "yolo" / f"{BLOG}.pt"
    assert path.stat().st_size == 56_488_691
    for recipe in ("auto", "basic"):
        assert slimmed(path, recipe).stat().st_size <= 14_260_000


@pytest.mark.torch
def test_the_loss_of_extremes_is_what_torch_loses(tmp_path: Path) -> None:
    lost = Loss()
    for old in floats_of(load(FIXTURES / "extremes.pt")["model"]):
        new = old.half()
        lost += Loss(int((new.isinf() & ~old.isinf()).sum()), int(((new == 0) & (old != 0)).sum()))
    assert lost == Loss(overflowed=4, vanished=5)
    report = ptzip.slim(FIXTURES / "extremes.pt", tmp_path / "out.pt", on_overflow="inf")
    assert report.loss is not None
    assert dataclasses.replace(report.loss, nan=0, infinite=0) == lost


@pytest.mark.torch
def test_only_tensors_with_numbers_beyond_the_range_differ_from_what_torch_made(tmp_path: Path) -> None:
    report = ptzip.slim(FIXTURES / "extremes.pt", tmp_path / "out.pt")
    assert report.loss is not None
    assert (report.loss.overflowed, len(report.wide)) == (0, 1)
    found, golden = summary(tmp_path / "out.pt"), json.loads((FIXTURES / "extremes.own.json").read_text())
    assert report.wide == ("model.model.0.conv.weight",)
    place = "model/_modules/model/_modules/0/_modules/conv/_parameters/weight"
    assert {line.partition(":")[0] for line in differences(found, golden)} == {place}


def floats_of(model: Any) -> list[Any]:
    """The parameters and buffers of an inert model that hold floats."""
    modules, found = [model], []
    while modules:
        module = modules.pop()
        modules += [child for child in vars(module)["_modules"].values() if child is not None]
        slots = [*vars(module)["_parameters"].values(), *vars(module)["_buffers"].values()]
        found += [slot.detach() for slot in slots if slot is not None and slot.is_floating_point()]
    return found


# Files of the other byte order


def big_endian(path: Path, target: Path) -> Path:
    """The same checkpoint as a machine with the other byte order would have written it."""
    with ptzip.open(path) as checkpoint:
        items = {f"data/{key}": item_size(storage.dtype) for key, storage in checkpoint.storages.items()}
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            record, data = name.partition("/")[2], old.read(name)
            swapped = np.frombuffer(data, f"u{items[record]}").byteswap().tobytes() if record in items else data
            new.writestr(name, b"big" if record == "byteorder" else swapped)
    return target


def item_size(dtype: DType) -> int:
    """The size of what is swapped: of a complex number each half."""
    return dtype.size // 2 if dtype.name.startswith("complex") else dtype.size


@pytest.mark.torch
@pytest.mark.parametrize("name", ["yolov5-v4.0", "extremes", "sharing", "tensors"])
def test_a_big_endian_file_gives_the_same_values(name: str, tmp_path: Path) -> None:
    path = big_endian(FIXTURES / f"{name}.pt", tmp_path / "last.pt")
    before = summary(FIXTURES / f"{name}.pt")
    assert differences(summary(path), before) == []
    ptzip.slim(path, tmp_path / "out.pt", dtype=dtype_for(path), on_overflow="inf")
    golden = json.loads((FIXTURES / f"{name}.own.json").read_text())
    assert differences(summary(tmp_path / "out.pt"), golden) == []


# No optimizer storage is ever read


class Recorder(source.FileSource):
    """A file that records every range of bytes read from it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.reads: list[tuple[int, int]] = []

    def read(self, offset: int, length: int) -> bytes:
        self.reads.append((offset, offset + length))
        return super().read(offset, length)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        self.reads.append((offset, offset + len(buffer)))
        super().read_into(offset, buffer)


@pytest.fixture
def recorded_reads(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, Path], list[tuple[int, int]]]:
    """Slim a file and give the stretches that were read of it."""
    opened: list[Recorder] = []

    def opening(path: Path) -> Recorder:
        opened.append(Recorder(path))
        return opened[-1]

    monkeypatch.setattr("ptzip.formats.folders.open_source", opening)

    def run(path: Path, output: Path) -> list[tuple[int, int]]:
        ptzip.slim(path, output)
        return [stretch for each in opened for stretch in each.reads]

    return run


def payloads(path: Path) -> dict[str, tuple[int, int]]:
    """Where the bytes of every storage lie in a file."""
    with ptzip.open(path) as checkpoint:
        entries = {key: storage_record(checkpoint, key) for key in checkpoint.storages}
        return {key: (entry.data_offset, entry.data_offset + entry.size) for key, entry in entries.items()}


def kept_keys(path: Path) -> set[str]:
    """The storages below the weights that a stripper keeps."""
    with ptzip.open(path) as checkpoint:
        ema = lookup(checkpoint.root, "ema")
        kept = ema if ema is not None and not isinstance(ema, Atom) else lookup(checkpoint.root, "model")
        assert kept is not None
        return set(storage_refs(walk(kept)))


def check_reads(path: Path, reads: list[tuple[int, int]]) -> int:
    """Every byte of a kept storage was read, and none of any other, of which the number is returned."""
    touched = bytearray(path.stat().st_size)
    for start, stop in reads:
        touched[start:stop] = b"\1" * (stop - start)
    kept = kept_keys(path)
    seen = {key: touched[start:stop] for key, (start, stop) in payloads(path).items()}
    assert [key for key in seen if key not in kept and 1 in seen[key]] == []
    assert [key for key in kept if 0 in seen[key]] == []
    return len(seen.keys() - kept)


@pytest.mark.parametrize("name", ["training", "yolov5-v1.0", "yolov5-v4.0", "yolov5-v6.2", "yolov5-v7.0-adam", "cuda"])
def test_no_storage_that_is_dropped_is_read(
    name: str, tmp_path: Path, recorded_reads: Callable[[Path, Path], list[tuple[int, int]]]
) -> None:
    path = FIXTURES / f"{name}.pt"
    assert check_reads(path, recorded_reads(path, tmp_path / "out.pt")) > 0


@pytest.mark.parametrize("path", YOLO)
def test_no_storage_of_a_real_optimizer_is_read(
    path: Path, tmp_path: Path, recorded_reads: Callable[[Path, Path], list[tuple[int, int]]]
) -> None:
    dropped = check_reads(path, recorded_reads(path, tmp_path / "out.pt"))
    assert dropped > 100 or path.name == "y5_v70_n_fresh.alias.pt"  # which has no optimizer


# The fixtures themselves


def test_the_fixtures_are_small() -> None:
    sizes = [path.stat().st_size for path in FIXTURES.iterdir() if path.is_file()]
    assert max(sizes) < 1_000_000
    assert sum(sizes) < 5_000_000


@pytest.mark.torch
def test_the_script_makes_the_same_fixtures_again(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "fixtures.make_fixtures", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "5"}, check=True)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made.keys() == {path.name for path in FIXTURES.iterdir() if path.suffix in (".pt", ".json", ".md")}
    assert [name for name, data in made.items() if data != (FIXTURES / name).read_bytes()] == []
