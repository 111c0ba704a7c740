"""Options together, and shapes of checkpoints that only few have: nothing is lost, untied or spelled wrongly."""

import pickle
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ptzip
from ptzip.editing.account import Category
from ptzip.pickling.new_nodes import atom, filled, memoized, named, new_list
from ptzip.pickling.nodes import Call, Dict, Node, Tuple
from tests.checkpoint_builder import (
    DEFAULTS,
    CheckpointBuilder,
    archive_of,
    called,
    instance,
    key_at,
    model,
    module,
    node,
    numbers,
    values_at,
)

LARGE = np.full(4, 1e6, np.float32)


def slim(tmp_path: Path, builder: CheckpointBuilder, root: Any, **options: Any) -> tuple[ptzip.SlimReport, ptzip.Checkpoint]:
    path = builder.save(tmp_path / "last.pt", root)
    report = ptzip.slim(path, tmp_path / "out.pt", **options)
    return report, ptzip.open(report.output or path)


def loaded(tmp_path: Path, root: Any) -> Any:
    import torch

    report, found = slim(tmp_path, CheckpointBuilder(), root, plain=True)
    found.close()
    return torch.load(report.output or tmp_path / "last.pt", weights_only=True)


def test_equal_storages_beyond_the_range_both_stay(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    report, found = slim(tmp_path, builder, {name: builder.tensor(LARGE) for name in ("a.weight", "b.weight")}, dedupe=True)
    with found:
        assert {tensor.dtype for tensor in found.tensors().values()} == {"float32"}
        assert key_at(found, "a.weight") == key_at(found, "b.weight")
    assert set(report.wide) == {"a.weight", "b.weight"}


def test_two_state_dicts_of_the_same_tensors_stay_tied(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    state = {"a.weight": builder.tensor(numbers(50)), "b.weight": builder.tensor(numbers(9))}
    report, found = slim(tmp_path, builder, {"model": state, "best": dict(state)})
    with found:
        assert key_at(found, "model", "a.weight") == key_at(found, "best", "a.weight")
        assert len(found.storages) == 2
    assert report.saved[Category.HALF] == 2 * 59


def test_all_tensors_of_a_storage_are_cast_and_stay_tied(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    storage = builder.storage(numbers(10))
    state = {"a.weight": builder.view(storage, (4,), (1,), 2), "b.weight": builder.view(storage, (4,), (1,), 4)}
    _, found = slim(tmp_path, builder, {"net": state, "raw": builder.view(storage, (10,))})
    with found:
        assert key_at(found, "net", "a.weight") == key_at(found, "net", "b.weight") == key_at(found, "raw")
        assert values_at(found, "net", "b.weight").tolist() == [5, 6, 7, 8]
        assert values_at(found, "raw").tolist() == numbers(10).tolist()


def test_a_storage_of_which_only_a_part_are_weights_is_cast_whole(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    storage = builder.storage(numbers(12))
    state = {"a.weight": builder.view(storage, (4,)), "b.weight": builder.view(storage, (2,), (2,), 8)}
    _, found = slim(tmp_path, builder, {"net": state, "raw": builder.view(storage, (4,), (1,), 4)})
    with found:
        assert [found.storages[key].size for key in found.storages] == [2 * 10]
        assert values_at(found, "net", "a.weight").tolist() == [1, 2, 3, 4]
        assert values_at(found, "net", "b.weight").tolist() == [9, 11]
    assert ptzip.slim(tmp_path / "out.pt").already_slim


def test_what_stands_elsewhere_too_is_not_taken_apart(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    args = node({"lr": 1, "wd": 2})
    root = DEFAULTS | {"model": model(module(parameters={"w": builder.parameter(numbers(2))})), "args": args}
    _, found = slim(tmp_path, builder, root | {"optimizer": {"args": args, "state": {}}}, keep=["optimizer.args.lr"])
    with found:
        assert ptzip.load(tmp_path / "out.pt", unknown="keep")["args"] == {"lr": 1, "wd": 2}  # type: ignore[index]


def test_a_dict_that_holds_itself_has_an_end(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    inner = Dict("EMPTY_DICT", None, [], [memoized()])
    inner.steps.append(filled([atom("me"), inner, atom("x"), atom(1), atom("y"), atom(2)]))
    root = DEFAULTS | {"model": model(module(parameters={"w": builder.parameter(numbers(2))})), "optimizer": inner}
    _, found = slim(tmp_path, builder, root, keep=["*.x"])
    found.close()


def test_a_number_of_any_length_can_be_set(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    _, found = slim(tmp_path, builder, {"net": {"a.weight": builder.tensor(numbers(2))}}, set_values={"epoch": 10**700})
    found.close()
    assert ptzip.load(tmp_path / "out.pt")["epoch"] == 10**700  # type: ignore[index]


def test_a_view_beside_a_parameter_is_named_right(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    storage = builder.storage(np.concatenate([numbers(4), LARGE]))
    layer = module(parameters={"p": builder.parameter(builder.view(storage, (4,), (1,), 4))}, plain=builder.view(storage, (4,)))
    report, found = slim(tmp_path, builder, DEFAULTS | {"model": model(layer)})
    found.close()
    assert report.wide == ("model.model.0.p",)


def test_a_key_of_a_dict_that_stands_twice_is_gone_in_both(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    shared = node({"b": builder.tensor(numbers(2)), "k": 1})
    root = {"net": {"a.weight": builder.tensor(numbers(2))}, "a": shared, "c": shared}
    report, found = slim(tmp_path, builder, root, drop=["a.b"], check=True)
    with found:
        assert list(found.tensors()) == ["net.a.weight"]
    assert report.check is not None


def test_dicts_that_share_dicts_are_looked_at_once(tmp_path: Path) -> None:
    builder, inner = CheckpointBuilder(), node({"x": 1})
    for _ in range(3):
        inner = node({f"k{number}": inner for number in range(100)})
    started = time.perf_counter()
    _, found = slim(tmp_path, builder, {"net": {"a.weight": builder.tensor(numbers(2))}, "data": inner})
    found.close()
    assert time.perf_counter() - started < 2


def test_a_stream_of_several_objects_is_refused(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    ptzip.slim(
        builder.save(tmp_path / "a.pt", {"net": {"a.weight": builder.tensor(numbers(2))}}), tmp_path / "b.pt", format="legacy"
    )
    (tmp_path / "two.pt").write_bytes((tmp_path / "b.pt").read_bytes() * 2)
    with pytest.raises(ptzip.UnsupportedError, match="several objects one after the other"):
        ptzip.slim(tmp_path / "two.pt")


# Plain


@pytest.mark.torch
def test_containers_with_arguments_keep_what_they_hold(tmp_path: Path) -> None:
    point = Call("NEWOBJ", None, [named("my.package", "Point"), Tuple("TUPLE", None, [atom(1), atom(2)])], [memoized()])
    root = {
        "counter": called("collections", "Counter", {"a": 2}),
        "point": point,
        "frozen": called("__builtin__", "frozenset", [1, 2]),
    }
    assert loaded(tmp_path, root) == {"counter": {"a": 2}, "point": (1, 2), "frozen": {1, 2}}


@pytest.mark.torch
def test_keys_inside_keys_and_members_of_sets_can_be_hashed(tmp_path: Path) -> None:
    thing = instance("my.package.Thing", {"x": 1})
    tupled = Dict("EMPTY_DICT", None, [], [filled([Tuple("TUPLE", None, [thing, atom(2)]), atom(3)])])
    members = new_list([called("__builtin__", "frozenset", [1])])
    found = loaded(tmp_path, {"tupled": tupled, "set": called("__builtin__", "set", members)})
    assert list(found["tupled"].values()) == [3]
    assert found["set"] == {(1,)}


@pytest.mark.parametrize(
    "builder",
    [
        called("datetime", "datetime", "x", 1),
        called("numpy.core.multiarray", "scalar", called("numpy", "dtype", "U3", False, True), "abc"),
        Call("NEWOBJ", None, [named("torch.nn.parameter", "UninitializedParameter"), Tuple("EMPTY_TUPLE")], [memoized()]),
    ],
    ids=["arguments", "an array of texts", "a tensor of torch"],
)
def test_what_has_no_plain_form_is_refused_with_its_place(builder: Node, tmp_path: Path) -> None:
    with pytest.raises(ptzip.EditError, match=r"has no plain form \(--drop a\.thing removes it\)"):
        slim(tmp_path, CheckpointBuilder(), {"a": {"thing": builder}}, plain=True)


@pytest.mark.torch
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_protocol_5_become_tensors(order: str, tmp_path: Path) -> None:
    import torch

    values = np.asarray([[1, 2, 3], [4, 5, 6]], np.float32, order)  # type: ignore[call-overload]
    data = pickle.dumps({"mean": values}, protocol=5)
    (tmp_path / "last.pt").write_bytes(archive_of("last", {"data.pkl": data, "version": b"3\n"}))
    ptzip.slim(tmp_path / "last.pt", tmp_path / "out.pt", plain=True, dtype="keep")
    found = torch.load(tmp_path / "out.pt", weights_only=True)["mean"]
    np.testing.assert_array_equal(found.numpy(), values)


@pytest.mark.torch
def test_a_long_text_that_stands_in_many_places_is_spelled_once(tmp_path: Path) -> None:
    data = pickle.dumps({"texts": ["x" * 250] * 2000}, protocol=4)
    (tmp_path / "last.pt").write_bytes(archive_of("last", {"data.pkl": data, "version": b"3\n"}))
    report = ptzip.slim(tmp_path / "last.pt", tmp_path / "out.pt", plain=True)
    assert report.new_size < 20_000


@pytest.mark.torch
def test_parameters_that_torch_0_made_by_their_class_are_cast(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch")

    class Old(torch.nn.Parameter):  # type: ignore[misc]
        def __reduce_ex__(self, protocol: Any) -> Any:
            return torch.nn.parameter.Parameter, (self.data, self.requires_grad)

    net = torch.nn.Sequential(torch.nn.Linear(32, 32))
    net[0].weight = Old(net[0].weight.data)
    torch.save(net, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    report = ptzip.slim(tmp_path / "old.pt", tmp_path / "slim.pt", check=True)
    assert ("", "2 tensors to float16") in {(change.path, change.what) for change in report.changes}
    after = torch.load(tmp_path / "slim.pt", weights_only=False)
    assert torch.equal(after[0].weight, net[0].weight.half())
    assert after[0].weight.requires_grad
    ptzip.slim(tmp_path / "old.pt", tmp_path / "plain.pt", plain=True)
    assert torch.load(tmp_path / "plain.pt", weights_only=True)["0.weight"].dtype == torch.float16
