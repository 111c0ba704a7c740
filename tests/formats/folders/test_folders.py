"""Folders of torch.distributed.checkpoint, written by torch (`tests/frameworks/dcp_folders.py`)."""

import hashlib
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.errors import ChangedError, FormatError, PtzipError, UnsupportedError
from ptzip.formats.folders import sharded_index
from ptzip.formats.folders.dcp import ItemReader
from ptzip.formats.folders.listing import Listing
from ptzip.formats.folders.pieces import Stored
from ptzip.formats.folders.sharded_index import MOST_CONTAINERS
from ptzip.io.folders import MOST_OPEN
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from tests.corpus import CORPUS, FIXTURES, needs_corpus

FOLDERS = FIXTURES / "folders"
EXPECTED: dict[str, Any] = json.loads((FOLDERS / "expected.json").read_text())
NAMES = sorted(path.name for path in FOLDERS.iterdir() if path.is_dir())


def facts(value: object) -> object:
    """An object as `expected.json` has it."""
    if isinstance(value, Tensor):
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return {"dtype": f"torch.{value.dtype}", "shape": list(value.shape), "sha256": digest}
    if isinstance(value, dict):
        return {str(key): facts(inner) for key, inner in value.items()}
    return [facts(inner) for inner in value] if isinstance(value, list | tuple) else value


@pytest.fixture
def copy(tmp_path: Path) -> Callable[[str], Path]:
    def copied(name: str) -> Path:
        return Path(shutil.copytree(FOLDERS / name, tmp_path / name))

    return copied


@pytest.mark.parametrize("name", EXPECTED)
def test_the_object_is_what_the_own_consolidator_makes(name: str) -> None:
    """`dcp_to_torch_save` and what lightning, accelerate and transformers have around it."""
    with ptzip.open(FOLDERS / name) as checkpoint:
        found = facts(build(checkpoint.main, unknown="keep"))
    assert found == EXPECTED[name]
    if name != "safetensors-4":  # it has no index that would say the order
        assert json.dumps(found) == json.dumps(EXPECTED[name])


def test_ranks_that_saved_without_collectives_have_an_index_each() -> None:
    with ptzip.open(FOLDERS / "alone-2") as alone, ptzip.open(FOLDERS / "line-2") as together:
        assert {name: tensor.tobytes() for name, tensor in alone.items()} == {
            name: tensor.tobytes() for name, tensor in together.items()
        }


@pytest.mark.parametrize("name", NAMES)
def test_every_command_takes_a_folder(name: str, tmp_path: Path) -> None:
    folder = FOLDERS / name
    assert ptzip.verify(folder, values=True).ok
    assert ptzip.scan(folder).ok
    report = ptzip.inspect(folder)
    assert report.ok
    assert report.folder is not None
    assert sum(file.size for file in report.folder.files) == report.size
    assert ptzip.diff(folder, folder).ok
    ptzip.convert(folder, tmp_path / "all.safetensors", all=True)
    with ptzip.open(folder) as before, ptzip.open(tmp_path / "all.safetensors") as after:
        assert {path: one.tobytes() for path, one in before.items()} == {path: one.tobytes() for path, one in after.items()}


@pytest.mark.parametrize("name", ["fsdp2-2", "plain-1"])
def test_slim_keeps_the_model_alone(name: str, tmp_path: Path) -> None:
    report = ptzip.slim(FOLDERS / name, tmp_path / "model.pt", dtype="keep", check=True)
    assert [change.path for change in report.changes] == ["optimizer", "file"]
    with ptzip.open(tmp_path / "model.pt") as slim:
        found = facts(build(slim.main, unknown="keep"))
    assert found == {key: value for key, value in EXPECTED[name].items() if key != "optimizer"}


def test_a_flat_state_of_an_optimizer_is_one(tmp_path: Path) -> None:
    report = ptzip.slim(FOLDERS / "flattened-2", tmp_path / "model.pt", dtype="keep")
    assert [change.path for change in report.changes] == ["optim", "file"]
    with ptzip.open(tmp_path / "model.pt") as slim:
        assert slim.top_level_keys == ["model"]


def test_the_tensors_of_the_optimizer_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, find = list[str](), ItemReader._stored

    def recorded(reader: ItemReader, name: str, *others: Any) -> Stored:
        opened.append(name)
        return find(reader, name, *others)

    monkeypatch.setattr(ItemReader, "_stored", recorded)
    ptzip.slim(FOLDERS / "fsdp2-2", tmp_path / "model.pt")
    assert opened
    assert all(name.startswith("model.") for name in opened)


