"""Quantised weights and their companions: the float tensors that say what the numbers of a quantised weight mean.

Loaders take companions in the dtype that they were saved in: bitsandbytes reads `absmax` and `quant_map` as float32 whatever
they are (`bitsandbytes/functional.py`, `QuantState.from_dict`; `nn/modules.py`, `Linear8bitLt`), the kernels of torch.ao take a
float32 bias (`torch/ao/nn/quantized/modules`, `_load_from_state_dict`), and the layers of `transformers/quantizers` for
FP8, GPTQ, AWQ and compressed-tensors have their scales as parameters. A rounded scale moves every number of the weight.

So a module that holds a quantised weight is a unit, and none of its floats is cast. A quantised weight is

    a tensor of a quantised or packed dtype (qint8, float8, ...), or a wrapper subclass around others (torchao)
    a matrix of integers of at most 32 bits (int8, packed int4 and nf4); a first dimension of 1 makes it a mask or positions
    a tensor with others below its own name, as `weight` with `weight.absmax` (bitsandbytes, which packs into floats too)
    a zero point of any integer dtype
    a tensor whose name says that it is a companion: the weight may be in another shard

Integers of 64 bits, vectors and numbers are what honest modules have: `num_batches_tracked`, indices, positions, counters.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from ptzip.editing.storage_users import storages_below
from ptzip.pickling.nodes import Call, Global, Node, Persistent, Slot, lookup, pair_slots, pairs, plain, text, walk_unordered
from ptzip.tensors.dtypes import QUANTISED, SMALL_INTEGERS
from ptzip.tensors.references import (
    TENSOR,
    TENSOR_CLASS,
    TYPED_DTYPE,
    parameter_arguments,
    rebuilt_by,
    shape_of,
    storage_ref,
    tensor_ref,
    tensor_slot,
)
from ptzip.tensors.torch_names import SUBCLASSES
from ptzip.tree.below import Below
from ptzip.tree.calls import class_path
from ptzip.tree.modules import UNNAMED, attributes, is_module, modules, named_slots

ZERO_POINT = re.compile(r"(.*_)?(zero_?points?|qzeros)")
SCALE = re.compile(r"(.*_)?scales?(_inv)?")
COMPANION = re.compile(r"(nested_)?(absmax|quant_map)|SCB|(weight|input)_scales?(_inv)?")
"""Names of tensors, without those of their modules."""

WRAPPERS = frozenset(("torch._utils._rebuild_wrapper_subclass", *SUBCLASSES))
SCRIPT_OBJECT = "torch.ScriptObject"
DISTRIBUTED = "torch.distributed."
"""The package of wrapper subclasses that are parts of plain tensors."""

STATE = 3
"""The index of the attributes in the arguments of `_rebuild_parameter_with_state`."""


class StoredAs(NamedTuple):
    """What is known of a tensor that matters for quantisation; the dtype is "" where the pickle gives none."""

    dtype: str
    shape: tuple[int, ...]
    is_wrapper: bool = False

    @property
    def is_quantised(self) -> bool:
        is_matrix = len(self.shape) > 1 and self.shape[0] != 1
        return self.is_wrapper or self.dtype in QUANTISED or (self.dtype in SMALL_INTEGERS and is_matrix)

    @property
    def may_be_quantised(self) -> bool:
        """Whether a scale beside it would make it a quantised weight."""
        return self.dtype in SMALL_INTEGERS and math.prod(self.shape) > 1


def companions(roots: Iterable[Node]) -> set[int]:
    """The tensors of modules and dicts that belong to quantised weights, by the identity of their nodes.

    Where there is a quantised weight anywhere, scales are companions in every module: those of activations and caches.
    """
    seen = set[int]()
    holders = [holder for root in roots for holder in _holders(root, seen)]
    units = {id(slot.node) for holder in holders for slot in _units(holder)}
    if units:
        scales = (slot for holder in holders for name, slot in holder.items() if SCALE.fullmatch(name.rpartition(".")[2]))
        units |= {id(tensor_slot(slot).node) for slot in scales}
    return units


class UnstatedModules:
    """Finds modules with weights that are not in their parameters and buffers; what values share is looked at once.

    A quantised weight, or what says what it means, may be in the attributes of a parameter or a module, or in a module whose
    state is no dict (`bitsandbytes/nn/modules.py`, `hqq/core/quantize.py`, `torch/ao/nn/quantized/modules`), which then adds it
    to `state_dict()` itself.
    """

    def __init__(self, walked: Callable[[Node], Iterable[Node]] = walk_unordered) -> None:
        self._seen = set[int]()
        self._walked = walked
        self._has_storages = Below(lambda node: isinstance(node, Persistent) and storage_ref(node) is not None)
        self._has_quantised = Below(self._is_quantised)

    def first_below(self, root: Node) -> str:
        """The class of the first such module in one, of the modules that were not in another before; or ""."""
        return next((found for module in modules(root, self._seen) if (found := self._unstated(module))), "")

    def _unstated(self, module: Node) -> str:
        held = _held(module)
        if any(map(self._has_more_storages, held.values())):
            return class_path(module)
        for _, slot in named_slots(module, "_modules"):
            if not is_module(slot.node) and self._has_storages(slot.node):
                return class_path(slot.node)
        others = [value for key, value in pairs(attributes(module) or module) if text(key) not in UNNAMED]
        is_unit = any(True for _ in _units(held))
        return class_path(module) if any(map(self._has_storages if is_unit else self._has_quantised, others)) else ""

    def _has_more_storages(self, slot: Slot) -> bool:
        """Whether there are storages in a parameter beside those of its tensor."""
        others = [*parameter_arguments(slot.node)[TENSOR + 1 :], *(item for step in slot.node.steps for item in step.items)]
        if not any(map(self._has_storages, others)):
            return False
        below, own = (storages_below(node, self._walked) for node in (slot.node, tensor_slot(slot).node))
        return bool(below - own)

    def _is_quantised(self, node: Node) -> bool:
        """Whether a node is a tensor of a quantised dtype, a wrapper of some, or an object of TorchBind with tensors.

        The last are the packed weights of torch.ao, which may be floats (`LinearPackedParams` of `torch.float16`).
        """
        form = _form(node) if isinstance(node, Call) else None
        is_form = form is not None and (form.is_wrapper or form.dtype in QUANTISED)
        return is_form or (isinstance(node, Call) and class_path(node) == SCRIPT_OBJECT and self._has_storages(node))


def _holders(root: Node, seen: set[int]) -> Iterator[dict[str, Slot]]:
    """The tensors of a dict by their names; those of each module that is not in `seen`."""
    if not is_module(root):
        yield {name: slot for key, slot in pair_slots(root) if (name := text(key)) is not None}
        return
    yield from map(_held, modules(root, seen))


def _held(module: Node) -> dict[str, Slot]:
    """The parameters and buffers of a module itself."""
    return {name: slot for container in ("_parameters", "_buffers") for name, slot in named_slots(module, container)}


def _units(holder: Mapping[str, Slot]) -> Iterator[Slot]:
    """The slots of the tensors that share a module with a quantised weight."""
    forms = {name: form for name, slot in holder.items() if (form := _form(slot.node)) is not None}
    homes = _homes(forms)
    quantised = {homes[name] for name, form in forms.items() if form.is_quantised or _is_companion(name, form)}
    quantised |= {home for name, home in homes.items() if home != name.rpartition(".")[0]}
    scaled = {homes[name] for name in forms if SCALE.fullmatch(name.rpartition(".")[2])}
    quantised |= scaled & {homes[name] for name, form in forms.items() if form.may_be_quantised}
    yield from (tensor_slot(holder[name]) for name, home in homes.items() if home in quantised)


def _homes(names: Iterable[str]) -> dict[str, str]:
    """The modules of tensors by their names: for one below the name of another tensor, the module of that."""
    found, outer = dict[str, str](), ""
    for name in sorted(names, key=lambda name: f"{name}."):  # so that those below a name follow it
        if not (outer and name.startswith(f"{outer}.")):
            outer = name
        found[name] = outer.rpartition(".")[0]
    return found


def _is_companion(name: str, form: StoredAs) -> bool:
    """Whether a name alone says that there is a quantised weight."""
    own = name.rpartition(".")[2]
    return COMPANION.fullmatch(own) is not None or ("int" in form.dtype and ZERO_POINT.fullmatch(own) is not None)


def _form(node: Node) -> StoredAs | None:
    """The form of a tensor, or of the tensor in a parameter; None for anything else."""
    arguments = parameter_arguments(node)
    inner = plain(arguments[0]) if arguments else node
    has_state = len(arguments) > STATE and lookup(plain(arguments[STATE]), "quant_state") is not None
    tensor = tensor_ref(inner)
    if tensor is not None:
        return StoredAs(tensor.storage.dtype.name, tensor.shape, has_state)
    path, given = rebuilt_by(inner)
    if path in WRAPPERS:
        kind = plain(given[TENSOR_CLASS if path in SUBCLASSES else 0]) if len(given) > TENSOR_CLASS else None
        return StoredAs("", (), not (isinstance(kind, Global) and kind.module.startswith(DISTRIBUTED)))
    if path == "torch._utils._rebuild_qtensor":
        return StoredAs("qint8", ())
    if path == "torch._utils._rebuild_tensor_v3" and len(given) > TYPED_DTYPE:
        kind = plain(given[TYPED_DTYPE])
        return StoredAs(kind.name if isinstance(kind, Global) else "", shape_of(given) or ())
    return None
