"""An edit assigns slots and accounts for every byte: what is noted, what is saved by which step, how keys are numbered."""

import json
from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.editing.account import Category, Change
from ptzip.editing.edit import Edit
from ptzip.errors import EditError, LimitError
from ptzip.io.payloads import read_all
from ptzip.pickling.nodes import Atom, Node, Persistent, lookup, text, walk
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, module, node, numbers, slimmed
from tests.corpus import FIXTURES


def value(edit: Edit, key: str) -> Any:
    """A top-level plain value."""
    found = lookup(edit.root, key)
    assert isinstance(found, Atom)
    return found.value


# Top-level keys


def test_a_blanked_key_is_none_and_noted() -> None:
    builder = CheckpointBuilder()
    edit = builder.edit({"optimizer": {"state": builder.tensor(numbers(4))}, "model": 1})
    edit.set_none("optimizer")
    assert value(edit, "optimizer") is None
    assert edit.account.changes == [Change(Category.OPTIMIZER, "optimizer", "None", is_of_tensors=True)]


def test_a_missing_key_is_added_as_none_without_a_note() -> None:
    edit = CheckpointBuilder().edit({"model": 1})
    edit.set_none("ema")
    assert edit.keys == ["model", "ema"]
    assert value(edit, "ema") is None
    assert edit.account.changes == []


def test_a_key_that_is_none_stays_without_a_note() -> None:
    edit = CheckpointBuilder().edit({"optimizer": None})
    before = lookup(edit.root, "optimizer")
    edit.set_none("optimizer")
    assert lookup(edit.root, "optimizer") is before
    assert edit.account.changes == []


@pytest.mark.parametrize(
    ("text_value", "gain"),
    [pytest.param("epoch 1 ok", True, id="text"), pytest.param("", False, id="empty text"), (0.5, False)],
)
def test_results_are_a_gain_only_where_they_take_room(text_value: Any, gain: bool) -> None:
    edit = CheckpointBuilder().edit({"training_results": text_value})
    edit.set_none("training_results")
    assert edit.account.changes == [Change(Category.RESULTS, "training_results", "None", gain)]


def test_a_number_is_set_once_and_is_no_gain() -> None:
    edit = CheckpointBuilder().edit({"epoch": 41})
    edit.set_number("epoch", -1)
    edit.set_number("epoch", -1)
    assert value(edit, "epoch") == -1
    assert edit.account.changes == [Change(Category.OTHER, "epoch", "-1", gain=False)]


def test_a_missing_number_is_added() -> None:
    edit = CheckpointBuilder().edit({"model": 1})
    edit.set_number("epoch", -1)
    assert value(edit, "epoch") == -1


def test_all_but_some_keys_are_removed_and_the_missing_added() -> None:
    edit = CheckpointBuilder().edit({"a": 1, "model": 2, "b": 3})
    edit.keep_only("model", "optimizer")
    assert edit.keys == ["model", "optimizer"]
    assert [(change.path, change.what) for change in edit.account.changes] == [("a", "removed"), ("b", "removed")]


def test_a_replaced_model_is_noted_as_a_duplicate() -> None:
    edit = CheckpointBuilder().edit({"model": {"a": 1}, "ema": {"b": 2}})
    better = lookup(edit.root, "ema")
    assert better is not None
    edit.replace("model", better, "ema")
    edit.replace("model", better, "ema")
    assert lookup(edit.root, "model") is better
    assert edit.account.moved == {"model": "ema"}
    assert edit.account.changes == [Change(Category.EMA, "model", "replaced by ema")]


# What is saved


def test_a_storage_counts_for_the_first_step_that_let_go_of_it() -> None:
    builder = CheckpointBuilder()
    shared, kept = builder.storage(numbers(100)), builder.storage(numbers(10))
    optimizer = [builder.view(shared, (100,)), builder.view(kept, (10,))]
    edit = builder.edit({"optimizer": optimizer, "ema": builder.view(shared, (100,)), "model": builder.view(kept, (10,))})
    edit.set_none("optimizer", "ema")
    saved = edit.finish().saved
    assert saved == dict.fromkeys(Category, 0) | {Category.OPTIMIZER: 400}


def test_a_storage_that_something_else_keeps_is_not_saved() -> None:
    builder = CheckpointBuilder()
    tensor = builder.tensor(numbers(100))
    edit = builder.edit({"optimizer": tensor, "model": tensor})
    edit.set_none("optimizer")
    finished = edit.finish()
    assert finished.saved[Category.OPTIMIZER] == 0
    assert [payload.length for payload in finished.storages] == [400]


def test_the_text_of_results_counts_in_bytes() -> None:
    edit = CheckpointBuilder().edit({"training_results": "mAP₅₀"})
    edit.set_none("training_results")
    assert edit.finish().saved[Category.RESULTS] == len("mAP₅₀".encode()) == 9


