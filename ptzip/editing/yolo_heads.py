"""The plain tensor attributes that a framework's own `_apply` converts, beside parameters and buffers.

YOLO models override `nn.Module._apply` and convert some attributes of their last layer too. The class is not imported, so the
layer is recognised by the attributes that it has.
"""

from collections.abc import Callable, Iterator

from ptzip.pickling.nodes import List, Node, Slot, item_slots
from ptzip.tree.calls import class_path
from ptzip.tree.modules import attribute, child, last_child


def _has_grid_list(head: Node) -> bool:
    """YOLOv5 since v6.0: `anchor_grid` was a buffer before and is a list since (`models/yolo.py`)."""
    slot = attribute(head, "anchor_grid")
    return slot is not None and isinstance(slot.node, List)


def _is_detect(head: Node) -> bool:
    """Ultralytics' Detect and what derives from it (`nn/tasks.py`): fresh ones have no anchors yet."""
    return attribute(head, "reg_max") is not None or None not in (
        attribute(head, "anchors"),
        attribute(head, "strides"),
    )


def _is_rtdetr(head: Node) -> bool:
    return attribute(head, "valid_mask") is not None


def _is_semantic(head: Node) -> bool:
    return class_path(head).endswith(".SemanticSegment")


def _is_yolov6(head: Node) -> bool:
    """YOLOv6's Detect, which is a sibling of the layers (`yolov6/models/yolo.py`)."""
    slot = attribute(head, "grid")
    return slot is not None and isinstance(slot.node, List) and attribute(head, "grid_cell_offset") is not None


HEADS: tuple[tuple[Callable[[Node], bool], tuple[str, ...]], ...] = (
    (_has_grid_list, ("stride", "grid", "anchor_grid")),
    (_is_yolov6, ("stride", "grid")),
    (_is_detect, ("stride", "anchors", "strides")),
    (_is_rtdetr, ("anchors", "valid_mask")),
    (_is_semantic, ("stride",)),
)
"""How to recognise a last layer, and which of its attributes are converted; the first match counts."""


def head_slots(model: Node) -> Iterator[Slot]:
    """The slots of those attributes in a model: tensors, or the items of lists of tensors."""
    head = last_layer(model)
    if head is None:
        return
    names = next((names for fits, names in HEADS if fits(head)), ())
    for name in names:
        slot = attribute(head, name)
        if slot is not None:
            yield from item_slots(slot.node) if isinstance(slot.node, List) else [slot]


def has_grid_list(model: Node) -> bool:
    """Whether a model's last layer is that of YOLOv5 v6.0 or later."""
    head = last_layer(model)
    return head is not None and _has_grid_list(head)


def last_layer(model: Node) -> Node | None:
    """The layer that detects: the last of `model`, or in YOLOv6 the child `detect`."""
    layers = child(model, "model")
    return last_child(layers) if layers is not None else child(model, "detect")
