"""What a node is: a tensor, a numpy array, or a value of some type, in a word for people."""

from ptzip.pickling.nodes import Atom, Call, Dict, Global, List, Node, Persistent, Set, Tuple, plain, state, text
from ptzip.tensors.references import PARAMETERS, REBUILDERS, class_ref
from ptzip.text import as_text
from ptzip.tree.calls import class_path

TENSOR_FUNCTIONS = ("torch._utils._rebuild_", "torch._tensor._rebuild_", "torch.tensor._rebuild_")
"""How the names of the functions that rebuild tensors begin (`torch/_utils.py`, `torch/_tensor.py`)."""

JAGGED = "torch.nested._internal.nested_tensor._rebuild_njt"
TENSOR_CLASSES = frozenset(
    {
        *(f"torch.{module}.{name}" for module in ("nn", "nn.parameter") for name in ("Parameter", "Buffer")),
        *("torch.nn.parameter.UninitializedParameter", "torch.nn.parameter.UninitializedBuffer"),
        *("torch.Tensor", "torch._tensor.Tensor", "torch.tensor.Tensor", "torch.autograd.variable.Variable"),
    }
)
"""Classes whose call builds a tensor; as an argument, such a name is only the class."""

OTHER_STREAMS = frozenset({"torch.storage._load_from_bytes"})
"""Functions that read a second pickle, in which there may be tensors."""

ARRAY, SCALAR = "numpy array", "numpy scalar"
ARRAY_FUNCTIONS = frozenset(f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core"))
SCALAR_FUNCTIONS = frozenset(f"numpy.{core}.multiarray.scalar" for core in ("core", "_core"))

WORDS = {Dict: "dict", List: "list", Tuple: "tuple", Set: "set", Global: "name", Persistent: "persistent id"}


def is_tensor(node: Node) -> bool:
    """Whether a node is a call that builds a tensor."""
    return isinstance(node, Call) and _builds_tensor(class_path(node))


def _builds_tensor(path: str) -> bool:
    if path.startswith(TENSOR_FUNCTIONS) or path in TENSOR_CLASSES or path == JAGGED:
        return True
    module, _, name = path.rpartition(".")
    return module in ("torch", "torch.cuda") and name.endswith("Tensor")  # torch 0.1: torch.FloatTensor, torch.cuda.HalfTensor


def builds_unusual_tensor(path: str) -> bool:
    """Whether a function or class builds a tensor that is more than a strided view of a storage, or may contain one."""
    return path not in REBUILDERS and path not in PARAMETERS and (_builds_tensor(path) or path in OTHER_STREAMS)


def is_leaf(node: Node) -> bool:
    """Whether a node is a tensor or a plain value, which have nothing below them that a recipe looks at."""
    return isinstance(node, Atom) or is_tensor(node)


def is_array(node: Node) -> bool:
    """Whether a node is a numpy array or scalar."""
    return isinstance(node, Call) and (node.path in ARRAY_FUNCTIONS or node.path in SCALAR_FUNCTIONS)


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
