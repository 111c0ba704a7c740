"""Rules about tensors: views, storages and the records that hold their data.

They compare what the pickle says with the lengths of the records. Of the data only the indices of sparse and nested tensors
are read.
"""

import itertools
import re
from collections.abc import Iterator

from ptzip.errors import FormatError, LimitError, PtzipError
from ptzip.formats.container import Part, nothing_stored
from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.nodes import PUTS, Atom, Call, Dict, Global, List, Node, Tuple, children, plain, text, walk_unordered
from ptzip.scanning.report import Hit
from ptzip.scanning.subjects import PickleStream
from ptzip.tensors.references import ARGUMENTS, MOST_DIMENSIONS, class_ref, storage_ref, tensor_ref
from ptzip.tensors.torch_names import INDEXED, NESTED_TENSOR, ON_STORAGE, SUBCLASSES
from ptzip.text import as_text

ODD_KEY = re.compile(r"\.\.|[\\]|^/|\x00")
MOST_ELEMENTS = 1 << 48


def _tensor_calls(stream: PickleStream) -> Iterator[Call]:
    return (call for path, call in stream.calls if path in ON_STORAGE)


def past_the_storage(stream: PickleStream) -> Iterator[Hit]:
    """The tensor is a view of memory past the end of its storage. Loaders check that; old versions did not."""
    for node in _tensor_calls(stream):
        try:
            found = tensor_ref(node)
        except PtzipError:
            continue
        if found is not None and found.span[1] > found.storage.numel:
            yield Hit(f"a tensor extends to element {found.span[1]:,} of a storage of {found.storage.numel:,}", node.offset)


def odd_shapes(stream: PickleStream) -> Iterator[Hit]:
    """A tensor has negative sizes or strides, or more elements than fit into memory."""
    seen = set[int]()  # arguments that several tensors share are checked once
    for node in _tensor_calls(stream):
        new = [argument for argument in node.arguments[1:4] if isinstance(argument, Atom) or id(argument) not in seen]
        seen.update(map(id, new))
        if any(isinstance(argument, Tuple) and len(argument.parts) > MOST_DIMENSIONS for argument in map(plain, new)):
            yield Hit(f"a tensor has more than {MOST_DIMENSIONS} dimensions", node.offset)
            continue
        numbers = [_numbers(argument) for argument in new]
        if any(number < 0 for found in numbers for number in found):
            yield Hit("a tensor has a negative offset, size or stride", node.offset)
        elif any(_product(found) > MOST_ELEMENTS for found in numbers[:2]):
            yield Hit("a tensor has more elements than fit into any memory", node.offset)


def _product(numbers: list[int]) -> int:
    """The product of some sizes; not exact beyond `MOST_ELEMENTS`."""
    product = 1
    for number in numbers:
        product *= number
        if product > MOST_ELEMENTS or not product:
            break
    return product


def _numbers(node: Node) -> list[int]:
    found = plain(node)
    parts = map(plain, found.parts) if isinstance(found, Tuple) else (found,)
    return [value for part in parts if isinstance(part, Atom) and isinstance(value := part.value, int)]


def other_records(stream: PickleStream) -> Iterator[Hit]:
    """The record of a storage is missing, or its length differs from what the pickle says."""
    if stream.part is None:
        return
    try:
        known = stream.part.storages
    except PtzipError as error:
        yield Hit(str(error))
        return
    for storage in known.values():
        try:
            length = stream.part.stored(storage.key).length
        except PtzipError as error:
            yield Hit(error.message, storage.references[0].node.offset)
            continue
        if length != storage.size:
            where = storage.references[0].node.offset
            yield Hit(f"storage {storage.key} has {length:,} bytes, but the pickle says {storage.size:,}", where)


def odd_ids(stream: PickleStream) -> Iterator[Hit]:
    """torch stores tensors under ids of a fixed form. This id has another form, or a key that leads out of the archive."""
    for node in stream.pickle.persistents:
        try:
            found = storage_ref(node)
        except PtzipError as error:
            yield Hit(error.message, node.offset)
            continue
        if found is not None and ODD_KEY.search(found.key):
            yield Hit(f"the storage key {found.key!r} leads out of the archive", node.offset)
        elif found is None and class_ref(node) is None:
            ident = plain(node.id)
            if isinstance(ident, Atom):
                is_usual = stream.part is None or as_text(ident.value) in stream.part.tensors  # of a tar
            else:  # a function of torch.package
                is_usual = isinstance(ident, Tuple) and text(next(map(plain, ident.parts), None)) == "reduce_package"
            if not is_usual:
                yield Hit("a persistent id does not refer to a storage", node.offset)


