"""States of training, recognised by their forms and keys, wherever they are in a checkpoint.

A form that nothing else has is enough: an optimizer, its `state_dict()`, and those of schedulers and gradient scalers. A random
state may be any bytes, and the state of a callback any dict, so their keys have to say so too.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ptzip.editing.account import Category
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Tuple,
    item_slots,
    lookup,
    pairs,
    text,
)
from ptzip.recipes.recipe import is_flat_optimizer, is_optimizer
from ptzip.recipes.weights import weights_below
from ptzip.tensors.references import tensor_ref
from ptzip.tree.below import Below
from ptzip.tree.calls import class_path
from ptzip.tree.modules import attributes, is_module

RNG_STATE_BYTES = frozenset((16, 44, 816, 5048, 5056, 816040, 824000))
"""The sizes of the states of torch's generators: CUDA, MPS, old versions of CUDA, the CPU before 1.8 and since."""

GENERATORS = ("numpy.random.", "random.Random", "torch._C.Generator")
SCHEDULERS = ("torch.optim.lr_scheduler.", "torch.optim.swa_utils.SWALR")
"""How the paths of classes begin."""


# Forms. An object is looked at by its attributes, a state by its keys.


def _fields(node: Node) -> Node:
    """The attributes of an object, else the node itself."""
    return attributes(node) or node


def _count(node: Node, *keys: str) -> int:
    """How many of some keys a dict or an object has."""
    return sum(lookup(_fields(node), key) is not None for key in keys) if isinstance(node, Dict | Call) else 0


class Holdings:
    """What is at or below the nodes of a tree, which must not change meanwhile."""

    def __init__(self) -> None:
        self.tensors = Below(lambda node: isinstance(node, Persistent))
        self.state = Below(_is_state)
        """Tensors, objects, classes of optimizers, or the progress of loops: more than settings have."""
        self.weights = weights_below()
        self.calls = Below(lambda node: isinstance(node, Call) and node.path != "collections.OrderedDict")


def _is_any_optimizer(node: Node, _: object = None) -> bool:
    """The state of an optimizer, or a pickled `torch.optim.Optimizer` (its `__getstate__`)."""
    return not is_module(node) and (is_optimizer(_fields(node)) or is_flat_optimizer(node))


def _is_surely_optimizer(node: Node, _: object = None) -> bool:
    """One with groups, each of which lists its parameters, or one that is flat."""
    if is_flat_optimizer(node):
        return True
    groups = lookup(_fields(node), "param_groups") if _is_any_optimizer(node) else None
    found = _different(slot.node for slot in item_slots(groups)) if groups is not None else []
    return bool(found) and all(lookup(group, "params") is not None for group in found)


def _is_scheduler(node: Node, holdings: Holdings) -> bool:
    """A scheduler (`torch/optim/lr_scheduler.py`), or its state, which has no tensors."""
    if class_path(node).startswith(SCHEDULERS):
        return attributes(node) is not None
    is_like = _count(node, "last_epoch", "_step_count", "base_lrs", "_last_lr") >= 2
    return is_like and (_is_any_optimizer(lookup(_fields(node), "optimizer") or node) or not holdings.tensors(node))


def _is_scaler(node: Node, holdings: Holdings) -> bool:
    """A `GradScaler` (`torch/amp/grad_scaler.py`) or its state, or that of apex's `amp`."""
    if _count(node, "_growth_factor", "_backoff_factor") == 2:
        return True
    is_torch = _count(node, "growth_factor", "_growth_tracker", "scale") >= 2
    return (is_torch or _count(node, "loss_scaler0") == 1) and not holdings.tensors(node)


def _is_number_state(node: Node, _: object = None) -> bool:
    """A state of numpy (its name, then numbers, or both by key) or of Python (a version, then 625 numbers), or a generator."""
    items = [slot.node for slot in item_slots(node)] if isinstance(node, Tuple) else []
    is_numpy = (len(items) == 5 and text(items[0]) == "MT19937") or _count(node, "bit_generator", "state") == 2
    is_python = len(items) == 3 and isinstance(items[1], Tuple) and len(items[1].parts) == 625
    return is_numpy or is_python or class_path(node).startswith(GENERATORS)


def _is_random_state(node: Node, _: object = None) -> bool:
    """A state of numpy or Python, a generator, or a state of torch (bytes)."""
    tensor = tensor_ref(node)
    if tensor is not None:
        return tensor.storage.dtype.name == "uint8" and len(tensor.shape) == 1 and tensor.shape[0] in RNG_STATE_BYTES
    return _is_number_state(node)


def _are_callbacks(node: Node, holdings: Holdings) -> bool:
    """The states of callbacks by their names: plain values, and nothing that could be weights or code."""
    return isinstance(node, Dict) and not holdings.calls(node)


def _never(_: Node, __: Holdings) -> bool:
    return False


Form = Callable[[Node, Holdings], bool]


class Training(NamedTuple):
    """A kind of state of training: the pattern of its keys, its form, and a form that needs no key."""

    what: str
    category: Category
    key: re.Pattern[str]
    form: Form
    sure_form: Form