def test_the_index_opens_its_folder() -> None:
    with ptzip.open(FOLDERS / "line-2" / ".metadata") as checkpoint:
        assert len(checkpoint) == 5
    assert ptzip.scan(FOLDERS / "line-2" / ".metadata").path.endswith(".metadata")


# Refusals


def unfinished(folder: Path) -> None:
    (folder / ".metadata").rename(folder / ".metadata.tmp")


def saved_over(folder: Path) -> None:
    shutil.copy(folder / ".metadata", folder / ".metadata.tmp")


def without_index(folder: Path) -> None:
    (folder / ".metadata").unlink()


def without_shard(folder: Path) -> None:
    (folder / "__1_0.distcp").unlink()


def cut_off(folder: Path) -> None:
    shard = folder / "__1_0.distcp"
    shard.write_bytes(shard.read_bytes()[:-100])


def of_other_bytes(folder: Path) -> None:
    shard = folder / "__1_0.distcp"
    shard.write_bytes(bytes(shard.stat().st_size))


def swapped(folder: Path) -> None:
    one, other = folder / "__0_0.distcp", folder / "__1_0.distcp"
    size = max(one.stat().st_size, other.stat().st_size)
    first, second = one.read_bytes().ljust(size, b"\0"), other.read_bytes().ljust(size, b"\0")
    one.write_bytes(second)
    other.write_bytes(first)


