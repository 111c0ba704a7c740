"""so-vits-svc, Bert-VITS2 and RVC: generators that lose their posterior encoder, which inference has no use for.

Their `compress_model` and `process_ckpt` leave out every weight of `enc_q`. `optimizer` is None afterwards, which
`utils.load_checkpoint` passes over for inference. Of a discriminator, which inference does not need, the optimizer goes.
"""

from ptzip.editing.account import Category
from ptzip.editing.edit import Edit
from ptzip.pickling.nodes import Node, lookup
from ptzip.recipes.recipe import Recipe, has, is_state_dict, names, under

POSTERIOR = "enc_q"
RVC_ENCODER = "enc_p.emb_phone."
"""What the text encoder of RVC has, and no other."""


def is_training(root: Node) -> bool:
    """The four keys that `utils.save_checkpoint` writes."""
    return has(root, "model", "iteration", "optimizer", "learning_rate") and is_state_dict(lookup(root, "model"))


def _is_rvc(weights: Node | None) -> bool:
    return weights is not None and any(name.startswith(RVC_ENCODER) for name in names(weights))


def drop_so_vits(edit: Edit) -> None:
    """As their tool does, with the first iteration: training on from a later one would ask for the optimizer."""
    drop_training(edit)
    edit.set_number("iteration", 0)


def drop_training(edit: Edit) -> None:
    """Without the posterior encoder and the optimizer."""
    model = lookup(edit.root, "model")
    if model is not None:
        edit.remove_matching(model, "model", lambda name: POSTERIOR in name, Category.OTHER, "{count} weights of enc_q removed")
        edit.set_none("optimizer")


def matches_so_vits(root: Node) -> bool:
    return is_training(root) and not _is_rvc(lookup(root, "model"))


def matches_rvc(root: Node) -> bool:
    """A training file, or one that `process_ckpt` made of it: `weight`, `config`, `info`, `sr`."""
    return (is_training(root) and _is_rvc(lookup(root, "model"))) or has(root, "weight", "config", "sr")


SO_VITS = Recipe("so-vits", "so-vits-svc, Bert-VITS2: without enc_q and the optimizer", matches_so_vits, drop_so_vits)
RVC = Recipe("rvc", "RVC: training files, and the small ones of them", matches_rvc, drop_training, under("model", "weight"))
