"""A last layer is known by the attributes it has, and by nothing else is decided which of them are converted."""

from typing import Any

import pytest

from ptzip.editing.yolo_heads import has_grid_list, head_slots
from ptzip.pickling.nodes import Call, Node, item_slots, lookup
from ptzip.tree.modules import attributes
from tests.checkpoint_builder import CheckpointBuilder, model, module, node, numbers

MADE = CheckpointBuilder()


def tensor() -> Call:
    return MADE.tensor(numbers(1))


def grid_head(**others: Any) -> Call:
    """The last layer of YOLOv5 since v6.0."""
    grids: dict[str, Any] = {"stride": tensor(), "grid": [tensor()] * 3, "anchor_grid": [tensor(), tensor()]}
    return module("models.yolo.Detect", {}, {}, {}, **grids, **others)


def converted(head: Call) -> list[str]:
    """The attributes that hold what would be converted, once for each tensor in it."""
    state = attributes(head)
    names = ("stride", "grid", "anchor_grid", "anchors", "strides", "valid_mask", "shape")
    holders = {name: found for name in names if (found := lookup(state, name))}
    places = [slot.node for slot in head_slots(model(module(), head))]
    inside = {id(slot.node): name for name, found in holders.items() for slot in item_slots(found)}
    return [inside.get(id(place)) or next(name for name, found in holders.items() if found is place) for place in places]


def test_a_list_of_grids_is_converted_item_by_item() -> None:
    assert converted(grid_head(anchors=tensor())) == ["stride", "grid", "grid", "grid", "anchor_grid", "anchor_grid"]


def test_a_buffer_of_grids_means_that_no_plain_attribute_is_converted() -> None:
    head = module(
        "models.yolo.Detect", buffers={"anchors": tensor(), "anchor_grid": tensor()}, stride=tensor(), grid=[tensor()]
    )
    assert converted(head) == []


@pytest.mark.parametrize(
    ("plain_names", "names"),
    [
        pytest.param(("reg_max", "stride", "anchors", "strides", "shape"), ["stride", "anchors", "strides"], id="detect"),
        pytest.param(("reg_max", "stride"), ["stride"], id="a fresh detect"),
        pytest.param(("stride", "anchors", "strides"), ["stride", "anchors", "strides"], id="without reg_max"),
        pytest.param(("anchors", "valid_mask", "stride"), ["anchors", "valid_mask"], id="RTDETR"),
        pytest.param(("stride",), [], id="unknown"),
        pytest.param((), [], id="without attributes"),
    ],
)
def test_the_attributes_of_an_ultralytics_head_tell_what_is_converted(plain_names: tuple[str, ...], names: list[str]) -> None:
    plain: dict[str, Any] = {name: 16 if name == "reg_max" else tensor() for name in plain_names}
    assert converted(module("ultralytics.nn.modules.head.Detect", **plain)) == names


def test_a_semantic_head_is_known_by_its_class() -> None:
    assert converted(module("ultralytics.nn.modules.head.SemanticSegment", stride=tensor())) == ["stride"]


@pytest.mark.parametrize(
    "root",
    [
        pytest.param(module(), id="no layers"),
        pytest.param(model(), id="empty"),
        pytest.param(node({"model": 1}), id="no module"),
        pytest.param(module(children={"model": None}), id="None as layers"),
    ],
)
def test_a_model_without_a_last_layer_has_nothing_to_convert(root: Node) -> None:
    assert list(head_slots(root)) == []
    assert not has_grid_list(root)


def test_only_the_last_layer_counts() -> None:
    assert has_grid_list(model(module(), grid_head()))
    assert not has_grid_list(model(grid_head(), module()))
    assert list(head_slots(model(grid_head(), module()))) == []
