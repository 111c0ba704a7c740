"""`--drop`, `--keep`, `--set`, `--keep-float32`: what a path names is what is changed."""

import glob
import time
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.errors import EditError, LimitError
from ptzip.globs import Patterns
from ptzip.pickling.new_nodes import named
from ptzip.pickling.nodes import Atom, Node, Step, lookup, pairs
from ptzip.tree.children import node_paths
from tests.checkpoint_builder import (
    DEFAULTS,
    CheckpointBuilder,
    at,
    dtype_at,
    instance,
    key_at,
    model,
    module,
    node,
    numbers,
    ordered,
)
from tests.corpus import CORPUS, needs_corpus


def slim(tmp_path: Path, builder: CheckpointBuilder, root: Any, **options: Any) -> tuple[ptzip.SlimReport, ptzip.Checkpoint]:
    path = builder.save(tmp_path / "last.pt", root)
    report = ptzip.slim(path, tmp_path / "out.pt", **options)
    return report, ptzip.open(report.output or path)


def value(root: Node, *path: str | int) -> Any:
    found = at(root, *path)
    return found.value if isinstance(found, Atom) else found


def test_paths_are_those_of_inspect() -> None:
    layer = module(parameters={"weight": CheckpointBuilder().parameter(numbers(2))}, stride=4)
    root = node({"model": module(children={"0": layer}), "args": instance("a.B", {"lr": [0.1, 0.2]}), 3: "x"})
    found = [path for path, _ in node_paths(root)]
    assert {"model", "model.0", "model.0.weight", "model.0.stride", "model.training", "args.lr", "args.lr.1", "3"} <= set(found)
    assert not any("_parameters" in path for path in found)


@pytest.mark.parametrize(("pattern", "left"), [("a", {"b"}), ("?", set()), ("[b-z]", {"a"}), ("x", {"a", "b"})])
def test_patterns_are_globs(pattern: str, left: set[str]) -> None:
    patterns = Patterns([pattern])
    assert {name for name in "ab" if not patterns.match(name)} == left
    assert patterns.unused == ({pattern} if left == {"a", "b"} else set())


