"""joblib files: pickles in which the data of each array follow the object that describes it.

Source: `joblib/numpy_pickle.py`, `NumpyArrayWrapper.read_array` and `read_mmap`: unless the alignment is None, one byte with
the length of a padding and the padding; then the elements, or a separate pickle for an array of objects. The data are read from
the file, even where the opcodes are in a frame. Other loaders read these data as opcodes, so a scan reads such a file in both
ways.

Only a wrapper that joblib itself would write says how many bytes to skip; any other is a finding.
"""

from collections.abc import Callable, Iterator
from itertools import islice

from ptzip.formats.numpy_types import Known, element_count, literal, pickled, value
from ptzip.io.streams import Stream
from ptzip.pickling.nodes import Call, Dict, Global, Node, Pickle, children, lookup, pairs, plain, state, text, walk_unordered
from ptzip.tensors.dtypes import JOBLIB_WRAPPERS

ATTRIBUTES = frozenset(("subclass", "shape", "order", "dtype", "allow_mmap"))
ALIGNMENT = "numpy_array_alignment_bytes"
"""What joblib 0.10 stores in it, and what 1.2 added."""

MOST_STEPS = 8
"""A memo put, and one step for each attribute at most; many wrappers may share a state."""

FILE_WRAPPERS = ("NDArrayWrapper", "ZNDArrayWrapper")
"""Before joblib 0.10, an array was a file of its own, which is loaded by `numpy.load` with pickles allowed."""


def has_arrays(pickle: Pickle) -> bool:
    """Whether there may be array data between the opcodes of a pickle, which only joblib skips."""
    return any(isinstance(node, Global) and node.path in JOBLIB_WRAPPERS for node in pickle.calls)


def other_files(pickle: Pickle) -> Iterator[Call]:
    """The objects that make joblib load another file."""
    for node in pickle.calls:
        if isinstance(node, Call) and node.path.rpartition(".")[2] in FILE_WRAPPERS and "joblib" in node.path:
            yield node


class Arrays:
    """The array data between the opcodes of one pickle; `pickles` are those of arrays of objects.

    `is_old`: they are read as by joblib 1.1 and before, which does not know the padding that `has_padding` tells of.
    """

    def __init__(self, read: Callable[[Stream, int], Pickle], is_old: bool = False) -> None:
        self.read = read
        self.is_old = is_old
        self.has_padding = False
        self.pickles = list[Pickle]()
        self.types: Known = {}
        self.skipped = 0
        """The number of arrays that are described as joblib describes them."""
        self.spans = list[tuple[int, int]]()
        """The offset and length of the data of each."""

    def skip(self, node: Node, data: Stream, at: int) -> int:
        """The number of data bytes at `at` that belong to the object just read; 0 if it is not an array of joblib."""
        length = self._length(node, data, at)
        if length:
            self.spans.append((at, length))
        return length

    def _length(self, node: Node, data: Stream, at: int) -> int:
        given = _attributes(node)
        if given is None:
            return 0
        item = pickled(lookup(given, "dtype"), self.types)
        shape = lookup(given, "shape")
        count = element_count(literal(shape)) if shape is not None else None
        if item is None or count is None or not item.size:
            return 0
        self.skipped += 1
        if item.has_objects:
            self.pickles.append(self.read(data, at))
            return self.pickles[-1].end - at
        alignment = lookup(given, ALIGNMENT)
        is_padded = alignment is not None and value(alignment) is not None
        self.has_padding = self.has_padding or is_padded
        padding = 1 + data[at] if is_padded and not self.is_old and at < len(data) else 0
        return padding + count * item.size

    def is_odd(self, pickle: Pickle) -> bool:
        """Whether something of joblib is described in another way, so that its loader may skip other bytes."""
        joblib = [node for node in pickle.calls if isinstance(node, Global) and "joblib" in node.module]
        wrappers = {id(node) for node in joblib if node.path in JOBLIB_WRAPPERS}
        calls = [node for node in pickle.calls if isinstance(node, Call) and node.path in JOBLIB_WRAPPERS]
        is_passed_on = any(id(plain(part)) in wrappers for part in _passed(pickle))
        return len(calls) != self.skipped or len(wrappers) != len(joblib) or is_passed_on


def _attributes(node: Node) -> Dict | None:
    """What describes an array: the state of a wrapper that was just created, if joblib could have written it.

    Other attributes could replace the methods of the wrapper, and other values mean something else to joblib.
    """
    is_wrapper = (
        isinstance(node, Call) and node.path in JOBLIB_WRAPPERS and node.op == "NEWOBJ" and len(node.steps) < MOST_STEPS
    )
    given = state(node) if is_wrapper and sum(step.op == "BUILD" for step in node.steps) == 1 else None
    if not isinstance(given, Dict) or len(given.steps) > MOST_STEPS:
        return None
    keys = [text(key) for key, _ in islice(pairs(given), MOST_STEPS)]
    if len({*keys}) != len(keys) or {*keys} - {ALIGNMENT} != ATTRIBUTES:
        return None
    alignment = lookup(given, ALIGNMENT)
    is_alignment = alignment is None or alignment.op == "NONE" or type(value(alignment)) is int
    is_order = text(lookup(given, "order")) in ("C", "F")
    is_array = is_order and isinstance(lookup(given, "subclass"), Global) and _is_bool(lookup(given, "allow_mmap"))
    return given if is_array and is_alignment else None


def _is_bool(node: Node | None) -> bool:
    return node is not None and isinstance(value(node), bool)


def _passed(pickle: Pickle) -> Iterator[Node]:
    """Everything in a pickle except the classes that NEWOBJ instantiates."""
    seen = set[int]()
    for root in [*([] if pickle.root is None else [pickle.root]), *pickle.calls]:
        for node in walk_unordered(root, seen):
            is_new = isinstance(node, Call) and node.op == "NEWOBJ"
            yield from children(node)[1:] if is_new else children(node)
