"""`ptzip convert`: the output equals the input, aliases are kept, and tensors that the format cannot represent are reported."""

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import ptzip
from tests.checkpoint_builder import CheckpointBuilder, called, node, numbers
from tests.cli.shell import ptzip as run
from tests.cli.shell import reports
from tests.corpus import FIXTURES

TRAINING = FIXTURES / "training.pt"


def saved(tmp_path: Path, builder: CheckpointBuilder, root: dict[str, Any]) -> Path:
    return builder.save(tmp_path / "in.pt", root)


def values(path: Path) -> dict[str, bytes]:
    """The bytes of every tensor of a file, by name."""
    with ptzip.open(path) as found:
        return {name: tensor.tobytes() for name, tensor in found.tensors().items()}


def header(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    found: dict[str, Any] = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return found


# From one format to another


@pytest.mark.parametrize("way", ["safetensors pt", "npz pt", "pt safetensors npz", "npz safetensors pt", "safetensors npz"])
def test_a_round_trip_through_any_formats_keeps_names_and_bytes(way: str, tmp_path: Path) -> None:
    at = TRAINING
    for step, suffix in enumerate(way.split()):
        ptzip.convert(at, tmp_path / f"{step}.{suffix}", all=True)
        at = tmp_path / f"{step}.{suffix}"
    assert values(at) == values(TRAINING)


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt"])
def test_the_same_input_gives_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
    ptzip.convert(TRAINING, one)
    ptzip.convert(TRAINING, other)
    assert one.read_bytes() == other.read_bytes()


def test_a_compressed_npz_of_numpy_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    arrays: dict[str, Any] = {
        "f": rng.standard_normal((3, 5)).astype(np.float32),
        "fortran": np.asfortranarray(rng.standard_normal((4, 6))),
        "big": rng.standard_normal(7).astype(">f4"),
        "scalar": np.array(3, np.int16),
        "empty": np.zeros((0, 3), np.uint8),
        "flag": np.array([True, False]),
    }
    np.savez_compressed(tmp_path / "in.npz", allow_pickle=False, **arrays)
    ptzip.convert(tmp_path / "in.npz", tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", framework="numpy") as opened:
        for name, array in arrays.items():
            found = opened.get_tensor(name)
            assert found.dtype == array.dtype.newbyteorder("=")
            np.testing.assert_array_equal(found, array)


def test_arrays_of_objects_are_left_out_and_nothing_of_them_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", a=np.ones(3), o=np.array([{}], dtype=object), s=np.array(["text"]))
    report = ptzip.convert(tmp_path / "in.npz", tmp_path / "out.pt")
    assert [one.name for one in report.left_out] == ["o", "s"]
    assert list(values(tmp_path / "out.pt")) == ["a"]


@pytest.mark.parametrize("damage", [b"\x93NUMPX", b"\x93NUMPY\x01\x00\xff\xff", b"\x93NUMPY\x01\x00\x04\x00{[1}"])
def test_a_broken_header_in_an_npz_is_an_error_of_ptzip(damage: bytes, tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", a=np.ones(3))
    data = (tmp_path / "in.npz").read_bytes()
    at = data.index(b"\x93NUMPY")
    (tmp_path / "in.npz").write_bytes(data[:at] + damage + data[at + len(damage) :])
    with pytest.raises(ptzip.FormatError, match=r"a\.npy"):
        ptzip.convert(tmp_path / "in.npz", tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


def test_an_npz_is_opened_and_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", a=np.arange(6).reshape(2, 3))
    with ptzip.open(tmp_path / "in.npz") as found:
        assert found.format == "npz of numpy"
    loaded: Any = ptzip.load(tmp_path / "in.npz")
    np.testing.assert_array_equal(loaded["a"], np.arange(6).reshape(2, 3))


# Shared tensors and views


def tied(tmp_path: Path) -> Path:
    """Two names of one tensor, a view of half of it, and the same transposed."""
    builder = CheckpointBuilder()
    held = builder.storage(numbers(6))
    one, other = (builder.view(held, (2, 3), (3, 1)) for _ in range(2))
    views = {"half": builder.view(held, (3,), offset=3), "turned": builder.view(held, (3, 2), (1, 3))}
    return saved(tmp_path, builder, {"lm_head.weight": one, "embed.weight": other, **views})


def test_the_name_of_a_shared_tensor_in_safetensors_is_kept(tmp_path: Path) -> None:
    data = np.arange(6, dtype=np.float32)
    save_file(
        {"model.embed.weight": data}, tmp_path / "a.safetensors", {"format": "pt", "lm_head.weight": "model.embed.weight"}
    )
    report = ptzip.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert report.ties == {"lm_head.weight": "model.embed.weight"}
    report = ptzip.convert(tmp_path / "a.safetensors", tmp_path / "c.safetensors", prefix="x")
    assert report.ties == {"x.lm_head.weight": "x.model.embed.weight"}


def test_a_shared_tensor_is_not_kept_under_a_private_name(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    tensor = builder.tensor(numbers(5))
    builder.save(tmp_path / "a.pt", {"_flat_weights.0": tensor, "weight_ih_l0": tensor})
    assert ptzip.convert(tmp_path / "a.pt", tmp_path / "a.safetensors").ties == {"_flat_weights.0": "weight_ih_l0"}


def test_the_metadata_of_safetensors_goes_into_the_sidecar(tmp_path: Path) -> None:
    save_file({"w": np.zeros(3, np.float32)}, tmp_path / "a.safetensors", {"format": "pt", "alpha": "64"})
    ptzip.convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", sidecar=True)
    assert json.loads((tmp_path / "b.json").read_text()) == {"format": "pt", "alpha": "64"}


def test_a_shared_tensor_is_written_once_to_safetensors_and_its_alias_is_in_the_metadata(tmp_path: Path) -> None:
    report = ptzip.convert(tied(tmp_path), tmp_path / "x.safetensors")
    assert report.ties == {"lm_head.weight": "embed.weight"}
    assert header(tmp_path / "x.safetensors")["__metadata__"] == {"format": "pt", "lm_head.weight": "embed.weight"}
    with safe_open(tmp_path / "x.safetensors", framework="numpy") as opened:
        assert sorted(opened.keys()) == ["embed.weight", "half", "turned"]
    assert values(tmp_path / "x.safetensors") == values(tmp_path / "in.pt")


def test_an_npz_has_a_tensor_under_each_of_its_names(tmp_path: Path) -> None:
    report = ptzip.convert(tied(tmp_path), tmp_path / "x.npz")
    assert (report.tensors, report.ties) == (4, {})
    assert values(tmp_path / "x.npz") == values(tmp_path / "in.pt")


def test_a_state_dict_shares_what_was_shared(tmp_path: Path) -> None:
    ptzip.convert(tied(tmp_path), tmp_path / "x.pt")
    with ptzip.open(tmp_path / "x.pt") as found:
        assert len(found.storages) == 1
        assert {tensor.storage.size for tensor in found.tensors().values() if tensor.storage} == {24}
    ptzip.convert(tied(tmp_path), tmp_path / "x.safetensors")
    ptzip.convert(tmp_path / "x.safetensors", tmp_path / "again.pt")
    with ptzip.open(tmp_path / "again.pt") as found:
        tensors = found.tensors()
        assert tensors["lm_head.weight"].storage is tensors["embed.weight"].storage


def test_a_state_dict_has_only_the_bytes_that_its_tensors_use(tmp_path: Path) -> None:
    ptzip.convert(tied(tmp_path), tmp_path / "x.pt", select=["half"])
    with ptzip.open(tmp_path / "x.pt") as found:
        (tensor,) = found.tensors().values()
        assert tensor.storage is not None
        assert (tensor.offset, tensor.storage.size, tensor.tobytes()) == (0, 12, values(tmp_path / "in.pt")["half"])


# Names


def test_names_are_selected_renamed_and_given_a_prefix(tmp_path: Path) -> None:
    ptzip.convert(
        TRAINING, tmp_path / "x.pt", select=["model.*.weight"], rename={"model.model": "body", "body": ""}, prefix="net."
    )
    old = {name: data for name, data in values(TRAINING).items() if name.startswith("model.") and name.endswith(".weight")}
    new = {name.replace("model.model.", "net.body.", 1): data for name, data in old.items()}
    assert values(tmp_path / "x.pt") == new


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": ["nothing.*"]}, r"no tensor matches nothing\.\*"),
        (
            {"select": ["model.model.?.conv.weight"], "rename": {"model.model.0": "x", "model.model.1": "x"}},
            "two tensors would be named",
        ),
        ({"max_shard_size": "5 bananas"}, "invalid size '5 bananas': expected a number of bytes, or a text such as 5GB"),
        ({"max_shard_size": "0"}, "invalid size '0'"),
        ({"max_shard_size": 0}, "invalid size 0"),
    ],
)
def test_an_impossible_conversion_is_an_error_and_nothing_is_written(
    options: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises((ptzip.EditError, ValueError), match=message):
        ptzip.convert(TRAINING, tmp_path / "x.safetensors", **options)
    assert os.listdir(tmp_path) == []  # noqa: PTH208


@pytest.mark.parametrize("name", ["__metadata__", "\ud800"])
def test_a_name_that_the_format_cannot_have_is_left_out(name: str, tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = saved(tmp_path, builder, {"a": builder.tensor(numbers(3))})
    with pytest.raises(ptzip.EditError, match="safetensors can represent none of the tensors"):
        ptzip.convert(path, tmp_path / "x.safetensors", rename={"a": name})


# Shards


def test_shards_hold_everything_and_none_is_larger_than_asked_for(tmp_path: Path) -> None:
    report = ptzip.convert(TRAINING, tmp_path / "model.safetensors", max_shard_size="100KB", all=True)
    *shards, index = (Path(output) for output in report.outputs)
    assert [path.name for path in shards] == [
        f"model-{at:05d}-of-{len(shards):05d}.safetensors" for at in range(1, len(shards) + 1)
    ]
    manifest = json.loads(index.read_text())
    found: dict[str, bytes] = {}
    for path in shards:
        part = values(path)
        names = set(header(path)) - {"__metadata__"}
        assert {name for name, home in manifest["weight_map"].items() if home == path.name} == names
        assert sum(len(part[name]) for name in names) <= 100_000 or len(names) == 1
        found |= part
    assert found == values(TRAINING)
    assert manifest["metadata"]["total_size"] == sum(len(found[name]) for name in manifest["weight_map"])
    assert index.name == "model.safetensors.index.json"


def test_what_fits_one_shard_is_one_file(tmp_path: Path) -> None:
    report = ptzip.convert(TRAINING, tmp_path / "model.safetensors", max_shard_size="5GB")
    assert report.outputs == (str(tmp_path / "model.safetensors"),)


# Damage, and incomplete output


def test_nothing_is_written_where_a_storage_is_missing(tmp_path: Path) -> None:
    data = TRAINING.read_bytes()
    (tmp_path / "in.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(ptzip.FormatError):
        ptzip.convert(tmp_path / "in.pt", tmp_path / "x.safetensors")
    assert os.listdir(tmp_path) == ["in.pt"]  # noqa: PTH208


def test_a_record_with_a_wrong_crc_is_a_warning(tmp_path: Path) -> None:
    data = bytearray(TRAINING.read_bytes())
    with ptzip.open(TRAINING) as found:
        entries = [entry for entry in found.container.archive.entries if "/data/" in entry.name and entry.size > 1000]  # type: ignore[attr-defined]
        entry = random.Random(1).choice(entries)
        data[entry.data_offset + 100] ^= 1
    (tmp_path / "in.pt").write_bytes(data)
    report = ptzip.convert(tmp_path / "in.pt", tmp_path / "x.safetensors")
    assert report.warnings == (f"the CRC of record {entry.name} does not match: its bytes may be damaged",)


def test_the_sidecar_has_the_non_tensor_values(tmp_path: Path) -> None:
    report = ptzip.convert(TRAINING, tmp_path / "x.safetensors", sidecar=True)
    assert report.outputs == (str(tmp_path / "x.safetensors"), str(tmp_path / "x.json"))
    sidecar = json.loads((tmp_path / "x.json").read_text())
    assert (sidecar["epoch"], sidecar["best_fitness"]) == (41, [0.4125])
    assert sidecar["model"]["class"].startswith("models.")
    assert report.others == ("epoch", "best_fitness", "training_results")


def test_the_items_of_a_set_have_one_order_in_the_sidecar(tmp_path: Path) -> None:
    names = [f"name {number:02}" for number in range(40)]
    builder = CheckpointBuilder()
    made = called("builtins", "set", node(names[::-1]))
    path = saved(tmp_path, builder, {"w": builder.tensor(numbers(2)), "names": made})
    ptzip.convert(path, tmp_path / "x.pt", sidecar=True)
    assert json.loads((tmp_path / "x.json").read_text()) == {"names": names}


def test_the_tensors_of_a_set_are_named_in_the_order_of_their_storages(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    tensors = [builder.tensor(numbers(1, first)) for first in range(20)]
    path = saved(tmp_path, builder, {"set": called("builtins", "set", node(tensors))})
    ptzip.convert(path, tmp_path / "x.npz")
    assert [int(array[0]) for array in np.load(tmp_path / "x.npz").values()] == list(range(20))


# The command


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "last.pt").write_bytes(TRAINING.read_bytes())
    return tmp_path


@pytest.mark.usefixtures("place")
def test_lines_and_exit_codes() -> None:
    done = run("convert", "last.pt", "-o", "last.safetensors")
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "last.pt -> last.safetensors  [safetensors]",
        "  40 tensors (3 of them shared with another name), 438.1 kB",
        "  left out (--all exports everything): optimizer",
        "  not exported (no tensors): epoch, best_fitness, training_results",
        "  all names begin with model. (--strip auto removes it)",
    ]
    again = run("convert", "last.pt", "-o", "last.safetensors")
    assert (again.code, again.err.strip()) == (
        2,
        "ptzip: error: last.pt: last.safetensors already exists (use -f to overwrite)",
    )
    assert run("convert", "last.pt", "-o", "last.safetensors", "-f", "-q") == (0, "", "")
    assert run("convert", "last.pt", "-o", "last.gguf").code == 2
    assert run("convert", "last.pt", "-o", "last.pt", "-f").code == 2


def test_a_tensor_that_the_format_cannot_represent_is_a_warning_and_with_strict_an_error(place: Path) -> None:
    builder = CheckpointBuilder()
    root = {"a": builder.tensor(numbers(3)), "b": builder.tensor(numbers(3).astype(np.complex128))}
    builder.save(place / "in.pt", root)
    done = run("convert", "in.pt", "-o", "x.safetensors")
    assert (done.code, done.err.strip()) == (0, "ptzip: warning: in.pt: left out b: safetensors has no dtype complex128")
    strict = run("convert", "in.pt", "-o", "y.safetensors", "--strict")
    assert (strict.code, (place / "y.safetensors").exists()) == (1, False)
    nothing = run("convert", "in.pt", "-o", "y.safetensors", "--select", "b", "--strict")
    assert (nothing.code, (place / "y.safetensors").exists()) == (1, False)
    (data,) = reports(run("convert", "in.pt", "-o", "z.safetensors", "--json").out)
    assert data["left_out"] == [{"name": "b", "why": "safetensors has no dtype complex128"}]


def test_a_state_dict_keeps_an_expanded_tensor(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    mask = builder.view(builder.storage(numbers(1)), (5000, 5000), (0, 0))
    path = builder.save(tmp_path / "a.pt", {"mask": mask, "w": builder.tensor(numbers(2))})
    assert ptzip.convert(path, tmp_path / "b.pt").left_out == ()
    with ptzip.open(tmp_path / "b.pt") as checkpoint:
        found = checkpoint.tensors()["mask"]
        assert (found.shape, found.stride) == ((5000, 5000), (0, 0))
    (left,) = ptzip.convert(path, tmp_path / "b.safetensors").left_out
    assert left.name == "mask"


def test_keys_with_the_same_text_are_all_in_the_sidecar(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "a.pt", {"w": builder.tensor(numbers(2)), "names": {0: "a", "0": "b", "0 (2)": "c"}})
    ptzip.convert(path, tmp_path / "b.safetensors", sidecar=True)
    assert json.loads((tmp_path / "b.json").read_text()) == {"names": {"0": "a", "0 (2)": "b", "0 (2) (2)": "c"}}


def test_a_name_with_a_nul_is_left_out_of_npz(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "a.pt", {"a\0b": builder.tensor(numbers(2)), "w": builder.tensor(numbers(2))})
    assert [left.name for left in ptzip.convert(path, tmp_path / "b.npz").left_out] == ["a\0b"]


@pytest.mark.parametrize("suffix", [".bin", ".safetensors"])
def test_shards_with_an_index_are_one_folder_again(suffix: str, tmp_path: Path) -> None:
    report = ptzip.convert(TRAINING, tmp_path / f"model{suffix}", max_shard_size="100KB", all=True)
    *shards, index = map(Path, report.outputs)
    assert index.name == f"model{suffix}.index.json"
    assert len(shards) > 1
    with ptzip.open(TRAINING) as before, ptzip.open(tmp_path) as after:
        assert {name: one.tobytes() for name, one in after.items()} == {name: one.tobytes() for name, one in before.items()}
        held = [{id(one.storage.root[0]) for one in opened.values() if one.storage} for opened in (before, after)]
        assert len(held[0]) == len(held[1]) or suffix == ".safetensors", "tensors that share a storage still do"


def test_an_npz_is_not_split(tmp_path: Path) -> None:
    with pytest.raises(ptzip.EditError, match="an npz is not split"):
        ptzip.convert(TRAINING, tmp_path / "model.npz", max_shard_size="100KB")
