"""The JSON sidecar of a conversion: the non-tensor values of a checkpoint, such as arguments, epochs and class names.

It is meant to be read, so values that JSON lacks become text. Tensors are dropped from dicts and null in lists; a dict or an
object of which nothing remains is dropped too.
"""

import json
from collections import Counter, deque
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from ptzip.checkpoint import Checkpoint
from ptzip.converting.selection import Files
from ptzip.errors import LimitError
from ptzip.io.payloads import BytesPayload, SequentialFile
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from ptzip.text import as_json
from ptzip.values.builder import build
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import NumpyArray
from ptzip.values.tensor_names import metadata_of
from ptzip.values.value_children import SIMPLE, value_key_text

T = TypeVar("T")

SUFFIX = ".json"

MAX_DEPTH, MAX_VALUES, MAX_CHARACTERS = 100, 1_000_000, 1 << 26
"""Deeper values are cut off; a checkpoint with more values, or with more text in them, gets no sidecar."""

MAX_ELEMENTS = 1000
"""A larger array is summarized by its dtype and shape."""

EMPTY = object()
"""The result for a value of which nothing remains."""

CLASS = "class"
"""The JSON key of an object's class name."""


def sidecar_file(checkpoint: Checkpoint, output: Path) -> Files:
    """The sidecar of `output`. Raises LimitError if there are too many values."""
    metadata = metadata_of(checkpoint.container) or {}
    value = build(checkpoint.main, unknown="keep", limits=checkpoint.limits) if checkpoint.parts else metadata
    encoded = _Encoder().encode(value, 0)
    text = json.dumps(None if encoded is EMPTY else encoded, indent=2, ensure_ascii=True)
    return {output.with_suffix(SUFFIX): SequentialFile((BytesPayload(f"{text}\n".encode()),))}


class _Encoder:
    """One walk over a value; an object that contains itself ends where it recurs, a shared one is written wherever it is."""

    def __init__(self) -> None:
        self.ancestors = set[int]()
        self.count = self.characters = 0

    def encode(self, value: object, depth: int) -> object:
        """The value as JSON represents it, or EMPTY."""
        self.count += 1
        if self.count > MAX_VALUES:
            raise LimitError(f"there are more than {MAX_VALUES:,} non-tensor values, too many for a sidecar")
        if isinstance(value, Tensor | Storage):
            return EMPTY
        if id(value) in self.ancestors or depth > MAX_DEPTH:
            return "..."
        self.ancestors.add(id(value))
        try:
            return self._contents(value, depth + 1)
        finally:
            self.ancestors.discard(id(value))

    def _contents(self, value: object, depth: int) -> object:
        if isinstance(value, dict):
            return self._pairs(value.items(), depth)
        if isinstance(value, list | tuple | set | frozenset | deque):
            items = [self.encode(item, depth) for item in value]
            if isinstance(value, set | frozenset):
                items.sort(key=_set_order)
            is_empty = bool(items) and all(item is EMPTY for item in items)
            return EMPTY if is_empty else [None if item is EMPTY else item for item in items]
        if isinstance(value, SIMPLE):
            return self._pairs(value.__dict__.items(), depth)
        if isinstance(value, Opaque):
            return self._object(value, depth)
        return _array(value) if isinstance(value, NumpyArray) else self._counted(as_json(value))

    def _counted(self, value: T) -> T:
        """The same value; raises LimitError where it is one text too many."""
        self.characters += len(value) if isinstance(value, str) else 0
        if self.characters > MAX_CHARACTERS:
            raise LimitError(f"the non-tensor values have more than {MAX_CHARACTERS:,} characters, too many for a sidecar")
        return value

    def _pairs(self, pairs: Iterable[tuple[object, object]], depth: int) -> object:
        encoded, numbers = dict[str, object](), Counter[str]()
        for index, (key, value) in enumerate(pairs):
            name = self._counted(value_key_text(key) or str(index))
            encoded[_unique(name, encoded, numbers)] = self.encode(value, depth)
        remaining = {name: value for name, value in encoded.items() if value is not EMPTY}
        return remaining if remaining or not encoded else EMPTY

    def _object(self, value: Opaque, depth: int) -> object:
        if value.is_name:
            return value.path
        attributes = [(key, item) for key, item in value.attributes.items() if not _is_unused(key, item)]
        arguments = [("args", value.args), ("kwargs", value.kwargs), ("items", value.items)]
        given = [(name, item) for name, item in arguments if item]
        state = [("state", value.state)] if value.state is not None and not value.attributes else []
        encoded = self._pairs([*given, *state, *attributes, *value.pairs], depth)
        return {CLASS: value.path, **encoded} if isinstance(encoded, dict) else EMPTY


def _set_order(item: object) -> str:
    """The order in which the items of a set are written, since that of Python differs from run to run."""
    return "" if item is EMPTY else json.dumps(item)


def _is_unused(key: object, value: object) -> bool:
    """Whether this is one of a module's many private attributes without a value."""
    return str(key).startswith("_") and (value is None or value == {} or value == set())


def _unique(key: str, taken: dict[str, object], numbers: Counter[str]) -> str:
    """A key that is not taken yet: 0 and "0" are two keys in Python, but one in JSON. `numbers` are those given so far."""
    name = key
    while name in taken:
        numbers[key] += 1
        name = f"{key} ({numbers[key] + 1})"
    return name


def _array(value: NumpyArray) -> object:
    from ptzip.values.numpy_objects import to_array  # numpy is imported only if the file holds numpy arrays

    found = to_array(value)
    if found.dtype.kind in "biuf" and found.size <= MAX_ELEMENTS:
        return as_json(found.tolist())
    return f"{found.dtype} {list(found.shape)}"
