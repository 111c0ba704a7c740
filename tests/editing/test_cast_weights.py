"""Which tensors become float16 is decided reference by reference: what shared a storage may have to part, or may not."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptzip
from ptzip.editing.account import Category
from ptzip.errors import FormatError
from tests.checkpoint_builder import (
    DEFAULTS,
    CheckpointBuilder,
    archive_of,
    at,
    dtype_at,
    key_at,
    model,
    module,
    numbers,
    slimmed,
    tensor_at,
    values_at,
)
from tests.checkpoint_builder import node as made_node
from tests.torch_zips import storage_record, torch_zip

LAYER = ("model", "_modules", "model", "_modules", "0")
"""Where the first layer of a model stands."""


@pytest.fixture
def builder() -> CheckpointBuilder:
    return CheckpointBuilder()


def slim_layer(builder: CheckpointBuilder, folder: Path, layer: Any, **options: Any) -> ptzip.Checkpoint:
    """What is left of a checkpoint whose model is one layer."""
    return slimmed(builder.save(folder / "last.pt", DEFAULTS | {"model": model(layer)}), **options)


def sizes(checkpoint: ptzip.Checkpoint) -> list[int]:
    """The sizes of all storage records, in their order."""
    assert checkpoint.storages.keys() == {str(index) for index in range(len(checkpoint.storages))}
    return [storage_record(checkpoint, key).size for key in checkpoint.storages]


# Modules


def test_a_parameter_and_a_buffer_are_cast_where_they_are(builder: CheckpointBuilder, tmp_path: Path) -> None:
    layer = module(parameters={"weight": builder.parameter(numbers(6))}, buffers={"mean": builder.tensor(numbers(3, 7))})
    with slim_layer(builder, tmp_path, layer) as slim:
        assert sizes(slim) == [12, 6]
        assert values_at(slim, *LAYER, "_parameters", "weight").tolist() == [1, 2, 3, 4, 5, 6]
        assert values_at(slim, *LAYER, "_buffers", "mean").tolist() == [7, 8, 9]


@pytest.mark.parametrize(
    ("dtype", "options", "expected"),
    [
        ("float64", {}, "float16"),
        ("float32", {}, "float16"),
        ("bfloat16", {}, "bfloat16"),
        ("bfloat16", {"dtype": "float16"}, "float16"),
    ],
    ids=str,
)
def test_floats_of_16_bits_are_cast_only_where_the_dtype_is_named(
    builder: CheckpointBuilder, tmp_path: Path, dtype: str, options: dict[str, Any], expected: str
) -> None:
    stored = numbers(4, 1, "float32")
    data = (stored.view(np.uint32) >> 16).astype(np.uint16) if dtype == "bfloat16" else stored.astype(dtype)
    buffer = builder.view(builder.storage(data, dtype), (4,))
    layer = module(buffers={"b": buffer, "other": builder.tensor(numbers(2))})
    with slim_layer(builder, tmp_path, layer, **options) as slim:
        assert dtype_at(slim, *LAYER, "_buffers", "b") == expected
        if expected == "float16":
            assert values_at(slim, *LAYER, "_buffers", "b").tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("dtype", ["float16", "int64", "int32", "uint8", "bool", "complex64", "complex128"])
def test_other_dtypes_stay(builder: CheckpointBuilder, tmp_path: Path, dtype: str) -> None:
    layer = module(buffers={"kept": builder.tensor(numbers(4, dtype=dtype)), "cast": builder.tensor(numbers(2))})
    with slim_layer(builder, tmp_path, layer) as slim:
        assert dtype_at(slim, *LAYER, "_buffers", "kept") == dtype
        assert values_at(slim, *LAYER, "_buffers", "kept").tolist() == numbers(4, dtype=dtype).tolist()


def test_plain_attributes_stay(builder: CheckpointBuilder, tmp_path: Path) -> None:
    layer = module(
        buffers={"b": builder.tensor(numbers(2))}, plain=builder.tensor(numbers(3)), listed=[builder.tensor(numbers(4))]
    )
    with slim_layer(builder, tmp_path, layer) as slim:
        assert dtype_at(slim, *LAYER, "plain") == dtype_at(slim, *LAYER, "listed", 0) == "float32"
        assert sizes(slim) == [4, 12, 16]


def test_a_storage_that_a_plain_attribute_shares_is_split_in_two(builder: CheckpointBuilder, tmp_path: Path) -> None:
    shared = builder.storage(numbers(4))
    layer = module(parameters={"weight": builder.parameter(builder.view(shared, (4,)))}, plain=builder.view(shared, (4,)))
    with slim_layer(builder, tmp_path, layer) as slim:
        assert dtype_at(slim, *LAYER, "_parameters", "weight") == "float16"
        assert dtype_at(slim, *LAYER, "plain") == "float32"
        assert values_at(slim, *LAYER, "_parameters", "weight").tolist() == values_at(slim, *LAYER, "plain").tolist()
        assert sizes(slim) == [8, 16]


def test_a_tensor_that_is_buffer_and_plain_attribute_at_once_is_split_too(builder: CheckpointBuilder, tmp_path: Path) -> None:
    tensor = builder.tensor(numbers(4))
    with slim_layer(builder, tmp_path, module(buffers={"b": tensor}, plain=tensor)) as slim:
        assert (dtype_at(slim, *LAYER, "_buffers", "b"), dtype_at(slim, *LAYER, "plain")) == ("float16", "float32")


def test_a_parameter_that_stands_in_two_modules_stays_one(builder: CheckpointBuilder, tmp_path: Path) -> None:
    weight = builder.parameter(numbers(4))
    one, other = module(parameters={"weight": weight}), module(parameters={"weight": weight}, listed=[weight])
    with slim_layer(builder, tmp_path, module(children={"one": one, "other": other})) as slim:
        places = (("one", "_parameters", "weight"), ("other", "_parameters", "weight"), ("other", "listed", 0))
        first, *others = (at(slim.root, *LAYER, "_modules", *place) for place in places)
        assert all(other is first for other in others)
        assert sizes(slim) == [8]


def test_two_parameters_on_one_storage_part(builder: CheckpointBuilder, tmp_path: Path) -> None:
    shared = builder.storage(numbers(10))
    views = {"lower": builder.view(shared, (6,)), "upper": builder.view(shared, (6,), offset=4)}
    with slim_layer(
        builder, tmp_path, module(parameters={name: builder.parameter(each) for name, each in views.items()})
    ) as slim:
        assert values_at(slim, *LAYER, "_parameters", "lower").tolist() == [1, 2, 3, 4, 5, 6]
        assert values_at(slim, *LAYER, "_parameters", "upper").tolist() == [5, 6, 7, 8, 9, 10]
        assert sizes(slim) == [12, 12]


def test_one_tensor_in_two_buffers_becomes_two(builder: CheckpointBuilder, tmp_path: Path) -> None:
    tensor = builder.tensor(numbers(4))
    with slim_layer(builder, tmp_path, module(buffers={"a": tensor, "b": tensor})) as slim:
        assert key_at(slim, *LAYER, "_buffers", "a") != key_at(slim, *LAYER, "_buffers", "b")
        assert sizes(slim) == [8, 8]


def test_of_a_large_storage_only_the_part_that_is_used_is_kept(builder: CheckpointBuilder, tmp_path: Path) -> None:
    large = builder.storage(numbers(1000))
    with slim_layer(builder, tmp_path, module(buffers={"b": builder.view(large, (3,), offset=100)})) as slim:
        assert values_at(slim, *LAYER, "_buffers", "b").tolist() == [101, 102, 103]
        assert sizes(slim) == [6]


@pytest.mark.parametrize(
    ("shape", "stride", "offset"),
    [
        pytest.param((2, 3), (3, 1), 4, id="offset"),
        pytest.param((3, 2), (1, 3), 0, id="transposed"),
        pytest.param((3, 5), (1, 0), 7, id="expanded"),
        pytest.param((), (), 9, id="scalar"),
    ],
)
def test_a_view_keeps_its_shape_and_strides(
    builder: CheckpointBuilder, tmp_path: Path, shape: tuple[int, ...], stride: tuple[int, ...], offset: int
) -> None:
    storage = builder.storage(numbers(12))
    layer = module(buffers={"b": builder.view(storage, shape, stride, offset)}, plain=builder.view(storage, (12,)))
    with slim_layer(builder, tmp_path, layer) as slim:
        found = tensor_at(slim, *LAYER, "_buffers", "b")
        assert (found.shape, found.stride, found.offset) == (shape, stride, 0)
        expected = np.lib.stride_tricks.as_strided(numbers(12)[offset:], shape, [4 * step for step in stride])
        np.testing.assert_array_equal(values_at(slim, *LAYER, "_buffers", "b"), expected)
        np.testing.assert_array_equal(values_at(slim, *LAYER, "plain"), numbers(12))


def test_a_view_with_gaps_loses_them(builder: CheckpointBuilder, tmp_path: Path) -> None:
    storage = builder.storage(numbers(12))
    layer = module(buffers={"b": builder.view(storage, (4,), (3,), 1)}, plain=builder.view(storage, (12,)))
    with slim_layer(builder, tmp_path, layer) as slim:
        found = tensor_at(slim, *LAYER, "_buffers", "b")
        assert (found.shape, found.stride, found.offset, found.storage.numel) == ((4,), (1,), 0, 4)
        assert values_at(slim, *LAYER, "_buffers", "b").tolist() == [2, 5, 8, 11]


def test_empty_tensors_are_cast_without_bytes(builder: CheckpointBuilder, tmp_path: Path) -> None:
    nothing_of_it = builder.view(builder.storage(numbers(8)), (0, 5), (5, 1), 3)
    layer = module(
        parameters={"p": builder.parameter(numbers(0))}, buffers={"b": nothing_of_it, "c": builder.tensor(numbers(1))}
    )
    with slim_layer(builder, tmp_path, layer) as slim:
        assert dtype_at(slim, *LAYER, "_parameters", "p") == dtype_at(slim, *LAYER, "_buffers", "b") == "float16"
        assert sizes(slim) == [0, 0, 2]


def test_a_module_that_stands_twice_is_cast_once(builder: CheckpointBuilder, tmp_path: Path) -> None:
    twice = module(buffers={"b": builder.tensor(numbers(4))})
    path = builder.save(tmp_path / "last.pt", DEFAULTS | {"model": model(module(children={"a": twice, "b": twice}))})
    report = ptzip.slim(path, tmp_path / "out.pt")
    assert [change.what for change in report.changes if change.category is Category.HALF] == ["1 tensor to float16"]
    assert report.saved[Category.HALF] == 8


def test_a_module_that_contains_itself_ends(builder: CheckpointBuilder, tmp_path: Path) -> None:
    layer = module(buffers={"b": builder.tensor(numbers(4))})
    root = model(layer)
    children = at(root, "_modules", "model", "_modules", "0", "_modules")
    children.steps[-1:] = made_node({"parent": root}).steps  # the layer's children: the model itself
    with slimmed(builder.save(tmp_path / "last.pt", DEFAULTS | {"model": root})) as slim:
        assert at(slim.root, *LAYER, "_modules", "parent") is at(slim.root, "model")
        assert sizes(slim) == [8]


def test_absent_parameters_and_buffers_are_left(builder: CheckpointBuilder, tmp_path: Path) -> None:
    layer = module(parameters={"bias": None}, buffers={"none": None, "b": builder.tensor(numbers(2))})
    with slim_layer(builder, tmp_path, layer) as slim:
        assert at(slim.root, *LAYER, "_parameters", "bias").op == "NONE"


def test_a_tensor_that_reaches_past_its_storage_is_refused(builder: CheckpointBuilder, tmp_path: Path) -> None:
    layer = module(buffers={"b": builder.view(builder.storage(numbers(4)), (3,), offset=2)})
    path = builder.save(tmp_path / "last.pt", DEFAULTS | {"model": model(layer)})
    with pytest.raises(FormatError, match="a tensor uses elements up to 5 of storage 0, which has 4"):
        ptzip.slim(path, tmp_path / "out.pt")
    assert not (tmp_path / "out.pt").exists()


# A dict of tensors


def slim_weights(builder: CheckpointBuilder, folder: Path, **weights: Any) -> ptzip.Checkpoint:
    return slimmed(builder.save(folder / "last.pt", DEFAULTS | {"model": weights}))


def test_every_float_of_a_dict_is_cast_and_the_rest_stays(builder: CheckpointBuilder, tmp_path: Path) -> None:
    weights = {
        "w": builder.tensor(numbers(4)),
        "p": builder.parameter(numbers(3, dtype="float64")),
        "ids": builder.tensor(numbers(2, dtype="int64")),
    }
    with slim_weights(builder, tmp_path, **weights, note="text") as slim:
        assert [dtype_at(slim, "model", name) for name in weights] == ["float16", "float16", "int64"]
        assert sizes(slim) == [8, 6, 16]


def test_what_was_tied_in_a_dict_stays_tied(builder: CheckpointBuilder, tmp_path: Path) -> None:
    shared = builder.storage(numbers(12))
    with slim_weights(
        builder,
        tmp_path,
        a=builder.view(shared, (12,)),
        b=builder.view(shared, (12,)),
        c=builder.view(shared, (3, 2), (2, 1), 6),
    ) as slim:
        assert key_at(slim, "model", "a") == key_at(slim, "model", "b") == key_at(slim, "model", "c")
        assert values_at(slim, "model", "c").tolist() == [[7, 8], [9, 10], [11, 12]]
        assert sizes(slim) == [24]


def test_one_tensor_under_two_names_stays_one(builder: CheckpointBuilder, tmp_path: Path) -> None:
    tensor = builder.tensor(numbers(4))
    with slim_weights(builder, tmp_path, a=tensor, b=tensor) as slim:
        assert at(slim.root, "model", "a") is at(slim.root, "model", "b")
        assert sizes(slim) == [8]


@pytest.mark.parametrize("same_tensor", [False, True])
def test_what_a_dict_shares_with_something_else_is_cast_there_too(
    builder: CheckpointBuilder, tmp_path: Path, same_tensor: bool
) -> None:
    shared = builder.storage(numbers(4))
    tensor = builder.view(shared, (4,))
    other = tensor if same_tensor else builder.view(shared, (4,))
    root = DEFAULTS | {"model": {"a": tensor}, "best_fitness": [other]}
    with slimmed(builder.save(tmp_path / "last.pt", root)) as slim:
        assert dtype_at(slim, "model", "a") == dtype_at(slim, "best_fitness", 0) == "float16"
        assert key_at(slim, "model", "a") == key_at(slim, "best_fitness", 0)


# Odd files


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_big_endian_file_stays_big_endian(tmp_path: Path, dtype: str) -> None:
    builder = CheckpointBuilder(byteorder="big")
    code = {"float32": ">f4", "float64": ">f8", "bfloat16": ">u2"}[dtype]
    stored = np.array([0x3F80, 0x4000, 0x4040]) if dtype == "bfloat16" else np.array([1, 2, 3])
    buffer = builder.view(builder.storage(stored.astype(code), dtype), (3,))
    ids = builder.view(builder.storage(np.array([1, 2]).astype(">i8"), "int64"), (2,))
    with slim_layer(builder, tmp_path, module(buffers={"b": buffer, "ids": ids}), dtype="float16") as slim:
        assert torch_zip(slim).parts[0].big_endian
        assert values_at(slim, *LAYER, "_buffers", "b").tolist() == [1, 2, 3]
        assert values_at(slim, *LAYER, "_buffers", "ids").tolist() == [1, 2]


def test_deflated_storages_are_inflated_and_split(builder: CheckpointBuilder, tmp_path: Path) -> None:
    shared = builder.storage(numbers(300))
    layer = module(buffers={"b": builder.view(shared, (200,), offset=50)}, plain=builder.view(shared, (300,)))
    path = builder.save(tmp_path / "stored.pt", DEFAULTS | {"model": model(layer)})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "last.pt", "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with slimmed(tmp_path / "last.pt") as slim:
        assert values_at(slim, *LAYER, "_buffers", "b").tolist() == list(range(51, 251))
        assert values_at(slim, *LAYER, "plain").tolist() == list(range(1, 301))
        assert [storage_record(slim, key).method for key in slim.storages] == [0, 0]


def test_the_last_of_two_values_under_one_key_counts(builder: CheckpointBuilder, tmp_path: Path) -> None:
    old, new = (model(module(buffers={"b": builder.tensor(numbers(4, first))})) for first in (1, 11))
    root = made_node(DEFAULTS | {"model": old})
    root.steps += made_node({"model": new}).steps[1:]
    with slimmed(builder.save(tmp_path / "last.pt", root)) as slim:
        assert values_at(slim, *LAYER, "_buffers", "b").tolist() == [11, 12, 13, 14]


def test_a_storage_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    builder.save(tmp_path / "whole.pt", DEFAULTS | {"model": {"a": builder.tensor(numbers(4))}})
    with zipfile.ZipFile(tmp_path / "whole.pt") as archive:
        records = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    (tmp_path / "last.pt").write_bytes(archive_of("last", records | {"data/0": bytes(12)}))
    with pytest.raises(FormatError, match=r"record last/data/0 is 12 bytes long, expected 16"):
        ptzip.slim(tmp_path / "last.pt")
