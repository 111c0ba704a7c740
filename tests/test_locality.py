"""Untouched bytes stay the same bytes: what no edit named is in the output as it was, in the records and in the pickle."""

import difflib
import pickle
import pickletools
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Any

import pytest

import ptzip
from tests.corpus import FIXTURES, parameters

NAMES = [path.stem for path in sorted(FIXTURES.glob("*.pt"))]

KEYS = ("epoch", "best_fitness", "training_results", "model", "optimizer")
"""The top-level keys of `training.pt`, in their order."""


class Inert:
    """Stands for whatever a pickle names."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


class Ids(pickle.Unpickler):
    """Python's own unpickler, which runs nothing but OrderedDict, and notes every persistent id."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self.found: list[tuple[Any, ...]] = []

    def find_class(self, module: str, name: str) -> Any:
        return OrderedDict if name == "OrderedDict" else type(f"{module}.{name}", (Inert,), {})

    def persistent_load(self, pid: Any) -> None:
        self.found.append(pid)


def records(path: Path) -> dict[str, bytes]:
    """The records of a file in their order, by name without the prefix."""
    with zipfile.ZipFile(path) as archive:
        return {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}


def storage_classes(path: Path) -> dict[str, str]:
    """The class of every storage that the pickle refers to, by key, as Python's unpickler meets them."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.endswith("/data.pkl"))
        with archive.open(name) as stream:
            ids = Ids(stream)
            ids.load()
    return {key: cls.__name__ for _, cls, key, _, _ in ids.found}


def stored(path: Path) -> Counter[tuple[str, bytes]]:
    """The number of occurrences of each storage, identified by class and bytes."""
    data = records(path)
    return Counter((cls, data[f"data/{key}"]) for key, cls in storage_classes(path).items())


def slimmed(path: Path, folder: Path, **options: Any) -> Path:
    output = folder / path.name
    assert ptzip.slim(path, output, **options).output
    return output


def is_other(name: str) -> bool:
    """Whether a record is none that an edit changes: the id is a hash of all the others."""
    return name not in ("data.pkl", ".data/serialization_id") and not name.startswith("data/")


@pytest.mark.parametrize("path", [*(pytest.param(FIXTURES / f"{name}.pt", id=name) for name in NAMES), *parameters("yolo")])
def test_records_that_are_no_storage_stay_as_they_are(path: Path, tmp_path: Path) -> None:
    before, after = records(path), records(slimmed(path, tmp_path))
    others = {name: data for name, data in before.items() if is_other(name)}
    assert others.keys() == {".format_version", ".storage_alignment", "byteorder", "version"}
    assert {name: data for name, data in after.items() if is_other(name)} == others
    assert [name for name in after if is_other(name)] == list(others)


@pytest.mark.parametrize("name", NAMES)
def test_storages_that_are_not_cast_keep_their_bytes(name: str, tmp_path: Path) -> None:
    path = FIXTURES / f"{name}.pt"
    before, after = stored(path), stored(slimmed(path, tmp_path))
    uncast = Counter({storage: count for storage, count in after.items() if storage[0] != "torch.HalfStorage"})
    assert uncast.total() > 0
    assert uncast - before == Counter()


@pytest.mark.parametrize("name", ["yolov5-v5.0", "yolov5-v6.0", "yolov5-v6.2", "yolov5-v7.0-adam", "ultralytics-8.4"])
def test_a_model_in_half_precision_keeps_all_its_storages(name: str, tmp_path: Path) -> None:
    path = FIXTURES / f"{name}.pt"
    before, after = stored(path), stored(slimmed(path, tmp_path))
    assert after.total() > 30
    assert after - before == Counter()


def test_storages_stay_in_place_where_only_what_follows_them_goes(tmp_path: Path) -> None:
    path = FIXTURES / "training.pt"
    before, after = records(path), records(slimmed(path, tmp_path, dtype="keep"))
    kept = [name for name in after if name.startswith("data/")]
    assert kept == [f"data/{number}" for number in range(len(kept))]
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def sections(path: Path) -> dict[str, bytes]:
    """The spelling of every top-level value of `training.pt`, each from behind its key to the next key."""
    data = records(path)["data.pkl"]
    ops = list(pickletools.genops(data))
    first = {arg: index for index, (_, arg, _) in reversed(list(enumerate(ops))) if isinstance(arg, str)}
    starts = [ops[first[key] + 2][2] for key in KEYS]  # behind the key and its memo put
    ends = [ops[first[key]][2] for key in KEYS[1:]] + [len(data)]
    return {key: data[start:end] for key, start, end in zip(KEYS, starts, ends, strict=True)}


def test_the_pickle_changes_only_where_it_was_edited(tmp_path: Path) -> None:
    path = FIXTURES / "training.pt"
    before, after = sections(path), sections(slimmed(path, tmp_path, recipe="basic", dtype="keep"))
    assert before["model"] == after["model"]
    assert before["best_fitness"] == after["best_fitness"]
    assert before["epoch"] == b"K)"
    assert after["epoch"] == b"J\xff\xff\xff\xff"
    assert after["training_results"] == b"N"
    assert after["optimizer"] == b"Nu."


def test_a_cast_changes_only_ids_offsets_and_gradients_in_the_pickle(tmp_path: Path) -> None:
    path = FIXTURES / "extremes.pt"
    old, new = (opcodes_of(sections(each)["model"]) for each in (path, slimmed(path, tmp_path, on_overflow="inf")))
    changes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    touched = {op for kind, start, stop, _, _ in changes if kind != "equal" for op in old[start:stop]}
    memo = {"BINGET", "LONG_BINGET", "BINPUT", "LONG_BINPUT"}
    assert {name for name, _ in touched} - memo == {"GLOBAL", "BINUNICODE", "BININT1", "NEWTRUE"}
    assert {arg for name, arg in touched if name == "GLOBAL"} == {"torch FloatStorage"}
    assert all(arg.isdigit() for name, arg in touched if name == "BINUNICODE")


def opcodes_of(part: bytes) -> list[tuple[str, Any]]:
    """The opcodes of a part of a pickle."""
    return [(op.name, arg) for op, arg, _ in pickletools.genops(part + b".")]


def test_the_prefix_of_the_archive_stays(tmp_path: Path) -> None:
    with zipfile.ZipFile(slimmed(FIXTURES / "training.pt", tmp_path)) as archive:
        assert {name.partition("/")[0] for name in archive.namelist()} == {"training"}


def test_a_dry_run_and_a_second_run_write_nothing(tmp_path: Path) -> None:
    output = slimmed(FIXTURES / "training.pt", tmp_path)
    before = output.read_bytes()
    assert ptzip.slim(output, output).already_slim
    assert ptzip.slim(FIXTURES / "training.pt", tmp_path / "other.pt", dry_run=True).output is None
    assert output.read_bytes() == before
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_input_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    outputs = [tmp_path / "a.pt", tmp_path / "b.pt"]
    for output in outputs:
        ptzip.slim(FIXTURES / f"{name}.pt", output)
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