def with_index_of(name: str) -> Callable[[Path], None]:
    def replace(folder: Path) -> None:
        shutil.copy(FOLDERS / name / ".metadata", folder / ".metadata")

    return replace


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "unfinished": (unfinished, "the save of this folder was not finished"),
    "saved over": (saved_over, r"was not finished: it has the file \.metadata\.tmp"),
    "no index": (without_index, r"the index \.metadata of this folder is missing"),
    "no shard": (without_shard, r"the file __1_0\.distcp of this folder is missing"),
    "cut off": (cut_off, r"ends at byte \d+ of __1_0\.distcp, which has \d+: the file is cut off"),
    "other bytes": (of_other_bytes, r"of __1_0\.distcp at byte \d+ is no file of torch\.save"),
    "swapped": (swapped, "belongs to another checkpoint"),
    "of another run": (with_index_of("fsdp2-2"), "belongs to another checkpoint"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_that_is_not_whole_is_refused_and_nothing_is_written(
    case: str, copy: Callable[[str], Path], tmp_path: Path
) -> None:
    damage, words = REFUSED[case]
    folder = copy("line-2")
    damage(folder)
    with pytest.raises(FormatError, match=words):
        ptzip.convert(folder, tmp_path / "model.safetensors", all=True)
    assert not (tmp_path / "model.safetensors").exists()
    report = ptzip.verify(folder)
    assert not report.ok
    assert any(problem.message for problem in report.problems)


@pytest.mark.parametrize("name", ["fsdp2-2", "plain-1", "grid-4"])
def test_damage_to_the_index_is_an_error_or_changes_nothing(name: str, copy: Callable[[str], Path]) -> None:
    folder = copy(name)
    index = folder / ".metadata"
    data = index.read_bytes()
    with ptzip.open(folder) as checkpoint:
        expected = {path: tensor.tobytes() for path, tensor in checkpoint.items()}
    for at in range(0, len(data), max(len(data) // 60, 1)):
        index.write_bytes(data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :])
        try:
            with ptzip.open(folder) as checkpoint:
                found = {path: tensor.tobytes() for path, tensor in checkpoint.items()}
        except PtzipError:
            continue
        assert sorted(found.values()) == sorted(expected.values())


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(
    "name", [".metadata", "model.safetensors.index.json", "latest", "shard-00001-model-00001-of-00001.safetensors"]
)
def test_a_pipe_is_no_index(name: str, copy: Callable[[str], Path]) -> None:
    """Opening one would wait for a writer for ever."""
    folder = copy("line-2")
    (folder / ".metadata").unlink()
    os.mkfifo(folder / name)
    with pytest.raises((PtzipError, OSError)):
        ptzip.open(folder)


def test_json_of_countless_lists_is_no_index(tmp_path: Path) -> None:
    """As objects, they take thirty times their bytes."""
    (tmp_path / "x.bin").touch()
    index = tmp_path / "pytorch_model.bin.index.json"
    index.write_text('{"weight_map": {"a": "x.bin"}}')
    assert sharded_index.files(Listing.of(tmp_path)) == [index.name, "x.bin"]
    index.write_text('{"weight_map": {"a": "x.bin"}, "more": [%s[]]}' % ("[]," * MOST_CONTAINERS))
    assert sharded_index.files(Listing.of(tmp_path)) is None


def test_an_output_is_not_one_of_the_files(copy: Callable[[str], Path]) -> None:
    folder = copy("fsdp2-2")
    before = (folder / "__0_0.distcp").read_bytes()
    for write in (ptzip.slim, ptzip.convert):
        with pytest.raises(PtzipError):
            write(folder, folder / "__0_0.distcp", overwrite=True)
    assert (folder / "__0_0.distcp").read_bytes() == before


def test_a_file_that_changes_meanwhile_is_an_error(copy: Callable[[str], Path]) -> None:
    folder = copy("line-2")
    with ptzip.open(folder) as checkpoint:
        (folder / "__0_0.distcp").touch()
        with pytest.raises(ChangedError):
            checkpoint["rows"].tobytes()


def test_damage_to_numbers_is_a_warning_of_slim_and_a_problem_of_verify(copy: Callable[[str], Path], tmp_path: Path) -> None:
    folder = copy("fsdp2-2")
    with ptzip.open(folder) as checkpoint:
        data = checkpoint["model.first.weight"].tobytes()[:24]
    (shard,) = [path for path in folder.glob("*.distcp") if data in path.read_bytes()]
    content = shard.read_bytes()
    at = content.index(data)
    shard.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    report = ptzip.slim(folder, tmp_path / "model.pt", dtype="keep")
    assert [line for line in report.warnings if "CRC of record item model.first.weight" in line]
    converted = ptzip.convert(folder, tmp_path / "model.safetensors")
    assert [line for line in converted.warnings if "CRC of record item model.first.weight" in line]
    assert not ptzip.verify(folder).ok


@pytest.mark.parametrize("name", ["index-safetensors", "index-bin"])
def test_slim_writes_one_file_even_where_nothing_goes(name: str, tmp_path: Path) -> None:
    report = ptzip.slim(FOLDERS / name, tmp_path / "model.pt", dtype="keep", check=True)
    assert not report.already_slim
    assert [(change.path, change.what) for change in report.changes] == [("file", "one of 3")]
    with ptzip.open(tmp_path / "model.pt") as slim:
        assert facts(build(slim.main, unknown="keep")) == EXPECTED[name]


def test_a_folder_has_no_bytes_to_save(tmp_path: Path) -> None:
    with ptzip.open(FOLDERS / "line-2") as checkpoint, pytest.raises(UnsupportedError, match="is a folder"):
        checkpoint.save(tmp_path / "copy.pt")


def test_the_files_of_an_accelerate_folder_are_in_folders_of_their_own() -> None:
    report = ptzip.inspect(FOLDERS / "accelerate-2")
    assert [key.key for key in report.keys] == ["model", "optimizer"]
    assert report.folder is not None
    assert {file.path.partition("/")[0] for file in report.folder.files} == {"pytorch_model_fsdp_0", "optimizer_0"}
    assert len(ptzip.open(FOLDERS / "accelerate-2" / "optimizer_0")) == 2


def test_a_lightning_folder_becomes_what_save_weights_only_writes(tmp_path: Path) -> None:
    report = ptzip.slim(FOLDERS / "lightning-2.ckpt", tmp_path / "model.ckpt")
    assert report.recipe == "lightning"
    with ptzip.open(tmp_path / "model.ckpt") as slim:
        assert "optimizer_states" not in slim.top_level_keys
        assert {"state_dict", "pytorch-lightning_version"} <= set(slim.top_level_keys)


@pytest.mark.parametrize("name", ["index-safetensors", "index-bin"])
def test_a_shard_of_another_model_is_refused(name: str, copy: Callable[[str], Path]) -> None:
    folder = copy(name)
    first, second = sorted(path for path in folder.iterdir() if path.suffix != ".json")
    shutil.copy(second, first)
    with pytest.raises(FormatError, match=f"{first.name} lacks tensor"):
        ptzip.open(folder)
    first.unlink()
    with pytest.raises(FormatError, match=f"{first.name} of this folder is missing"):
        ptzip.open(folder)


def test_a_shard_of_safetensors_that_is_missing_leaves_a_gap(copy: Callable[[str], Path]) -> None:
    folder = copy("safetensors-4")
    min(folder.glob("shard-00001*")).unlink()
    with pytest.raises(FormatError, match="are in no file"):
        ptzip.open(folder)


@needs_corpus
def test_the_folder_of_the_corpus_is_the_file_that_torch_made_of_it() -> None:
    report = ptzip.diff(CORPUS / "frameworks" / "dist" / "dcp_fsdp2", CORPUS / "frameworks" / "dist" / "dcp_fsdp2_to_torch.pt")
    assert report.ok
    assert report.compared == report.equal == 24


# Older and other forms of the index


@pytest.mark.torch
@pytest.mark.parametrize("name", ["fsdp2-2", "line-4", "plain-1"])
def test_the_index_of_older_versions_is_read(name: str, copy: Callable[[str], Path]) -> None:
    """Without the fields that came later: `version`, `storage_meta`, `transform_descriptors`, and with the old class of
    properties (`torch/distributed/_shard/sharded_tensor/metadata.py`)."""
    import pickle

    from torch.distributed._shard.sharded_tensor.metadata import TensorProperties

    folder = copy(name)
    index = pickle.loads((folder / ".metadata").read_bytes())
    for field in ("version", "storage_meta"):
        index.__dict__.pop(field, None)
    for entry in index.state_dict_metadata.values():
        if hasattr(entry, "properties"):
            entry.properties = TensorProperties(dtype=entry.properties.dtype)
    for place in index.storage_data.values():
        place.__dict__.pop("transform_descriptors", None)
    (folder / ".metadata").write_bytes(pickle.dumps(index, protocol=2))
    with ptzip.open(folder) as checkpoint:
        assert facts(build(checkpoint.main, unknown="keep")) == EXPECTED[name]


@pytest.mark.torch
@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("transform_descriptors", ["stream.lz4/1"], r"is packed by 'stream\.lz4/1', expected stream\.zstd/1"),
        ("relative_path", "../../outside", r"the file \.\./\.\./outside of this folder is missing"),
        ("length", 10**12, "the file is cut off"),
        ("offset", 100, r"is no file of torch\.save"),
        ("length", 0, r"is no file of torch\.save"),
        (
            "transform_descriptors",
            ["stream.zstd/1"],
            r"item rows of .* is no file of torch\.save \(this is zstd that is broken",
        ),
        ("transform_descriptors", "stream.zstd/1", "has 'stream.zstd/1' where it should have a list"),
    ],
)
def test_a_place_that_is_not_in_the_folder_is_refused(
    field: str, value: object, words: str, copy: Callable[[str], Path]
) -> None:
    import pickle

    folder = copy("line-2")
    index = pickle.loads((folder / ".metadata").read_bytes())
    for place in index.storage_data.values():
        place.__dict__[field] = value
    (folder / ".metadata").write_bytes(pickle.dumps(index))
    with pytest.raises(PtzipError, match=words), ptzip.open(folder) as checkpoint:
        checkpoint["rows"].tobytes()


