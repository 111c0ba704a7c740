"""Stable Diffusion `.ckpt` files: of the UNet the averaged weights or the live ones, and nothing that only training needs.

LitEma keeps an average of every trained weight of `model` under its name without dots: `model_ema.diffusion_modelout2weight`
for `model.diffusion_model.out.2.weight` (`ldm/modules/ema.py`). Inference with the average is what the framework itself does;
`--no-ema` takes the live weights. Ids and counters are integers, which nothing casts.
"""

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes import lightning
from ptzip.recipes.recipe import Recipe, is_state_dict, names

MODEL, AVERAGE = "model.", "model_ema."
UNET = "model.diffusion_model."


def weights(root: Node) -> list[tuple[str, Node]]:
    """The state dict: under its key, or the whole object."""
    found = lookup(root, "state_dict")
    return [("state_dict", found) if found is not None else ("", root)]


def matches(root: Node) -> bool:
    _, found = weights(root)[0]
    return is_state_dict(found) and any(name.startswith(UNET) for name in names(found))


def drop(edit: Edit) -> None:
    lightning.drop(edit)
    path, state = weights(edit.root)[0]
    if edit.ema:
        edit.replace_items(state, path, state, path, _average, "their averages")
    if any(name.startswith(AVERAGE) for name in names(state)):
        edit.account.warnings.append("there are no averages beside the weights any more: a configuration needs use_ema: False")
    edit.remove_matching(state, path, lambda name: name.startswith(AVERAGE), Category.EMA, "{count} averages removed")


def _average(name: str) -> str:
    """The name of the average of a weight."""
    return f"{AVERAGE}{name[len(MODEL) :].replace('.', '')}" if name.startswith(MODEL) else ""


SCHEDULE = ("betas", "alphas_cumprod*", "posterior_*", "sqrt_*", "log_one_minus_*", "logvar", "scale_factor")
"""The buffers of the diffusion itself (`ldm/models/diffusion/ddpm.py`): a few kB that every step is computed from."""

PREFIXES = ("", "state_dict.")

RECIPE = Recipe(
    "stable-diffusion",
    "Stable Diffusion: averaged or live weights (--no-ema)",
    matches,
    drop,
    weights,
    tuple(prefix + name for prefix in PREFIXES for name in SCHEDULE),
)
