"""What is no tensor of a checkpoint, as JSON beside the output: arguments, epochs, names of classes.

Rule: it is for reading, so what JSON lacks is spelled as text; tensors are left out of dicts and null in lists, and a dict or
an object of which nothing is left goes too.
"""

import itertools
import json
from collections import deque
from collections.abc import Iterable
from pathlib import Path

from ptzip.checkpoint import Checkpoint
from ptzip.converting.output_file import File
from ptzip.errors import LimitError
from ptzip.io.atomic_output import SequentialFile
from ptzip.io.payloads import BytesPayload
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from ptzip.values.contents import SIMPLE
from ptzip.values.json_values import plain
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import Array
from ptzip.values.tensor_names import metadata_of
from ptzip.values.value_paths import key_text

SUFFIX = ".json"

DEEPEST, MOST_VALUES = 100, 1_000_000
"""What is nested deeper is cut off; a file of more values has no sidecar."""

NOTHING = object()
"""What stands for a value of which nothing is left."""

CLASS = "class"
"""The key of the name of an object's class."""


def side_file(checkpoint: Checkpoint, output: Path) -> File:
    """The file beside `output` with everything that is no tensor. Raises LimitError where that is too much."""
    alone = metadata_of(checkpoint.container) or {}
    value = build(checkpoint.main, unknown="keep", limits=checkpoint.limits) if checkpoint.parts else alone
    told = _Telling().of(value, 0)
    text = json.dumps(None if told is NOTHING else told, indent=2, ensure_ascii=True)
    return File(output.with_suffix(SUFFIX), SequentialFile((BytesPayload(f"{text}\n".encode()),)))


class _Telling:
    """One walk over a value; an object that contains itself ends where it is met again."""

    def __init__(self) -> None:
        self.way = set[int]()
        self.count = 0

    def of(self, value: object, depth: int) -> object:
        """The value as JSON has it, or NOTHING."""
        self.count += 1
        if self.count > MOST_VALUES:
            raise LimitError(f"there are more than {MOST_VALUES:,} values beside the tensors, which is too much for a sidecar")
        if isinstance(value, Tensor | Storage):
            return NOTHING
        if id(value) in self.way or depth > DEEPEST:
            return "..."
        self.way.add(id(value))
        try:
            return self._inside(value, depth + 1)
        finally:
            self.way.discard(id(value))

    def _inside(self, value: object, depth: int) -> object:
        if isinstance(value, dict):
            return self._pairs(value.items(), depth)
        if isinstance(value, list | tuple | set | frozenset | deque):
            return self._listed(value, depth)
        if isinstance(value, SIMPLE):
            return self._pairs(value.__dict__.items(), depth)
        if isinstance(value, Opaque):
            return self._object(value, depth)
        return _array(value) if isinstance(value, Array) else plain(value)

    def _pairs(self, pairs: Iterable[tuple[object, object]], depth: int) -> object:
        items = list(pairs)
        told = dict[str, object]()
        for place, (key, value) in enumerate(items):
            told[_free(told, _key(key, place))] = self.of(value, depth)
        left = {name: value for name, value in told.items() if value is not NOTHING}
        return left if left or not items else NOTHING

    def _listed(self, items: Iterable[object], depth: int) -> object:
        told = [self.of(item, depth) for item in items]
        is_gone = bool(told) and all(item is NOTHING for item in told)
        return NOTHING if is_gone else [None if item is NOTHING else item for item in told]

    def _object(self, value: Opaque, depth: int) -> object:
        if value.is_name:
            return value.path
        inside = [(key, item) for key, item in value.attributes.items() if not _is_idle(key, item)]
        given = [("args", value.args), ("kwargs", value.kwargs), ("items", value.items)]
        more = [(name, item) for name, item in given if item]
        state = [("state", value.state)] if value.state is not None and not value.attributes else []
        told = self._pairs([*more, *state, *inside, *value.pairs], depth)
        return {CLASS: value.path, **told} if isinstance(told, dict) else NOTHING


def _is_idle(key: object, value: object) -> bool:
    """Whether an attribute is one of the many of a module that hold nothing."""
    return str(key).startswith("_") and (value is None or value == {} or value == set())


def _key(key: object, place: int) -> str:
    return key_text(key) or str(place)


def _free(taken: dict[str, object], key: str) -> str:
    """A key that is not taken: 0 and "0" are two keys in Python, and one in JSON."""
    numbered = (f"{key} ({number})" for number in itertools.count(2))
    return key if key not in taken else next(name for name in numbered if name not in taken)


LARGEST = 1000
"""An array of more numbers is told by its dtype and shape."""


def _array(value: Array) -> object:
    from ptzip.values.numpy_objects import made  # here, since few files hold arrays of numpy

    found = made(value)
    if found.dtype.kind in "biuf" and found.size <= LARGEST:
        return plain(found.tolist())
    return f"{found.dtype} {list(found.shape)}"