@pytest.mark.torch
@pytest.mark.parametrize("name", ["fsdp2-2", "line-4", "plain-1", "grid-4", "flattened-2"])
def test_torch_gathers_the_same_now(name: str, tmp_path: Path) -> None:
    import torch
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp_to_torch_save(FOLDERS / name, tmp_path / "whole.pt")
    torch.load(tmp_path / "whole.pt", weights_only=False)
    report = ptzip.diff(FOLDERS / name, tmp_path / "whole.pt")
    assert report.ok
    assert report.equal == report.compared > 0


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("turn", ["_conj", "_neg_view"])
def test_a_tensor_that_is_conjugated_or_negated_when_loaded_is_refused(turn: str, tmp_path: Path) -> None:
    """Its values are not those that the item stores, and it may be a box of a larger tensor."""
    import torch
    import torch.distributed.checkpoint as dcp

    dcp.save({"turned": getattr(torch, turn)(torch.tensor([1 + 2j, 3 - 1j]))}, checkpoint_id=tmp_path / "run")
    with ptzip.open(tmp_path / "run") as checkpoint, pytest.raises(FormatError, match="only torch can gather it"):
        checkpoint["turned"].tobytes()


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_an_empty_shard_of_a_process_without_items_is_no_problem(tmp_path: Path) -> None:
    """As torch leaves it where all of a process's items are another's too; one that has items is cut off."""
    import torch
    import torch.distributed.checkpoint as dcp

    dcp.save({"model": {"weight": torch.ones(2)}}, checkpoint_id=tmp_path / "run")
    (tmp_path / "run" / "__1_0.distcp").touch()
    assert ptzip.scan(tmp_path / "run").ok
    assert ptzip.verify(tmp_path / "run").ok
    (tmp_path / "run" / "__0_0.distcp").write_bytes(b"")
    assert [problem.kind for problem in ptzip.verify(tmp_path / "run").problems] == ["cut"]


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_packed_items_are_not_held_all_at_once(tmp_path: Path) -> None:
    import torch
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint._extension import ZStandard

    state = {f"layer.{index}.weight": torch.full((1 << 15,), float(index)) for index in range(2 * MOST_OPEN)}
    writer = dcp.FileSystemWriter(tmp_path / "run", _extensions=[ZStandard()])
    dcp.save({"model": state}, storage_writer=writer, no_dist=True)
    with ptzip.open(tmp_path / "run") as checkpoint:
        tracemalloc.start()
        try:
            for name, tensor in state.items():
                assert checkpoint[f"model.{name}"].tobytes() == tensor.numpy().tobytes()
            assert tracemalloc.get_traced_memory()[1] < 8 << 20 < sum(tensor.nbytes for tensor in state.values())
        finally:
            tracemalloc.stop()


