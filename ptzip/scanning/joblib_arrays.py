"""joblib files: pickles in which the data of each array follow the object that describes it.

Source: `joblib/numpy_pickle.py`, `NumpyArrayWrapper.read_array`: if the wrapper says so, one byte with the length of a padding
and the padding; then the elements, or a separate pickle for an array of objects. Other loaders read these data as opcodes, so a
scan reads such a file in both ways.
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
    """Whether there may be array data between the opcodes of a pickle, which only joblib skips."""
    return any(isinstance(node, Global) and node.path == WRAPPER for node in pickle.calls)


class Arrays:
    """The array data between the opcodes of one pickle; `pickles` are those of arrays of objects."""

    def __init__(self, read: Callable[[Stream, int], Pickle]) -> None:
        self.read = read
        self.pickles = list[Pickle]()
        self.skipped = 0
        """The number of arrays that are described as joblib describes them."""

    def skip(self, node: Node, data: Stream, at: int) -> int:
        """The number of data bytes at `at` that belong to the object just read; 0 if it is not an array of joblib."""
        attributes = state(node) if isinstance(node, Call) and node.path == WRAPPER and node.op == "NEWOBJ" else None
        if not isinstance(attributes, Dict):
            return 0
        dtype, shape = lookup(attributes, "dtype"), lookup(attributes, "shape")
        is_plain = isinstance(shape, Tuple) and all(isinstance(plain(part), Atom) for part in shape.parts)
        if not is_plain or not CODE.match(_code(dtype)) or sum(step.op == "BUILD" for step in node.steps) != 1:
            return 0
        self.skipped += 1
        if _code(dtype).lstrip("<>|=")[:1] == "O":
            self.pickles.append(self.read(data, at))
            return self.pickles[-1].end - at
        padding = 1 + data[at] if _value(lookup(attributes, "numpy_array_alignment_bytes")) and at < len(data) else 0
        return padding + _count(shape) * _size(_code(dtype))

    def is_odd(self, pickle: Pickle) -> bool:
        """Whether something of joblib is described in another way, so that its loader may skip other bytes."""
        names = [node for node in pickle.calls if isinstance(node, Global) and node.path == WRAPPER]
        calls = [node for node in pickle.calls if isinstance(node, Call) and node.path == WRAPPER]
        others = [node for node in pickle.calls if isinstance(node, Global) and node.module.startswith("joblib")]
        return len(calls) != self.skipped or len(others) != len(names) or not calls


def _code(dtype: Node | None) -> str:
    """The type code of a dtype, such as "f8"."""
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
    """The number of elements; 0 if a size is not a positive number."""
    sizes = [_value(plain(part)) for part in shape.parts] if isinstance(shape, Tuple) else []
    return math.prod(size if isinstance(size, int) and size > 0 else 0 for size in sizes)


def _value(node: Node | None) -> Any:
    return node.value if isinstance(node, Atom) else None