@pytest.mark.parametrize("name", ["training", "yolov5-v5.0", "ultralytics-8.4", "tensors", "sharing"])
def test_the_savings_of_all_steps_and_the_rest_make_up_the_difference(name: str, tmp_path: Path) -> None:
    report = ptzip.slim(FIXTURES / f"{name}.pt", tmp_path / "out.pt")
    assert sum(report.saved.values()) + report.rest == report.old_size - report.new_size
    assert (tmp_path / "out.pt").stat().st_size == report.new_size


# Storage keys, locations


def test_storages_are_numbered_in_order_of_first_appearance() -> None:
    builder = CheckpointBuilder()
    gone, first, second = (builder.tensor(numbers(1, start)) for start in (10, 20, 30))
    edit = builder.edit({"optimizer": gone, "a": first, "b": [second, first]})
    edit.set_none("optimizer")
    finished = edit.finish()
    assert list(edit.part.storages) == ["0", "1", "2"]
    assert keys_of(edit.root) == ["0", "1"]
    assert [read_all(payload) for payload in finished.storages] == [numbers(1, 20).tobytes(), numbers(1, 30).tobytes()]


def test_all_ids_of_a_storage_get_the_same_new_key() -> None:
    builder = CheckpointBuilder()
    builder.storage(numbers(1))
    shared = builder.storage(numbers(4))
    edit = builder.edit({"a": builder.view(shared, (4,)), "b": builder.view(shared, (2,))})
    edit.finish()
    assert keys_of(edit.root) == ["0", "0"]


def test_a_text_that_is_a_key_and_something_else_is_not_changed(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    builder.storage(numbers(1))
    view = builder.view(builder.storage(numbers(4)), (4,))
    identity = view.arguments[0]
    assert isinstance(identity, Persistent)
    name = identity.id.parts[2]
    with slimmed(builder.save(tmp_path / "last.pt", DEFAULTS | {"model": {"w": view}, "best_fitness": [name]})) as slim:
        kept = lookup(slim.root, "best_fitness")
        assert kept is not None
        assert [text(item) for item in kept.steps[-1].items] == ["1"]
        assert list(slim.storages) == ["0"]


def identities(root: Node) -> list[Node]:
    """What every persistent id holds."""
    return [each.id for each in walk(root) if isinstance(each, Persistent)]


def keys_of(root: Node) -> list[str | None]:
    return [text(each.parts[2]) for each in identities(root)]


@pytest.mark.parametrize(("location", "places"), [("cpu", ["cpu", "cpu"]), (None, ["cuda:0", "cuda:0"])])
def test_locations_become_the_one_that_is_asked_for(location: str | None, places: list[str]) -> None:
    builder = CheckpointBuilder(location="cuda:0")
    edit = builder.edit({"model": [builder.tensor(numbers(1)), builder.tensor(numbers(2))]})
    edit.finish(location)
    assert [text(each.parts[3]) for each in identities(edit.root)] == places


def test_a_new_location_is_noted_as_a_gain() -> None:
    builder = CheckpointBuilder(location="mps")
    edit = builder.edit({"model": builder.tensor(numbers(1))})
    edit.finish("cpu")
    edit.finish("cpu")
    assert edit.account.changes == [Change(Category.OTHER, "storages", "location mps -> cpu")]


def test_a_persistent_id_of_another_kind_stops_the_edit() -> None:
    edit = CheckpointBuilder().edit({"model": Persistent("BINPERSID", None, [node("an object elsewhere")])})
    with pytest.raises(EditError, match="does not name a storage, so storages cannot be renumbered"):
        edit.finish()


def test_reports_can_be_json() -> None:
    """The steps are texts, so that they can be keys."""
    assert json.loads(json.dumps(dict.fromkeys(Category, 0))) == {
        "results": 0,
        "optimizer": 0,
        "EMA or duplicate model": 0,
        "half precision": 0,
        "dead bytes": 0,
        "identical storages": 0,
        "other": 0,
    }


def test_an_edit_reads_no_storage_before_it_is_finished() -> None:
    builder = CheckpointBuilder()
    edit = builder.edit({"model": module(parameters={"w": builder.parameter(numbers(4))}), "ema": None})
    edit.set_none("ema")
    assert edit._sources == {}
    assert list(edit.finish().storages) == list(edit._sources.values())


def test_what_many_removed_values_share_is_counted_so_often_and_no_more() -> None:
    builder = CheckpointBuilder()
    shared = node([1] * 100)
    edit = builder.edit({f"k{n}": node([shared]) for n in range(100)})
    edit.account.most = 5000
    with pytest.raises(LimitError, match="raise it with `--limit opcodes=N`"):
        edit.keep_only()
    assert edit.account.nodes == 5001