def _members(node: Node) -> list[Node]:
    """The values of a list, a tuple or a dict, each once."""
    if isinstance(node, List | Tuple):
        return _different(slot.node for slot in item_slots(node))
    return _different(value for _, value in pairs(node)) if isinstance(node, Dict) else []


def _different(nodes: Iterable[Node]) -> list[Node]:
    """Nodes without those that are the same."""
    return list({id(node): node for node in nodes}.values())


def _containing(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?i).*({pattern}).*")


CALLBACKS = Training("the states of callbacks", Category.OTHER, re.compile(r"callbacks?(_states?)?"), _are_callbacks, _never)

KINDS = (
    Training(
        "the state of an optimizer",
        Category.OPTIMIZER,
        _containing(r"opt|solver|adam|sgd"),
        _is_any_optimizer,
        _is_surely_optimizer,
    ),
    Training("the state of a scheduler", Category.OTHER, _containing(r"sched|lr"), _is_scheduler, _is_scheduler),
    Training("the state of a gradient scaler", Category.OTHER, _containing(r"scaler|amp|fp16"), _is_scaler, _is_scaler),
    Training(
        "a random state",
        Category.OTHER,
        _containing(r"rng|rand(om)?_?states?|generator|random|seed"),
        _is_random_state,
        _is_number_state,
    ),
    CALLBACKS,
)

OF_OPTIMIZER = KINDS[0]

OF_OBJECTS = KINDS[:3]
"""Kinds that become None as attributes of objects; random states and callbacks may be needed for more than training."""

_LIKE = (
    r"(?i)(\w*_)?(optim(izer)?s?|adam|sgd|(lr_?)?sched(uler)?s?|rng|momentum|exp_avg(_sq)?|(gradient|grad)s?|(gradient|grad)_accum"
    r"{more})(_(states?|dict|type|class|[a-z0-9]|accum))*"
)
ONLY_TRAINING = re.compile(_LIKE.format(more=""))
"""Keys of values that look like states of training, whatever their form."""

LIKE_TRAINING = re.compile(
    _LIKE.format(more=r"|solver|(grad_?)?scaler|amp|((replay|rollout)_?)?(buffer|memory)|loops|callbacks?|trainer")
)
"""The same, and keys under which there may be weights as well."""


class StatesOfTraining:
    """Recognises states of training in a tree, which must not change meanwhile. What values share is looked at once."""

    def __init__(self) -> None:
        self.holdings = Holdings()
        self._kinds: dict[tuple[int, tuple[bool, ...]], Training | None] = {}
        self._forms: dict[tuple[int, Form], bool] = {}

    def kind(self, node: Node, keys: tuple[str, ...] = ()) -> Training | None:
        """The kind of state that a value is, by its form and the keys above it."""
        are_named = tuple(any(map(kind.key.fullmatch, keys)) for kind in KINDS)
        known = id(node), are_named
        if known not in self._kinds:
            self._kinds[known] = self._kind(node, are_named)
        return self._kinds[known]

    def _kind(self, node: Node, are_named: tuple[bool, ...]) -> Training | None:
        if is_empty(node) and not are_named[KINDS.index(CALLBACKS)]:
            return None
        members = _members(node)
        members = [] if any(isinstance(one, Atom) for one in members) else members  # none of which is a state
        forms = [kind.form if is_named else kind.sure_form for kind, is_named in zip(KINDS, are_named, strict=True)]
        return next((kind for kind, form in zip(KINDS, forms, strict=True) if self._fits(node, members, form)), None)

    def _fits(self, node: Node, members: list[Node], form: Form) -> bool:
        """Whether a value has a form, or is a list or dict of nothing else: of `members`."""
        return self._has(node, form) or (bool(members) and all(self._has(member, form) for member in members))

    def _has(self, node: Node, form: Form) -> bool:
        known = id(node), form
        if known not in self._forms:
            self._forms[known] = form(node, self.holdings)
        return self._forms[known]

    def looks_like_training(self, node: Node, key: str) -> bool:
        """Whether a key says that its value is a state of training, and the value is more than settings."""
        return bool(LIKE_TRAINING.fullmatch(key)) and self.holdings.state(node)


def is_empty(node: Node) -> bool:
    """Whether a container has nothing in it, as many of a large file have."""
    return isinstance(node, Dict | List | Tuple) and not node.parts and not any(step.items for step in node.steps)


def _is_state(node: Node) -> bool:
    return isinstance(node, Persistent) or attributes(node) is not None or _is_optimizer_class(node) or _is_progress(node)


def _is_optimizer_class(node: Node) -> bool:
    return isinstance(node, Global) and node.path.startswith("torch.optim.")


def _is_progress(node: Node) -> bool:
    """How far a loop of Lightning is, in all and in the current run (`lightning/pytorch/loops/progress.py`)."""
    counts = [lookup(node, key) for key in ("total", "current")] if isinstance(node, Dict) else [None]
    return all(count is not None and _count(count, "ready", "completed") == 2 for count in counts)