def test_a_key_is_taken_out_and_an_attribute_becomes_none(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = DEFAULTS | {
        "model": model(module(parameters={"w": builder.parameter(numbers(2))}), yaml={"nc": 2}),
        "extra": {"a": 1, "b": 2},
    }
    report, found = slim(tmp_path, builder, root, drop=["extra.a", "model.yaml"])
    with found:
        assert lookup(at(found.root, "extra"), "a") is None
        assert value(found.root, "extra", "b") == 2
        assert value(found.root, "model", "yaml") is None
    assert {"extra.a", "model.yaml"} <= {change.path for change in report.changes}


def test_a_tuple_key_has_the_name_that_inspect_shows(tmp_path: Path) -> None:
    made = CheckpointBuilder()
    states = node({"left": 1})
    states.steps.append(Step("SETITEMS", items=[node((0, "exp")), node(2)]))
    report, found = slim(
        tmp_path, made, {"net": {"a.weight": made.tensor(numbers(2))}, "states": states}, drop=["states.(0, 'exp')"]
    )
    with found:
        assert [key.value for key, _ in pairs(at(found.root, "states")) if isinstance(key, Atom)] == ["left"]
    assert "states.(0, 'exp')" in {change.path for change in report.changes}


def test_a_whole_subtree_is_taken_out_at_once(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    state = {
        "enc.weight": builder.tensor(numbers(2)),
        "enc.bias": builder.tensor(numbers(2)),
        "dec.weight": builder.tensor(numbers(2)),
    }
    _, found = slim(tmp_path, builder, {"net": state}, drop=["net.enc.*"])
    with found:
        assert list(found.tensors()) == ["net.dec.weight"]
        assert len(found.storages) == 1


def test_what_is_kept_stays_whatever_the_recipe_does(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = DEFAULTS | {"model": model(module(parameters={"w": builder.parameter(numbers(2))}))}
    report, found = slim(tmp_path, builder, root, keep=["training_results", "epoch"])
    with found:
        assert value(found.root, "training_results") == "epoch 3\n"
        assert value(found.root, "epoch") == 3
    assert "training_results" not in {change.path for change in report.changes}


def test_a_part_of_what_goes_can_be_kept(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    optimizer = {"state": {0: {"step": builder.tensor(numbers(1))}}, "param_groups": [{"lr": 0.1}], "name": "SGD"}
    root = DEFAULTS | {"model": model(module(parameters={"w": builder.parameter(numbers(2))})), "optimizer": optimizer}
    _, found = slim(tmp_path, builder, root, keep=["optimizer.param_groups"])
    with found:
        assert value(found.root, "optimizer", "param_groups", 0, "lr") == 0.1
        assert lookup(at(found.root, "optimizer"), "state") is None
        assert lookup(at(found.root, "optimizer"), "name") is None


def test_a_part_deep_inside_can_be_kept(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    moments = {index: {"exp_avg": builder.tensor(numbers(2)), "step": 3} for index in range(3)}
    root = DEFAULTS | {"model": model(module(parameters={"w": builder.parameter(numbers(2))})), "optimizer": {"state": moments}}
    _, found = slim(tmp_path, builder, root, keep=["optimizer.state.1.exp_avg"])
    with found:
        assert [name for name in found.tensors() if name.startswith("optimizer")] == ["optimizer.state.1.exp_avg"]


def test_a_model_that_is_kept_is_not_replaced(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    nets = {
        key: model(module(parameters={"w": builder.parameter(numbers(2, first))})) for key, first in (("model", 1), ("ema", 7))
    }
    report, found = slim(tmp_path, builder, DEFAULTS | nets, keep=["model"])
    with found:
        assert found.tensors()["model.model.0.w"].numpy().tolist() == [1, 2]
    assert report.warnings == ()


@pytest.mark.parametrize("recipe", ["lightning", "nnunet", "timm", "yolox", "detectron2"])
def test_a_recipe_that_does_not_fit_is_refused(recipe: str, tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", {"net": {"a.weight": builder.tensor(numbers(2))}, "optimizer": {"lr": 1}})
    with pytest.raises(EditError, match=f"recipe {recipe} finds no weights in this file"):
        ptzip.slim(path, recipe=recipe)


@pytest.mark.parametrize("new", [-1, 0.5, True, None, "text"])
def test_a_value_is_set_at_its_place_or_as_a_new_key(new: Any, tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = {"net": ordered(**{"a.weight": builder.tensor(numbers(2))}), "args": {"lr": 0.1}, "epoch": 9}
    _, found = slim(tmp_path, builder, root, set_values={"epoch": new, "args.lr": new, "args.fresh": new, "note": new})
    with found:
        for path in (("epoch",), ("args", "lr"), ("args", "fresh"), ("note",)):
            assert value(found.root, *path) is new or value(found.root, *path) == new


def test_a_value_cannot_be_set_where_there_is_no_dict(tmp_path: Path) -> None:
    with pytest.raises(EditError, match=r"cannot set nowhere\.to\.go: there is no dict at nowhere.to"):
        slim(tmp_path, CheckpointBuilder(), {"a": 1}, set_values={"nowhere.to.go": 1})


def test_what_is_to_stay_float32_does(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    layer = module(parameters={"weight": builder.parameter(numbers(4))}, buffers={"running_var": builder.tensor(numbers(2))})
    root = DEFAULTS | {"model": model(layer, module(parameters={"weight": builder.parameter(numbers(3))}))}
    _, found = slim(tmp_path, builder, root, keep_float32=["*.running_var", "model.model.1"])
    with found:
        kinds = {name: tensor.dtype for name, tensor in found.tensors().items()}
    assert kinds == {
        "model.model.0.weight": "float16",
        "model.model.0.running_var": "float32",
        "model.model.1.weight": "float32",
    }


def test_a_pattern_that_matches_nothing_is_a_warning(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = {"net": {"a.weight": builder.tensor(numbers(2))}}
    report, found = slim(tmp_path, builder, root, drop=["nothing"], keep=["never"], keep_float32=["nowhere"])
    found.close()
    assert report.warnings == (
        "--drop nothing matches nothing",
        "--keep never matches nothing that would go",
        "--keep-float32 nowhere matches nothing",
    )


def test_tied_weights_of_which_one_stays_both_stay(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    storage = builder.storage(numbers(4))
    state = {"a.weight": builder.view(storage, (4,)), "b.weight": builder.view(storage, (4,))}
    state["c.weight"] = builder.tensor(numbers(50))
    report, found = slim(tmp_path, builder, {"net": state}, keep_float32=["net.a.*"])
    with found:
        assert [dtype_at(found, "net", name) for name in state] == ["float32", "float32", "float16"]
        assert key_at(found, "net", "a.weight") == key_at(found, "net", "b.weight")
    assert report.notes == ("not cast: 1 tensor that shares a storage with what keeps its dtype",)


@pytest.mark.parametrize("options", [{"set_values": {"epoch": 5}}, {"drop": ["epoch"]}, {"plain": True}, {"format": "legacy"}])
def test_what_is_asked_for_is_done_though_nothing_is_gained(options: Any, tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = {"net": {"a.weight": builder.tensor(numbers(2, dtype="float16"))}, "epoch": 3, "act": named("my.package", "Act")}
    path = builder.save(tmp_path / "last.pt", root)
    assert ptzip.slim(path).already_slim
    assert ptzip.slim(path, tmp_path / "out.pt", **options).output is not None


FIXED = (
    ("numpy_2_legacy.pt", ["*.3"]),
    ("numpy_2_legacy.pt", ["*.*.*"]),
    ("numpy_2_legacy.pt", ["?", "*[0-9]*"]),
    ("builtin_functions.pt", ["?", "*[0-9]*"]),
)
"""Files whose objects are rebuilt from arguments, and globs that match some of them."""


@pytest.mark.torch
@needs_corpus
@pytest.mark.parametrize(("name", "globs"), FIXED)
def test_what_a_function_is_given_is_not_dropped_so_that_torch_still_loads_the_file(
    name: str, globs: list[str], tmp_path: Path
) -> None:
    import torch  # it is not always installed

    report = ptzip.slim(CORPUS / "format/t213" / name, tmp_path / "out.pt", recipe="generic", drop=globs)
    assert report.output is not None
    torch.load(report.output, weights_only=False)


def bomb(levels: int) -> dict[str, Any]:
    """A dict of twice the same dict, and so on, which has 2 ** `levels` paths to its number."""
    found: Any = node({"n": 1})
    for _ in range(levels):
        found = node({"a": found, "b": found})
    return {"bomb": found}


@pytest.mark.parametrize(
    "options",
    [
        {"recipe": "generic", "drop": "*.nothing"},
        {"recipe": "basic", "keep": "bomb.*.nothing"},
        {"recipe": "generic", "keep_float32": "*.nothing"},
    ],
)
def test_paths_that_shared_values_multiply_are_refused_at_once(options: dict[str, Any], tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = DEFAULTS | {"model": model(module(parameters={"w": builder.parameter(numbers(2))}))} | bomb(24)
    path = builder.save(tmp_path / "last.pt", root)
    start = time.process_time()
    with pytest.raises(LimitError, match=r"at least \d+,\d+,\d+ paths, above .* `--limit paths=N`"):
        ptzip.slim(path, tmp_path / "out.pt", **options)
    assert time.process_time() - start < 3


@pytest.mark.parametrize("options", [{"drop": "bomb"}, {"keep": "bomb"}, {"set_values": {"bomb.a.b.a": 7}}])
def test_a_path_into_shared_values_is_found_without_all_others(options: dict[str, Any], tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    root = {"model": model(module(parameters={"w": builder.parameter(numbers(2))}))} | bomb(24)
    _, found = slim(tmp_path, builder, root, recipe="generic", **options)
    assert ("bomb" in found.top_level_keys) == ("drop" not in options)
    if "set_values" in options:
        assert value(found.root, "bomb", "a", "b", "a") == value(found.root, "bomb", "b", "b", "a") == 7
    found.close()


def test_a_value_that_is_kept_in_part_may_be_nested_deeply(tmp_path: Path) -> None:
    """Each level was looked through once more for each above it, by recursion."""
    nested: Any = node({"kept": 1, "gone": 2})
    for _ in range(1500):
        nested = node({"in": nested, "gone": 3})
    wanted = ".".join(["opt", *["in"] * 1500, "kept"])
    builder = CheckpointBuilder()
    root = DEFAULTS | {"model": model(module(parameters={"w": builder.parameter(numbers(2))})), "opt": nested}
    start = time.process_time()
    report, found = slim(tmp_path, builder, root, recipe="basic", keep=glob.escape(wanted), dtype="keep")
    assert time.process_time() - start < 10
    assert [path for path, _ in node_paths(at(found.root, "opt")) if "gone" in path] == []
    assert len([change for change in report.changes if change.path.endswith("gone")]) == 1501
    assert value(found.root, "opt", *["in"] * 1500, "kept") == 1
    found.close()
