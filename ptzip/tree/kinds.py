"""What a node is: a tensor, a numpy array, or a value of some type, in a word for people."""

from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Persistent, Set, Tuple, plain, state, text
from ptzip.tensors.references import class_ref
from ptzip.tensors.torch_names import makes_tensor
from ptzip.text import as_text
from ptzip.tree.calls import class_path

ARRAY, SCALAR = "numpy array", "numpy scalar"
ARRAY_FUNCTIONS = frozenset(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core"))
SCALAR_FUNCTIONS = frozenset(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core"))

WORDS = {Dict: "dict", List: "list", Tuple: "tuple", Set: "set", Global: "name", Persistent: "persistent id"}


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
    if node.path not in ARRAY_FUNCTIONS:
        return ""
    built = state(node)
    parts = built.parts if isinstance(built, Tuple) else []
    sizes = [plain(size) for size in plain(parts[1]).parts] if len(parts) > 2 else []
    shape = ", ".join(as_text(size.value) for size in sizes if isinstance(size, Atom))
    return f"{ARRAY} of {_dtype(parts[2:3])} [{shape}]"


def _dtype(nodes: list[Node]) -> str:
    call = plain(nodes[0]) if nodes else None
    arguments = call.arguments if isinstance(call, Call) else []
    return (text(plain(arguments[0])) if arguments else None) or "?"
