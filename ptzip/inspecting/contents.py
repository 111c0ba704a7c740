"""Everything that a page shows of an open checkpoint: tensors, the bytes that each uses, statistics, tree and file map."""

import contextlib
from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import LimitError, PtzipError
from ptzip.inspecting.tensor_uses import TensorUses, tensor_uses
from ptzip.inspecting.tree_rows import TreeRow, tree_rows
from ptzip.inspecting.view import readable_tensors
from ptzip.mapping.parts import FilePart, file_parts
from ptzip.tensors.statistics import Statistics, statistics
from ptzip.tensors.tensor import Tensor, check_values

MOST_ROWS, MOST_PARTS = 30_000, 50_000
"""The first so many rows of a tree, and parts of the file, are shown."""


class Contents(NamedTuple):
    """The contents of a file. `statistics` are by name, of the tensors that could be read, and empty unless wanted."""

    uses: TensorUses
    statistics: Mapping[str, Statistics]
    tree: tuple[TreeRow, ...]
    parts: tuple[FilePart, ...]
    metadata: Mapping[str, str]


def contents(checkpoint: Checkpoint, with_statistics: bool) -> Contents:
    """The contents; what is broken is left out. With statistics every tensor is read."""
    tensors = readable_tensors(checkpoint)
    found = _statistics(tensors) if with_statistics else {}
    parts = tuple(islice(file_parts(checkpoint.source, checkpoint.limits), MOST_PARTS))
    return Contents(tensor_uses(tensors), found, _tree(checkpoint, tensors), parts, checkpoint.metadata)


def _statistics(tensors: Mapping[str, Tensor]) -> dict[str, Statistics]:
    """The statistics of every tensor; one with several names is read once."""
    known: dict[int, Statistics] = {}
    try:
        check_values(tensors.values())
    except LimitError:
        return {}
    for tensor in tensors.values():
        try:
            known[id(tensor)] = known.get(id(tensor)) or statistics(tensor)
        except PtzipError:
            continue
    return {name: known[id(tensor)] for name, tensor in tensors.items() if id(tensor) in known}


def _tree(checkpoint: Checkpoint, tensors: Mapping[str, Tensor]) -> tuple[TreeRow, ...]:
    """The rows of the tree, up to where it breaks off."""
    found = list[TreeRow]()
    with contextlib.suppress(PtzipError):
        found.extend(islice(tree_rows(checkpoint.root, tensors, everything=True, most=checkpoint.limits.paths), MOST_ROWS))
    return tuple(found)
