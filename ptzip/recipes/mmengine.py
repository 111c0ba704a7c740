"""MMEngine and MMCV (MMDetection, MMSegmentation, ...): `meta` and `state_dict`, as `publish_model.py` of MMDetection keeps.

`state_dict` is that of the EMA where there is one: its hook swaps both before a file is saved, so `ema_state_dict` has the live
weights (`mmengine/hooks/ema_hook.py`). `message_hub` holds the log. Keys are removed, since loaders ask whether they are
there, and fail on None.
"""

from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Dict, Node, lookup
from ptzip.recipes.recipe import Recipe, is_state_dict, under, use_live_weights

OTHERS = ("pytorch-lightning_version", "arch")
"""Keys of frameworks that have a `state_dict` too."""


def matches(root: Node) -> bool:
    is_other = any(lookup(root, key) is not None for key in OTHERS)
    return not is_other and isinstance(lookup(root, "meta"), Dict) and is_state_dict(lookup(root, "state_dict"))


def drop(edit: Edit) -> None:
    use_live_weights(edit, "ema_state_dict", prefix="module.")
    edit.keep_only("meta", "state_dict")


RECIPE = Recipe("mmengine", "MMEngine, MMCV: meta and the state dict, as publish_model.py", matches, drop, under("state_dict"))