class Evil:
    """What runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_a_value_that_runs_code_is_found_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    import torch.distributed.checkpoint as dcp

    dcp.save({"model": {"weight": torch.ones(2)}, "evil": Evil()}, checkpoint_id=tmp_path / "run")
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("it ran"))
    assert ptzip.scan(tmp_path / "run").verdict == ptzip.Verdict.MALICIOUS
    report = ptzip.slim(tmp_path / "run", tmp_path / "model.pt", drop="evil")
    assert any("malicious" in warning for warning in report.warnings)
    assert ptzip.scan(tmp_path / "model.pt").ok


def as_storage(data: bytes) -> bytes:
    """A zip in which a scan finds nothing but a record of numbers."""
    import io
    import zipfile

    with zipfile.ZipFile(file := io.BytesIO(), "w") as archive:
        archive.writestr("numbers/data/0", data)
    return file.getvalue()


HIDDEN: dict[str, tuple[str, Callable[[bytes], bytes], list[str]]] = {
    "in a tensor of safetensors": ("__0_0.distcp", lambda data: b"\x02" + bytes(7) + b"{}" + data, []),
    "in a record of a zip": ("__0_0.distcp", as_storage, []),
    "behind other bytes": ("__0_0.distcp", lambda data: b"12345678" + data, []),
    "packed behind other bytes": ("__0_0.distcp", lambda data: b"12345678" + data, ["stream.zstd/1"]),
    "in a file of another kind": ("image.png", lambda data: b"\x89PNG\r\n\x1a\n" + data, []),
    "in a file without a suffix": ("notes", lambda data: b"12345678" + data, []),
    "in another folder": ("../outside", lambda data: data, []),
}


@pytest.mark.torch
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
@pytest.mark.parametrize("where", HIDDEN)
def test_an_item_that_no_scan_of_its_file_sees_is_a_finding(where: str, tmp_path: Path) -> None:
    """torch loads what the index names, wherever that is (`distributed/checkpoint/filesystem.py`, `read_data`)."""
    import pickle

    import torch
    import torch.distributed.checkpoint as dcp
    import zstandard

    name, hide, transforms = HIDDEN[where]
    folder = tmp_path / "run"
    dcp.save({"model": {"weight": torch.ones(2)}, "evil": 1}, checkpoint_id=folder)
    data = pickle.dumps(Evil())
    data = zstandard.compress(data) if transforms else data
    hidden = hide(data)
    index = pickle.loads((folder / ".metadata").read_bytes())
    for key, place in index.storage_data.items():
        if key.fqn == "evil" or name == "__0_0.distcp":
            place.relative_path, place.offset, place.length = name, hidden.index(data), len(data)
            place.transform_descriptors = transforms
    (folder / ".metadata").write_bytes(pickle.dumps(index))
    (folder / name).write_bytes(hidden)
    assert not ptzip.scan(folder).ok
    assert not ptzip.scan(folder / ".metadata").ok


@pytest.mark.parametrize("name", ["extra.pt", "random_states_0.pkl", "below/notes", ".metadata"])
def test_a_harmful_file_beside_a_checkpoint_is_found(name: str, copy: Callable[[str], Path]) -> None:
    import pickle

    folder = copy("line-2")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pickle.dumps(Evil()))
    report = ptzip.scan(folder)
    assert report.verdict == ptzip.Verdict.MALICIOUS
    assert any(finding.record.startswith(name) for finding in report.findings)
    (folder / name).write_bytes(b"a note")
    assert ptzip.scan(folder).ok == (name in ("below/notes", ".metadata"))
