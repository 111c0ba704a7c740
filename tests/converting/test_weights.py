"""`ptzip convert` takes the weights of a checkpoint, casts them as `slim` does, and strips what all names begin with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import ptzip
from ptzip.converting.selection import shared_prefix
from ptzip.errors import EditError
from tests.checkpoint_builder import CheckpointBuilder, numbers
from tests.cli.shell import ptzip as run
from tests.corpus import FIXTURES

LAYOUTS = FIXTURES / "layouts"


def dtypes(path: Path) -> dict[str, str]:
    with ptzip.open(path) as found:
        return {name: tensor.dtype for name, tensor in found.items()}


def checkpoint(tmp_path: Path, weights: dict[str, Any], prefix: str = "") -> Path:
    """A file of a training: weights, an average of them, and states."""
    builder = CheckpointBuilder()
    state = {f"{prefix}{name}": builder.tensor(value) for name, value in weights.items()}
    group = {"lr": 0.1, "params": [0]}
    root = {
        "net": state,
        "optimizer": {"state": {0: {"exp_avg": builder.tensor(numbers(4))}}, "param_groups": [group]},
        "rng_state": builder.tensor(np.zeros(5056, np.uint8)),
        "epoch": 3,
    }
    return builder.save(tmp_path / "in.pt", root)


# Weights only


def test_states_of_training_are_left_out_and_named(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, {"a.weight": numbers(6)})
    report = ptzip.convert(path, tmp_path / "x.safetensors")
    assert list(load_file(tmp_path / "x.safetensors")) == ["net.a.weight"]
    assert [one.path for one in report.removed] == ["optimizer", "rng_state"]
    assert (report.recipe, report.others) == ("generic", ("epoch",))
    everything = ptzip.convert(path, tmp_path / "all.safetensors", all=True)
    assert list(load_file(tmp_path / "all.safetensors")) == [
        *("net.a.weight", "optimizer.state.0.exp_avg", "rng_state"),
    ]
    assert everything.removed == ()


def test_an_average_that_a_recipe_uses_replaces_the_model(tmp_path: Path) -> None:
    report = ptzip.convert(LAYOUTS / "timm.pt", tmp_path / "x.pt")
    with ptzip.open(LAYOUTS / "timm.pt") as before, ptzip.open(tmp_path / "x.pt") as found:
        assert found
        for name, tensor in found.items():
            assert tensor.tobytes() == before[name.replace("state_dict.", "state_dict_ema.", 1)].tobytes()
    assert ("state_dict", "replaced by state_dict_ema") in report.removed


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("trainer-optimizer", r"holds the state of an optimizer and no weights.* \(--all exports all tensors\)"),
        ("deepspeed-optim", r"a shard of a DeepSpeed checkpoint.* \(--all exports all tensors\)"),
    ],
)
@pytest.mark.parametrize("dtype", ["keep", "float16"])
def test_a_file_without_weights_is_refused_unless_everything_is_asked_for(
    name: str, reason: str, dtype: Any, tmp_path: Path
) -> None:
    with pytest.raises(EditError, match=reason):
        ptzip.convert(LAYOUTS / f"{name}.pt", tmp_path / "x.pt")
    assert not (tmp_path / "x.pt").exists()
    ptzip.convert(LAYOUTS / f"{name}.pt", tmp_path / "x.pt", all=True, dtype=dtype)
    with ptzip.open(LAYOUTS / f"{name}.pt") as before:
        assert dtypes(tmp_path / "x.pt").keys() == before.keys()


def test_tensors_of_no_known_layout_are_all_taken(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "in.pt", {"mean": builder.tensor(numbers(3)), "note": "x"})
    assert ptzip.convert(path, tmp_path / "x.npz").removed == ()
    assert list(np.load(tmp_path / "x.npz")) == ["mean"]


# Casts


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt"])
@pytest.mark.parametrize("source", ["pt", "safetensors", "npz"])
def test_weights_are_cast_from_and_to_every_format(source: str, suffix: str, tmp_path: Path) -> None:
    values = {"a.weight": np.array([1e9, 1], np.float32), "b.weight": numbers(9), "n": np.arange(3)}
    ptzip.convert(checkpoint(tmp_path, values), tmp_path / f"in2.{source}", strip="net")
    report = ptzip.convert(tmp_path / f"in2.{source}", tmp_path / f"x.{suffix}", dtype="float16")
    assert (report.cast, report.wide, report.dtype) == (1, ("a.weight",), "float16")
    assert dtypes(tmp_path / f"x.{suffix}") == {"a.weight": "float32", "b.weight": "float16", "n": "int64"}
    with ptzip.open(tmp_path / f"x.{suffix}") as found:
        np.testing.assert_array_equal(found["b.weight"].numpy(), numbers(9).astype(np.float16))


def test_states_keep_their_dtype_beside_weights_that_are_cast(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, {"a.weight": numbers(6)})
    ptzip.convert(path, tmp_path / "x.pt", all=True, dtype="bfloat16")
    assert dtypes(tmp_path / "x.pt") == {
        "net.a.weight": "bfloat16",
        "optimizer.state.0.exp_avg": "float32",
        "rng_state": "uint8",
    }


def test_bytes_that_views_share_are_cast_once_in_a_state_dict(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    held = builder.storage(numbers(6))
    views = {"a.weight": builder.view(held, (2, 3), (3, 1)), "b.weight": builder.view(held, (3, 2), (1, 3))}
    report = ptzip.convert(builder.save(tmp_path / "in.pt", views), tmp_path / "x.pt", dtype="float16")
    with ptzip.open(tmp_path / "x.pt") as found:
        assert len(found.storages) == 1
        np.testing.assert_array_equal(found["b.weight"].numpy(), numbers(6).astype(np.float16).reshape(2, 3).T)
    ptzip.convert(tmp_path / "in.pt", tmp_path / "x.safetensors", dtype="float16")
    np.testing.assert_array_equal(load_file(tmp_path / "x.safetensors")["b.weight"], numbers(6).astype("f2").reshape(2, 3).T)
    assert report.cast == 2


def test_scales_of_quantised_weights_keep_their_dtype(tmp_path: Path) -> None:
    values = {"q.weight": np.ones((4, 4), np.int8), "q.scales": numbers(4), "n.weight": numbers(4)}
    report = ptzip.convert(checkpoint(tmp_path, values), tmp_path / "x.npz", dtype="float16")
    assert dtypes(tmp_path / "x.npz") == {"net.q.weight": "int8", "net.q.scales": "float32", "net.n.weight": "float16"}
    assert any("companion" in note for note in report.notes)


def test_metadata_and_shared_names_survive_a_cast_of_safetensors(tmp_path: Path) -> None:
    ties = {"format": "pt", "lm_head.weight": "embed.weight"}
    save_file({"embed.weight": numbers(60)}, tmp_path / "in.safetensors", ties)
    report = ptzip.convert(tmp_path / "in.safetensors", tmp_path / "x.safetensors", dtype="float16")
    assert report.ties == {"lm_head.weight": "embed.weight"}
    assert load_file(tmp_path / "x.safetensors")["embed.weight"].dtype == np.float16


def test_shards_are_planned_again_where_tensors_stay_as_they_are(tmp_path: Path) -> None:
    values = {f"{index}.weight": np.full(1000, 10.0**index, np.float32) for index in range(8)}
    report = ptzip.convert(
        checkpoint(tmp_path, values), tmp_path / "x.safetensors", dtype="float16", max_shard_size=4000, prefix="p"
    )
    index = json.loads((tmp_path / "x.safetensors.index.json").read_text())
    assert {name: dtype for path in report.outputs[:-1] for name, dtype in dtypes(Path(path)).items()} == {
        f"p.net.{index}.weight": "float16" if index < 5 else "float32" for index in range(8)
    }
    assert sorted({Path(path).name for path in report.outputs[:-1]}) == sorted(set(index["weight_map"].values()))
    assert {path.name for path in tmp_path.iterdir()} == {"in.pt", *(Path(path).name for path in report.outputs)}


# Prefixes


@pytest.mark.parametrize(
    ("names", "keys", "shared"),
    [
        (("module.a", "module.b.c"), (), "module"),
        (("module._orig_mod.a", "module._orig_mod.b"), (), "module._orig_mod"),
        (("_orig_mod.module.model.a",), (), "_orig_mod.module.model"),
        (("state_dict.model.a", "state_dict.model.b"), ("state_dict", "epoch"), "state_dict.model"),
        (("model.model.0.weight", "model.model.1.weight"), ("model",), "model"),
        (("model.a", "lm_head.b"), (), ""),
        (("module", "module.a"), (), ""),
        (("module.",), (), ""),
        (("models.a",), (), ""),
        (("a.module.b",), (), ""),
        (("net.ema.a",), ("net", "ema"), "net"),
    ],
)
def test_a_prefix_is_shared_by_all_names(names: tuple[str, ...], keys: tuple[str, ...], shared: str) -> None:
    assert shared_prefix(names, keys) == shared


@given(st.lists(st.sampled_from(["module", "_orig_mod", "model", "a"]), max_size=4), st.sets(st.text(min_size=1), min_size=1))
def test_names_without_a_shared_prefix_are_as_many_and_none_is_empty(parts: list[str], rests: set[str]) -> None:
    names = [".".join([*parts, rest]) for rest in rests]
    prefix = shared_prefix(names, [])
    stripped = {name.removeprefix(f"{prefix}.") if prefix else name for name in names}
    assert len(stripped) == len(names)
    assert "" not in stripped
    assert prefix.count("module") + prefix.count("model") + prefix.count("_orig_mod") == len(
        prefix.split(".") if prefix else []
    )


def test_a_shared_prefix_is_offered_and_a_flag_removes_it(tmp_path: Path) -> None:
    path = checkpoint(tmp_path, {"a.weight": numbers(3)}, prefix="module.")
    assert ptzip.convert(path, tmp_path / "x.safetensors").shared_prefix == "net.module"
    assert "all names begin with net.module. (--strip auto removes it)" in run("convert", path, "-o", tmp_path / "y.npz").out
    for strip, name in (("auto", "a.weight"), ("net", "module.a.weight"), ("net.module.", "a.weight")):
        done = run("convert", path, "-o", tmp_path / "x.safetensors", "-f", "--strip", strip)
        assert (done.code, "--strip" in done.out) == (0, False)
        assert list(load_file(tmp_path / "x.safetensors")) == [name]
    with pytest.raises(EditError, match=r"cannot strip model: 1 of 1 names have another prefix, as net\.module\.a\.weight"):
        ptzip.convert(path, tmp_path / "z.pt", strip="model")


def test_an_unknown_dtype_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="dtype is 'auto', expected one of float16, bfloat16, keep"):
        ptzip.convert(FIXTURES / "training.pt", tmp_path / "x.pt", dtype="auto")  # type: ignore[arg-type]
