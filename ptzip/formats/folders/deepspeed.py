"""DeepSpeed ZeRO: a model file, and shards of the optimizer (`deepspeed/runtime/engine.py`).

Up to stage 2, the model file has all weights, in the dtype that training computes in; at stage 3 it has only names. Each shard
has a part of the float32 masters. The object is the state dict that `zero_to_fp32.py` writes, with buffers in their own dtype
and frozen parameters at every stage, or the weights of the model file, where those suffice and the masters are not asked for.
"""

import math
from collections.abc import Iterator, Mapping

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.folders.assembly import Assembly, Fact, Folder, Role, Unread
from ptzip.formats.folders.deepspeed_files import CONVERT, Step, base, step_of
from ptzip.formats.folders.deepspeed_masters import Masters, name_of, shapes_in
from ptzip.formats.folders.fields import attributes, items, number
from ptzip.formats.folders.whole_files import opened
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.new_nodes import atom, new_dict
from ptzip.pickling.nodes import Call, Dict, Node, lookup, pair_slots, pairs, text

NAME = "DeepSpeed folder"

LIGHTNING = "pytorch-lightning_version"
WRAPPER = "_forward_module."
"""What Lightning before 2.1 has before every name."""

OWN_KEYS = frozenset(
    (
        *("module", "buffer_names", "optimizer", "param_shapes", "frozen_param_shapes", "shared_params"),
        *("frozen_param_fragments", "lr_scheduler", "data_sampler", "random_ltd", "sparse_tensor_module_names"),
        *("csr_tensor_module_names", "skipped_steps", "global_steps", "global_samples", "dp_world_size", "mp_world_size"),
        *("checkpoint_parallel_dimensions", "ds_config", "ds_version", "universal_checkpoint_info"),
    )
)
"""The keys of a model file that are DeepSpeed's; others are the user's."""

FLOAT32 = 4


def read(source: FolderSource, limits: Limits) -> Folder:
    """Open the folder. Raises FormatError where its files do not agree, UnsupportedError where they cannot be put together."""
    step, assembly = step_of(source), Assembly()
    model = opened(source, step.models[0], limits)
    held = attributes(model.root)
    _check_split(held, step)
    is_of_masters = step.is_stage3 or source.masters
    if is_of_masters and not step.shards:
        raise _no_shards(step)
    masters = Masters(source, step, held, limits).nodes(assembly) if is_of_masters else {}
    weights = state_dict(assembly.graft(model, step.models[0]), masters, step.is_stage3)
    root = _lightning(held, weights) if LIGHTNING in held else weights
    unread = _unread(source, step, held, is_of_masters)
    return assembly.folder(NAME, source, root, limits, _facts(step, held, is_of_masters), unread)


def _check_split(held: Mapping[str, Node], step: Step) -> None:
    """Raise UnsupportedError for a model of which each process has only a part of the tensors, or only some."""
    parts = max(step.parts, number(held["mp_world_size"]) if "mp_world_size" in held else 1)
    if parts > 1:
        raise UnsupportedError(f"each tensor of this model is split in {parts} (tensor parallel): {CONVERT}")
    if not isinstance(held.get("module"), Dict | Call):
        raise UnsupportedError(f"{step.models[0]} has no weights under the key module (pipeline parallel): {CONVERT}")
    if any(_has_items(held.get(key)) for key in ("ds_autoep_layers", "autoep_layers")):
        raise UnsupportedError(f"the experts of this model are split among processes: {CONVERT}")


def _has_items(node: Node | None) -> bool:
    return node is not None and bool(items(node))


def _no_shards(step: Step) -> FormatError:
    what = "float32 weights" if step.is_stage3 else "float32 masters, which --masters asks for"
    return FormatError(f"this folder has none of the files *_optim_states.pt with the {what}: copy them here")


def state_dict(root: Node, masters: Mapping[str, Node], is_stage3: bool) -> Node:
    """The module of a model file, with the masters in the place of its weights.

    At stage 3 the weights have no elements there: raises FormatError where one has no master.
    """
    module, missing = lookup(root, "module"), dict(masters)
    buffers = {name_of(name) for name in items(lookup(root, "buffer_names"))}
    assert module is not None
    for key, slot in pair_slots(module):
        name = text(key) or ""
        if name in missing:
            slot.put(missing.pop(name))
        elif is_stage3 and name not in buffers and name not in masters and not name.endswith("_extra_state"):
            raise FormatError(f"nothing in this folder has the elements of {name}: it was saved without frozen parameters")
    if missing:
        return new_dict([node for key, value in (*pairs(module), *_named(missing)) for node in (key, value)])
    return module


def _named(nodes: Mapping[str, Node]) -> Iterator[tuple[Node, Node]]:
    return ((atom(name), node) for name, node in nodes.items())


def _lightning(held: Mapping[str, Node], weights: Node) -> Node:
    """What Lightning makes of it (`lightning/pytorch/utilities/deepspeed.py`): its own values, and the weights below a key."""
    named = [(text(key) or "", value) for key, value in pairs(weights)]
    inner = new_dict([node for name, value in named for node in (atom(name.removeprefix(WRAPPER)), value)])
    own = {name: value for name, value in held.items() if name not in OWN_KEYS}
    return new_dict([node for key, value in _named(own | {"state_dict": inner}) for node in (key, value)])


def _facts(step: Step, held: Mapping[str, Node], is_of_masters: bool) -> Iterator[Fact]:
    if (version := text(held.get("ds_version"))) is not None:
        yield Fact("DeepSpeed", version)
    yield Fact("processes", str(number(held["dp_world_size"]) if "dp_world_size" in held else len(step.shards)))
    yield Fact("weights", "float32 masters" if is_of_masters else f"those of {base(step.models[0])}")


def _unread(source: FolderSource, step: Step, held: Mapping[str, Node], is_of_masters: bool) -> Iterator[Unread]:
    """The masters in the shards, where the weights are others, and what else is there."""
    size = sum(source.files[file].size for file in step.shards.values())
    shapes = [shape for group in items(held.get("param_shapes")) for shape in shapes_in(group).values()]
    masters = min(FLOAT32 * sum(map(math.prod, shapes)), size)
    found = [Unread("optimizer", size - masters, Role.TRAINING), Unread("float32 masters", masters, Role.COPY)]
    return (one for one in found[: 1 if is_of_masters else 2] if one.size)
