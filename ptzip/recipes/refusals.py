"""What is not slimmed, and why: files whose training state is what is left of the weights.

A refusal says what the file is, and how to get a file that can be slimmed.
"""

from collections.abc import Callable

from ptzip.editing.edit import is_none
from ptzip.pickling.nodes import Global, Node, Pickle, lookup
from ptzip.recipes.recipe import has, names

SHARDED = (
    "torch.distributed._shard.sharded_tensor",
    "torch.distributed._tensor",
    "torch.distributed.tensor",
)
"""Modules whose tensors are parts of tensors."""


def _is_deepspeed(pickle: Pickle, root: Node) -> bool:
    """`zero_pp_rank_*_optim_states.pt` and `mp_rank_*_model_states.pt` of ZeRO (`deepspeed/runtime/engine.py`)."""
    if not has(root, "ds_version"):
        return False
    states = lookup(root, "optimizer_state_dict")
    return lookup(states, "zero_stage") is not None if states is not None else has(root, "module") and _is_partitioned(root)


def _is_partitioned(root: Node) -> bool:
    """Whether the files of the ranks have the weights of a DeepSpeed file: `param_shapes` are written for ZeRO only."""
    shapes = lookup(root, "param_shapes")
    return shapes is not None and not is_none(shapes)


def _is_deepspeed_bf16(pickle: Pickle, root: Node) -> bool:
    """The states of `BF16_Optimizer`, which have no `zero_stage` (`deepspeed/runtime/bf16_optimizer.py`)."""
    return has(root, "ds_version", "optimizer_state_dict")


def _is_sharded(pickle: Pickle, root: Node) -> bool:
    return any(isinstance(node, Global) and node.module.startswith(SHARDED) for node in pickle.calls)


def _is_megatron_optimizer(pickle: Pickle, root: Node) -> bool:
    """`distrib_optim.pt` (`megatron/core/optimizer/distrib_optimizer.py`)."""
    return lookup(root, "buckets_coalesced") is not None


def _is_flat(pickle: Pickle, root: Node) -> bool:
    """The local state of FSDP: parameters as a part of one flat tensor (`torch/distributed/fsdp/_flat_param.py`)."""
    holders = [root, *(found for key in ("model", "state_dict", "module") if (found := lookup(root, key)) is not None)]
    return any(name.endswith("flat_param") for holder in holders for name in names(holder))


REFUSED: tuple[tuple[Callable[[Pickle, Node], bool], str], ...] = (
    (
        _is_deepspeed,
        "this is a shard of a DeepSpeed checkpoint, whose float32 weights are in the states of its optimizer: "
        "let zero_to_fp32.py make one file of all shards, and slim that",
    ),
    (
        _is_deepspeed_bf16,
        "this is the state of a DeepSpeed optimizer without ZeRO, which zero_to_fp32.py does not read: "
        "slim mp_rank_00_model_states.pt, where this is not needed any more",
    ),
    (
        _is_sharded,
        "this is a part of a distributed checkpoint, whose tensors are spread over several files: "
        "gather it into one file (torch.distributed.checkpoint.format_utils), and slim that",
    ),
    (
        _is_megatron_optimizer,
        "this is the state of Megatron's distributed optimizer, which holds the float32 weights: "
        "slim model_optim_rng.pt, where this is not needed any more",
    ),
    (
        _is_flat,
        "this is the state of one rank of FSDP, whose parameters are parts of one flat tensor: "
        "save it with FULL_STATE_DICT, and slim that",
    ),
)


def refusal(pickle: Pickle, root: Node) -> str:
    """Why a checkpoint is not slimmed, or ""."""
    return next((reason for is_one, reason in REFUSED if is_one(pickle, root)), "")
