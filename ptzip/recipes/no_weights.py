"""Why there is nothing to slim in a file: what it holds instead of weights that could be halved."""

from collections.abc import Iterable

from ptzip.formats.signatures import has_legacy_magic
from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.nodes import Atom, Call, Node, Persistent, pairs, walk_unordered
from ptzip.recipes.find_training import Found, find_training
from ptzip.recipes.training_states import StatesOfTraining
from ptzip.tensors.references import StorageRef, storage_ref
from ptzip.text import as_text
from ptzip.tree.calls import class_path
from ptzip.tree.kinds import ARRAY_FUNCTIONS, kind

ARGUMENTS = "TrainingArguments"
MOST_KEYS = 20
ZIP_MAGIC = b"PK\x03\x04"


def only_training(root: Node, most: int = DEFAULT_LIMITS.paths) -> str:
    """What a file holds that has states of training and no weights, or ""; `most` as for `find_training`."""
    if class_path(root).endswith(ARGUMENTS):
        return "the arguments of a training"
    own = StatesOfTraining().kind(root)
    if own is not None:
        return own.what
    found = [one for one in find_training(root, most=most) if one.kind is not None]
    if not found or has_other_tensors(root, found, with_arrays=True):
        return ""
    return " and ".join(dict.fromkeys(one.kind.what for one in found if one.kind is not None))


def advice(what: str) -> str:
    """The reason for which a file of training states is refused."""
    return f"this file holds {what} and no weights: delete it, if the training is not to go on"


def has_other_tensors(root: Node, found: Iterable[Found], with_arrays: bool = False) -> bool:
    """Whether there are tensors of more than one number, or numpy arrays as well, outside some values."""
    others = list(walk_unordered(root, {id(one.node) for one in found}))
    has_arrays = with_arrays and any(isinstance(node, Call) and node.path in ARRAY_FUNCTIONS for node in others)
    return has_arrays or any(storage.numel > 1 for storage in _storages(others))


def _storages(nodes: Iterable[Node]) -> list[StorageRef]:
    return [reference for node in nodes if isinstance(node, Persistent) and (reference := storage_ref(node)) is not None]


def reason(root: Node) -> str:
    """Why no recipe has anything to do in a file."""
    if what := only_training(root):
        return advice(what)
    storages = _storages(walk_unordered(root))
    if not storages and _has_streams(root):
        return f"the tensors are in bytes that a class of this file unpickles itself, which slim does not open: {layout(root)}"
    if not storages:
        return f"the file holds no tensors: {layout(root)}"
    if not any(storage.dtype.casts for storage in storages):
        dtypes = sorted({storage.dtype.name for storage in storages})
        return f"there is nothing to slim: the tensors are {' and '.join(dtypes)}, which are not cast"
    return f"no recipe knows this layout, whose tensors are in no module and no dict of weights: {layout(root)}"


def _has_streams(root: Node) -> bool:
    """Whether bytes in a pickle begin as files of torch do, as in the networks that skorch pickles."""
    values = (node.arg for node in walk_unordered(root) if isinstance(node, Atom) and isinstance(node.arg, bytes))
    return any(has_legacy_magic(value) or value.startswith(ZIP_MAGIC) for value in values)


def layout(root: Node) -> str:
    """The top level of a file in a few words."""
    keys = [as_text(key.value) if isinstance(key, Atom) else kind(key) for key, _ in pairs(root)]
    if keys:
        more = f" and {len(keys) - MOST_KEYS} more" if len(keys) > MOST_KEYS else ""
        return f"its top-level keys are {', '.join(keys[:MOST_KEYS])}{more}"
    name = kind(root)
    if name in ("None", "dict"):
        return f"the top-level object is {'an empty dict' if name == 'dict' else name}"
    return f"the top-level object is {'an' if name[0] in 'aeiou' else 'a'} {name}, not a dict"