def computed_ids(stream: PickleStream) -> Iterator[Hit]:
    """The id of a storage is plain data; this one is the result of a call."""
    seen = set[int]()  # nodes that several ids share are checked once
    for node in stream.pickle.persistents:
        if any(isinstance(below, Call) for part in node.parts for below in walk_unordered(part, seen)):
            yield Hit("a persistent id is computed during loading", node.offset)


def filled_tensors(stream: PickleStream) -> Iterator[Hit]:
    """Unpickling sets items of a tensor, which writes to its memory; old torch wrote out of bounds (CVE-2026-24747)."""
    for node in _tensor_calls(stream):
        for step in node.steps:
            if step.op in ("SETITEM", "SETITEMS", "APPEND", "APPENDS", "ADDITEMS"):
                yield Hit(f"unpickling applies {step.op} to a tensor, which writes to its memory", node.offset)


MOST_NODES = 1 << 20
"""Checks of indices look at that many nodes below the calls that rebuild the tensors; long texts count as several."""


def wild_indices(stream: PickleStream) -> Iterator[Hit]:
    """A sparse, nested or quantized tensor has indices, offsets or lengths that lead out of its own tensors. torch does not
    check them by default (`torch.sparse.check_sparse_tensor_invariants`), so that its first use reads or writes other memory.
    """
    calls = [call for path, call in stream.calls if path in INDEXED or (path in SUBCLASSES and _is_indexed(call))]
    if not calls:
        return
    from ptzip.tensors.index_checks import IndexChecks  # few files have such tensors, and numpy takes 60 ms to load
    from ptzip.tensors.tensor import Tensor  # as above
    from ptzip.values.builder import Builder  # as above

    part = stream.part or Part(stream.location, stream.pickle, nothing_stored, source=stream.source)
    checks, builder, left = IndexChecks(), Builder(part, True, DEFAULT_LIMITS), MOST_NODES
    for call in calls:
        below = list(itertools.islice(walk_unordered(call), left))
        left -= len(below) + sum(len(node.arg) >> 6 for node in below if isinstance(node.arg, bytes | bytearray | str))
        if left <= 0:
            raise LimitError("too many tensors with indices")
        tensor = builder.build(call)
        if not isinstance(tensor, Tensor) or any(_is_changed(node, call.offset) for node in _arguments(call)):
            yield Hit("a tensor is computed while loading, so that its indices cannot be checked", call.offset)
            continue
        try:
            checks.check(tensor)
        except FormatError as error:
            yield Hit(error.message, call.offset)


def _is_indexed(call: Call) -> bool:
    """Whether a tensor with attributes has indices: by its function, or by its class and the attributes."""
    names = [found.path for part in call.arguments[:ARGUMENTS] if isinstance(found := plain(part), Global)]
    return not INDEXED.isdisjoint(names) or NESTED_TENSOR in names


def _arguments(call: Call) -> Iterator[Node]:
    """All nodes below the arguments of the function that rebuilds a tensor, without the attributes that tensors get later."""
    seen, pending = {id(call)}, list(_given(call))
    while pending:
        node = pending.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            pending += _given(node) if isinstance(node, Call) else children(node)


def _given(call: Call) -> list[Node]:
    return call.arguments[ARGUMENTS : ARGUMENTS + 1] if call.path in SUBCLASSES else call.parts


def _is_changed(node: Node, before: int) -> bool:
    """Whether something is changed after it was created, so maybe after the call at byte `before`. A dict is filled once, a
    list of numbers, which pickle fills in batches, by new ones."""
    steps = [step for step in node.steps if step.op not in PUTS]
    if isinstance(node, List):
        return any(not isinstance(item, Atom) or item.steps or item.offset > before for step in steps for item in step.items)
    return len(steps) > isinstance(node, Dict)
