"""A safetensors file stays one: cast by the rules for any checkpoint, read by the library, with its metadata as they were."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import ptzip
from tests.cli.shell import ptzip as run

FLOATS = np.array([[1, 0.5], [3e-5, -7]], np.float32)


def saved(path: Path, tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> Path:
    save_file(tensors, path, metadata)
    return path


def spelled(path: Path, entries: str, data: bytes) -> Path:
    """A file whose header is spelled so."""
    header = entries.encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path


def header(path: Path) -> str:
    data = path.read_bytes()
    return data[8 : 8 + int.from_bytes(data[:8], "little")].decode()


def test_floats_become_half_precision_and_everything_else_stays(tmp_path: Path) -> None:
    tensors: dict[str, Any] = {"a.weight": FLOATS, "n": np.arange(5), "a.bias": np.ones(2, np.float16), "d": np.ones(3)}
    path = saved(tmp_path / "model.safetensors", tensors, {"format": "pt"})
    report = ptzip.slim(path, check=True)
    assert report.output == str(tmp_path / "model.slim.safetensors")
    assert report.check is not None
    assert (report.check.tensors, report.check.equal) == (4, 3)
    found = load_file(report.output)
    for name, value in tensors.items():
        expected = value.astype(np.float16) if value.dtype in (np.float32, np.float64) else value
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)
    assert report.to_dict()["saved"]["rest"] == report.rest


def test_the_file_is_the_one_that_the_library_writes_of_the_cast_tensors(tmp_path: Path) -> None:
    tensors = {f"layers.{index}.weight": np.full((3, index), index, np.float32) for index in range(12)}
    ptzip.slim(saved(tmp_path / "in.safetensors", tensors, {"format": "pt"}), tmp_path / "out.safetensors")
    halves = {name: value.astype(np.float16) for name, value in tensors.items()}
    assert (tmp_path / "out.safetensors").read_bytes() == saved(
        tmp_path / "own.safetensors", halves, {"format": "pt"}
    ).read_bytes()


@pytest.mark.parametrize("metadata", ['{"a" : "\\u00fc", "__metadata__":"x" }', "{}", '{"q":"\\"}{,"}'])
@pytest.mark.parametrize("is_first", [True, False])
def test_metadata_keep_their_bytes(metadata: str, is_first: bool, tmp_path: Path) -> None:
    tensor = ' "w" : {"dtype":"F32","shape":[30],"data_offsets":[0,120]}'
    entries = [f'"__metadata__" :  {metadata}', tensor]
    path = spelled(tmp_path / "in.safetensors", f"{{{','.join(entries if is_first else entries[::-1])}}}", bytes(120))
    assert ptzip.slim(path, tmp_path / "out.safetensors").output
    assert f'"__metadata__":{metadata},' in header(tmp_path / "out.safetensors")
    with safe_open(tmp_path / "out.safetensors", "numpy") as opened:
        assert opened.metadata() == json.loads(metadata)


def test_a_file_without_metadata_gets_none(tmp_path: Path) -> None:
    ptzip.slim(saved(tmp_path / "in.safetensors", {"w": np.ones(30, np.float32)}), tmp_path / "out.safetensors")
    assert "__metadata__" not in header(tmp_path / "out.safetensors")


def test_a_file_without_wider_floats_is_already_slim(tmp_path: Path) -> None:
    path = saved(tmp_path / "in.safetensors", {"w.weight": np.ones(3, np.float16), "n": np.arange(2)})
    assert ptzip.slim(path).already_slim
    assert run("slim", path).out == f"{path}: already slim ({path.stat().st_size} B), nothing written\n"


def test_what_overflows_stays_and_can_be_otherwise(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "in.safetensors", {"a.weight": np.array([1e9] * 40, np.float32), "b.weight": np.ones(40, np.float32)}
    )
    report = ptzip.slim(path, tmp_path / "out.safetensors")
    assert report.wide == ("a.weight",)
    assert load_file(tmp_path / "out.safetensors")["a.weight"].dtype == np.float32
    ptzip.slim(path, tmp_path / "out.safetensors", on_overflow="saturate", overwrite=True)
    assert load_file(tmp_path / "out.safetensors")["a.weight"].tolist() == [65504] * 40
    ptzip.slim(path, tmp_path / "out.safetensors", keep_float32="b.*", dtype="bfloat16", overwrite=True)
    with safe_open(tmp_path / "out.safetensors", "numpy") as opened:
        assert [opened.get_slice(name).get_dtype() for name in ("a.weight", "b.weight")] == ["BF16", "F32"]


@pytest.mark.parametrize("name", ["w", "emb_params", "ünï", "a.b"])
def test_any_name_is_that_of_weights(name: str, tmp_path: Path) -> None:
    ptzip.slim(saved(tmp_path / "in.safetensors", {name: np.ones(30, np.float32)}), tmp_path / "out.safetensors")
    assert load_file(tmp_path / "out.safetensors")[name].dtype == np.float16


def test_tensors_are_dropped_by_name_and_a_dry_run_says_the_same(tmp_path: Path) -> None:
    path = saved(tmp_path / "in.safetensors", {"w": np.ones(30, np.float32), "rope.inv_freq": np.ones(30, np.float32)})
    planned = ptzip.slim(path, tmp_path / "out.safetensors", drop="rope.*", dry_run=True)
    assert not (tmp_path / "out.safetensors").exists()
    assert [(change.path, change.what) for change in planned.changes] == [
        ("rope.inv_freq", "removed"),
        ("", "1 tensor to float16"),
    ]
    report = ptzip.slim(path, tmp_path / "out.safetensors", drop="rope.*", check=True)
    assert list(load_file(tmp_path / "out.safetensors")) == ["w"]
    assert report.new_size == planned.new_size == (tmp_path / "out.safetensors").stat().st_size
    assert report.saved == planned.saved


def test_it_is_replaced_in_place(tmp_path: Path) -> None:
    path = saved(tmp_path / "model.safetensors", {"w": np.ones(30, np.float32)})
    assert run("slim", "-i", "-q", "--check", path) == (0, "", "")
    assert load_file(path)["w"].dtype == np.float16


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"set_values": {"epoch": 1}}, "a safetensors file holds tensors only: epoch cannot be set"),
        ({"set_values": {"w": None}}, "a safetensors file holds tensors only: w cannot be set"),
        ({"dedupe": True}, "cannot share bytes, so --dedupe needs --format zip"),
        ({"output": "out.pt"}, r"the output would be safetensors, which .*out\.pt does not say"),
        ({"output": "out.safetensors", "format": "zip"}, r"a file of torch.save, which .*out\.safetensors does not say"),
    ],
)
def test_what_safetensors_cannot_have_is_an_error(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = saved(tmp_path / "in.safetensors", {"w": np.ones(30, np.float32)})
    output = tmp_path / options.pop("output", "out.safetensors")
    with pytest.raises(ptzip.EditError, match=message):
        ptzip.slim(path, output, **options)
    assert [found.name for found in tmp_path.iterdir()] == ["in.safetensors"]


def test_a_checkpoint_of_torch_gets_no_name_of_safetensors(tmp_path: Path) -> None:
    with pytest.raises(ptzip.EditError, match=r"use ptzip convert for another format"):
        ptzip.slim("fixtures/training.pt", tmp_path / "out.safetensors")


def test_scales_of_quantised_weights_stay(tmp_path: Path) -> None:
    entries = {
        "q.weight": ("F8_E4M3", [2, 4], 8),
        "q.weight_scale": ("F32", [2], 8),
        "m.weight": ("F6_E2M3", [2, 4], 6),
        "m.bias": ("F32", [2], 8),
        "n.weight": ("F32", [40], 160),
    }
    at, fields = 0, dict[str, Any]()
    for name, (dtype, shape, size) in entries.items():
        fields[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    path = spelled(tmp_path / "in.safetensors", json.dumps(fields), bytes(at))
    report = ptzip.slim(path, tmp_path / "out.safetensors", check=True)
    assert report.check is not None
    assert report.check.companions == 2
    after = json.loads(header(tmp_path / "out.safetensors"))
    assert {name: one["dtype"] for name, one in after.items()} == {
        name: "F16" if name == "n.weight" else dtype for name, (dtype, _, _) in entries.items()
    }
    assert {name: one["shape"] for name, one in after.items()} == {name: shape for name, (_, shape, _) in entries.items()}


def test_a_shared_name_in_the_metadata_is_kept(tmp_path: Path) -> None:
    ties = {"format": "pt", "lm_head.weight": "embed.weight"}
    path = saved(tmp_path / "in.safetensors", {"embed.weight": np.ones(30, np.float32)}, ties)
    ptzip.slim(path, tmp_path / "out.safetensors", check=True)
    with ptzip.open(tmp_path / "out.safetensors") as found:
        assert found["lm_head.weight"] is found["embed.weight"]


def test_inspect_says_what_slim_saves(tmp_path: Path) -> None:
    path = saved(tmp_path / "in.safetensors", {"w": np.ones(300, np.float32)})
    assert ptzip.inspect(path).to_dict()["slim"] == {"recipe": "generic", "saved": 600, "refusal": ""}


# Compared with torch

DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool", "complex64", "float8_e4m3fn")
SHAPES = st.lists(st.integers(0, 5), max_size=3).map(tuple)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
ENTRIES = st.dictionaries(
    TEXTS.filter(lambda name: name != "__metadata__"), st.tuples(st.sampled_from(DTYPES), SHAPES), min_size=1
)


@pytest.mark.torch
@settings(max_examples=150, deadline=None)
@given(ENTRIES, st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3), st.sampled_from(["auto", "float16", "bfloat16", "keep"]))
def test_any_state_dict_is_cast_as_torch_casts_it(
    tmp_path_factory: pytest.TempPathFactory, entries: dict[str, Any], metadata: dict[str, str] | None, dtype: Any
) -> None:
    torch = pytest.importorskip("torch")
    from safetensors import torch as library

    folder = tmp_path_factory.mktemp("any")
    generator = torch.Generator().manual_seed(len(entries))
    state = {
        name: (torch.randn(shape, generator=generator) * 9).to(getattr(torch, kind)) for name, (kind, shape) in entries.items()
    }
    library.save_file(state, folder / "in.safetensors", metadata)
    report = ptzip.slim(folder / "in.safetensors", folder / "out.safetensors", dtype=dtype, check=True, scan=False)
    if report.already_slim:
        return
    assert report.new_size < report.old_size or any(note.startswith("not smaller") for note in report.notes)
    with safe_open(folder / "out.safetensors", "pt") as opened:
        assert (opened.metadata() or {}) == (metadata or {})
        found = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    assert found.keys() == state.keys()
    target = getattr(torch, "float16" if dtype == "auto" else dtype)
    for name, value in state.items():
        is_cast = found[name].dtype != value.dtype
        assert not is_cast or (found[name].dtype is target and value.is_floating_point())
        assert found[name].shape == value.shape
        assert found[name].is_contiguous()
        expected = value.float().to(target) if is_cast else value
        assert expected.contiguous().view(-1).view(torch.uint8).equal(found[name].view(-1).view(torch.uint8))
    assert ptzip.slim(folder / "out.safetensors", folder / "again.safetensors", dtype=dtype, scan=False).already_slim
