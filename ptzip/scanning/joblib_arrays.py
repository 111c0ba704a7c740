"""Files of joblib: a pickle in which the bytes of each array follow the object that describes it.

Source: `joblib/numpy_pickle.py`, `NumpyArrayWrapper.read_array`: a byte with the length of a padding and the padding, where
the wrapper says so; then the elements, or for an array of objects a pickle of its own. Rule: a loader that does not know of
this reads those bytes as opcodes, so they are read so too.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from ptzip.io.sources import Stream
from ptzip.pickling.nodes import Atom, Call, Dict, Global, Node, Pickle, Tuple, lookup, plain, state, text

WRAPPER = "joblib.numpy_pickle.NumpyArrayWrapper"
CODE = re.compile(r"[<>|=]?([?bBhHiIlLqQefdgFDGSUVmMpPOuc])(\d*)$")
SIZES = dict(zip("?bBhHiIlLqQefdgFDG", (1, 1, 1, 2, 2, 4, 4, 8, 8, 8, 8, 2, 4, 8, 16, 8, 16, 32), strict=True))


def has_arrays(pickle: Pickle) -> bool:
    """Whether bytes of arrays may stand between the opcodes of a pickle, so that a reader may lose its way among them."""
    return any(isinstance(node, Global) and node.path == WRAPPER for node in pickle.calls)


class Arrays:
    """What is between the opcodes of a pickle: where an array of objects is, its pickle is kept."""

    def __init__(self, read: Callable[[Stream, int], Pickle]) -> None:
        self.read = read
        self.pickles = list[Pickle]()
        self.skipped = 0
        """How many arrays were described as joblib describes them."""

    def skip(self, node: Node, data: Stream, at: int) -> int:
        """How many bytes from `at` on belong to the object that was just described; 0 where none do."""
        told = state(node) if isinstance(node, Call) and node.path == WRAPPER and node.op == "NEWOBJ" else None
        if not isinstance(told, Dict):
            return 0
        dtype, shape = lookup(told, "dtype"), lookup(told, "shape")
        is_plain = isinstance(shape, Tuple) and all(isinstance(plain(part), Atom) for part in shape.parts)
        if not is_plain or not CODE.match(_code(dtype)) or sum(step.op == "BUILD" for step in node.steps) != 1:
            return 0
        self.skipped += 1
        if _code(dtype).lstrip("<>|=")[:1] == "O":
            self.pickles.append(self.read(data, at))
            return self.pickles[-1].end - at
        padding = 1 + data[at] if _value(lookup(told, "numpy_array_alignment_bytes")) and at < len(data) else 0
        return padding + _count(shape) * _size(_code(dtype))

    def is_odd(self, pickle: Pickle) -> bool:
        """Whether something of joblib is made otherwise: its loader may then take other bytes for those of an array."""
        names = [node for node in pickle.calls if isinstance(node, Global) and node.path == WRAPPER]
        made = [node for node in pickle.calls if isinstance(node, Call) and node.path == WRAPPER]
        others = [node for node in pickle.calls if isinstance(node, Global) and node.module.startswith("joblib")]
        return len(made) != self.skipped or len(others) != len(names) or not made


def _code(dtype: Node | None) -> str:
    """The code of a dtype, as in numpy.dtype('f8')."""
    given = dtype.arguments if isinstance(dtype, Call) else []
    return (text(plain(given[0])) or "") if given else ""


def _size(code: str) -> int:
    match = CODE.match(code)
    if match is None:
        return 0
    kind, digits = match.groups()
    if kind in "SUV":
        return int(digits or 0) * (4 if kind == "U" else 1)
    return int(digits) if digits else 8 if kind in "mMpPuc" else SIZES[kind]


def _count(shape: Node | None) -> int:
    """How many elements there are; none where a size is no number of them."""
    sizes = [_value(plain(part)) for part in shape.parts] if isinstance(shape, Tuple) else []
    return math.prod(size if isinstance(size, int) and size > 0 else 0 for size in sizes)


def _value(node: Node | None) -> Any:
    return node.value if isinstance(node, Atom) else None
