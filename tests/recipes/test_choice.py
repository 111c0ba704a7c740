"""`auto` takes the recipe whose layout a checkpoint has; a layout that none knows is an error that shows it."""

from pathlib import Path
from typing import Any

import pytest

import ptzip
from ptzip.arguments import Location
from ptzip.errors import EditError
from ptzip.recipes import AUTO, NAMES, RECIPES, choose
from tests.checkpoint_builder import DEFAULTS, CheckpointBuilder, module, node, numbers
from tests.corpus import FIXTURES

CHOSEN = {"tensors": "basic", "ultralytics-8.4": "ultralytics"}
"""What `auto` picks for a fixture; for all others `yolov5`."""

FIXTURE_NAMES = sorted(path.stem for path in FIXTURES.glob("*.pt"))


@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_auto_knows_every_fixture(name: str) -> None:
    with ptzip.open(FIXTURES / f"{name}.pt") as checkpoint:
        assert choose(checkpoint.root).name == CHOSEN.get(name, "yolov5")


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_a_recipe_is_chosen_by_its_name_whatever_the_layout(recipe: Any) -> None:
    assert choose(node({"anything": 1}), recipe.name) is recipe


def test_the_names_are_those_of_the_recipes_after_auto() -> None:
    assert (AUTO, *(recipe.name for recipe in RECIPES)) == NAMES
    assert len(set(NAMES)) == len(NAMES)
    assert all(recipe.summary for recipe in RECIPES)


def test_the_more_special_recipe_comes_first() -> None:
    parameters = {"w": CheckpointBuilder().parameter(numbers(2))}
    root = node(DEFAULTS | {"model": module("ultralytics.nn.tasks.DetectionModel", parameters)})
    assert [recipe.name for recipe in RECIPES if recipe.matches(root)] == ["ultralytics", "yolov5", "generic"]
    assert choose(root).name == "ultralytics"


def test_an_unknown_name_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(ValueError, match=r"recipe is 'yolov9', expected one of auto, ultralytics, .*, yolov5, basic, "):
        choose(node({}), "yolov9")


@pytest.mark.parametrize(
    ("root", "shown"),
    [
        pytest.param(
            {"state_dict": {}, "hyper_parameters": {}}, "its top-level keys are state_dict, hyper_parameters$", id="keys"
        ),
        pytest.param({f"layer{index}": 1 for index in range(30)}, r"layer0, .*, layer19 and 10 more$", id="many keys"),
        pytest.param({0: 1, None: 2, (1, 2): 3}, "its top-level keys are 0, None, tuple$", id="keys of other types"),
        pytest.param({}, "the top-level object is an empty dict", id="empty"),
        pytest.param([1, 2], "the top-level object is a list, not a dict", id="list"),
        pytest.param("text", "the top-level object is a str, not a dict", id="text"),
    ],
)
def test_a_file_without_tensors_is_an_error_that_shows_its_layout(root: Any, shown: str) -> None:
    with pytest.raises(EditError, match=f"the file holds no tensors: .*{shown}"):
        choose(node(root))


def test_of_many_keys_twenty_are_shown() -> None:
    with pytest.raises(EditError) as caught:
        choose(node({f"layer{index}": 1 for index in range(30)}))
    assert "layer20" not in str(caught.value)


def test_an_unknown_layout_writes_nothing(tmp_path: Path) -> None:
    builder = CheckpointBuilder()
    path = builder.save(tmp_path / "last.pt", {"state_dict": {"w": builder.tensor(numbers(4))}})
    with pytest.raises(EditError, match="its top-level keys are state_dict"):
        ptzip.slim(path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("recipe", ["auto", "basic"])
@pytest.mark.parametrize("name", FIXTURE_NAMES)
def test_what_is_slim_is_left_alone(name: str, recipe: str, tmp_path: Path) -> None:
    if (name, recipe) == ("ultralytics-8.4", "basic"):
        recipe = "ultralytics"  # its raw model is None
    first = ptzip.slim(FIXTURES / f"{name}.pt", tmp_path / "slim.pt", recipe=recipe)
    second = ptzip.slim(tmp_path / "slim.pt", tmp_path / "again.pt", recipe=recipe)
    assert second.already_slim
    assert second.new_size == second.old_size == first.new_size
    assert sum(second.saved.values()) == 0


@pytest.mark.parametrize(("location", "places"), [("cpu", {"cpu"}), ("keep", {"cuda:0"})])
def test_the_location_becomes_cpu_or_stays(location: Location, places: set[str], tmp_path: Path) -> None:
    report = ptzip.slim(FIXTURES / "cuda.pt", tmp_path / "out.pt", location=location)
    with ptzip.open(tmp_path / "out.pt") as slim:
        assert {reference.location for storage in slim.storages.values() for reference in storage.references} == places
    assert ("storages", "location cuda:0 -> cpu") in {
        (change.path, change.what) for change in report.changes
    } or location == "keep"


def test_a_location_alone_is_reason_enough_to_write(tmp_path: Path) -> None:
    ptzip.slim(FIXTURES / "cuda.pt", tmp_path / "kept.pt", location="keep")
    assert ptzip.slim(tmp_path / "kept.pt", tmp_path / "again.pt", location="keep").already_slim
    report = ptzip.slim(tmp_path / "kept.pt", tmp_path / "moved.pt")
    assert [change.path for change in report.changes] == ["storages"]
