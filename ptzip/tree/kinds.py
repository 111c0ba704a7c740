"""What a node is: a tensor, a numpy array, or a value of some type, in a word for people."""

from collections.abc import Sequence

from ptzip.pickling.nodes import (
    Atom,
    Call,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Set,
    Tuple,
    lookup,
    plain,
    state,
    text,
)
from ptzip.tensors.dtypes import JOBLIB_WRAPPERS
from ptzip.tensors.references import class_ref
from ptzip.tensors.torch_names import makes_tensor
from ptzip.text import as_text
from ptzip.tree.calls import class_path

ARRAY, SCALAR = "numpy array", "numpy scalar"
ARRAY_FUNCTIONS = frozenset(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core"))
SCALAR_FUNCTIONS = frozenset(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core"))

WORDS = {Dict: "dict", List: "list", Tuple: "tuple", Set: "set", Global: "name", Persistent: "persistent id"}


NUMPY_KINDS = {"f": "float", "i": "int", "u": "uint", "c": "complex"}
"""Kinds of numpy's array interface; the number behind them is in bytes."""


def is_tensor(node: Node) -> bool:
    """Whether a node is a call that builds a tensor."""
    return isinstance(node, Call) and makes_tensor(class_path(node))


def is_leaf(node: Node) -> bool:
    """Whether a node is a tensor or a plain value, which have nothing below them that a recipe looks at."""
    return isinstance(node, Atom) or is_tensor(node)


def kind(node: Node) -> str:
    """What a node is, in a word: a Python type, "tensor", or the path of a class."""
    if is_tensor(node):
        return "tensor"
    if isinstance(node, Call):
        from_id = class_ref(node.function)
        return _array(node) or class_path(node) or (from_id.path if from_id else "call")
    if isinstance(node, Atom):
        return type(node.value).__name__ if node.value is not None else "None"
    return WORDS.get(type(node), "value")


def _array(node: Call) -> str:
    """A numpy array or scalar with its dtype and shape, as far as the pickle gives them as plain values; else ""."""
    if node.path in SCALAR_FUNCTIONS:
        return f"{SCALAR} of {_dtype(node.arguments[:1])}"
    built = state(node)
    if node.path in JOBLIB_WRAPPERS:
        return f"{ARRAY} of {_dtype([lookup(built, 'dtype')])} [{_shape(lookup(built, 'shape'))}]"
    if node.path not in ARRAY_FUNCTIONS:
        return ""
    parts = built.parts if isinstance(built, Tuple) else []
    return f"{ARRAY} of {_dtype(parts[2:3])} [{_shape(parts[1] if len(parts) > 2 else None)}]"


def _shape(node: Node | None) -> str:
    sizes = [plain(size) for size in plain(node).parts] if node is not None else []
    return ", ".join(as_text(size.value) for size in sizes if isinstance(size, Atom))


def _dtype(nodes: Sequence[Node | None]) -> str:
    call = plain(nodes[0]) if nodes and nodes[0] is not None else None
    arguments = call.arguments if isinstance(call, Call) else []
    return _spelled(text(plain(arguments[0])) or "?" if arguments else "?")


def _spelled(code: str) -> str:
    """A dtype as everything else names it, from numpy's code for it ("f8" is float64); other codes as they are."""
    kind, size = code[:1], code[1:]
    if kind in NUMPY_KINDS and size.isdecimal():
        return f"{NUMPY_KINDS[kind]}{int(size) * 8}"
    return "bool" if code == "b1" else code
