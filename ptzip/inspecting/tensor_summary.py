"""The tensors of a checkpoint as facts: names, dtypes, bytes, parameters, and what of the storages no tensor sees.

Rule: a tensor that stands under several names, and bytes that several tensors see, count once.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ptzip.errors import PtzipError
from ptzip.formats.container import Part
from ptzip.inspecting.key_sizes import Seen, Share

if TYPE_CHECKING:
    from ptzip.tensors.tensor import Tensor

NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
"""A number that is a part of a dotted name by itself, as those of layers are."""


class Row(NamedTuple):
    """One tensor; or, with `tensors` above 1, several whose names differ in numbers alone. `size` is in bytes, of all."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    layout: str
    tensors: int = 1


class Use(NamedTuple):
    """How many tensors have a dtype, and how many bytes their values take."""

    dtype: str
    tensors: int
    size: int


class Parameters(NamedTuple):
    """How many numbers a key holds: the parameters of modules, or all that a state dict has (`is_exact` False)."""

    key: str
    numel: int
    is_exact: bool


class Dead(NamedTuple):
    """Bytes of storages that no tensor sees, and in how many storages they are."""

    size: int
    storages: int


def rows(tensors: "Mapping[str, Tensor]", folded: bool) -> list[Row]:
    """One row for each name; `folded` joins those that are alike but for the numbers in their names."""
    found: dict[Row, list[int]] = {}
    for name, tensor in tensors.items():
        shown = NUMBER.sub("#", name) if folded else name
        found.setdefault(Row(shown, tensor.dtype, tensor.shape, 0, tensor.layout), []).append(tensor.nbytes)
    return [row._replace(size=sum(sizes), tensors=len(sizes)) for row, sizes in found.items()]


def uses(tensors: Iterable[Seen]) -> tuple[Use, ...]:
    """The dtypes, those that take most first."""
    found: dict[str, list[int]] = {}
    for tensor in tensors:
        if tensor.dtype:
            found.setdefault(tensor.dtype, []).append(tensor.size)
    return tuple(sorted((Use(dtype, len(sizes), sum(sizes)) for dtype, sizes in found.items()), key=lambda use: -use.size))


def parameters(tensors: Iterable[Seen], shares: Iterable[Share]) -> tuple[Parameters, ...]:
    """The numbers below each top-level key; all together where the keys are the tensors themselves, as in a state dict."""
    modules = {share.key: share.has_module for share in shares}
    leaves = {share.key for share in shares if not share.below}
    groups: dict[str, list[Seen]] = {}
    for tensor in tensors:
        groups.setdefault("" if tensor.key in leaves else tensor.key, []).append(tensor)
    return tuple(_counted(key, group, modules.get(key, False)) for key, group in groups.items())


def _counted(key: str, tensors: list[Seen], has_module: bool) -> Parameters:
    real = [tensor for tensor in tensors if tensor.is_parameter] if has_module else []
    return Parameters(key, sum(tensor.numel for tensor in real or tensors), bool(real))


def dead(tensors: Iterable[Seen]) -> Dead:
    """What no tensor sees of the storages that some tensor does."""
    spans: dict[tuple[str | int, int], list[tuple[int, int]]] = {}
    for tensor in tensors:
        if tensor.storage is not None:
            spans.setdefault((tensor.storage, tensor.stored), []).append((tensor.first, tensor.last))
    lost = [size - _covered(seen) for (_, size), seen in spans.items()]
    return Dead(sum(size for size in lost if size > 0), sum(size > 0 for size in lost))


def _covered(spans: list[tuple[int, int]]) -> int:
    total = end = 0
    for first, last in sorted(spans):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total


class Twins(NamedTuple):
    """How many storages have the length, the dtype and the CRC of one before them, and their bytes: what `slim --dedupe` would
    compare, and most likely write once."""

    storages: int
    size: int


def twins(part: Part) -> Twins:
    """Told by the checksums of a zip, so that nothing is read; none where the file has no checksums."""
    seen, found = set[tuple[str, str, int, int]](), list[int]()
    for storage in part.storages.values():
        try:
            crc = part.stored(storage.key).expected
        except PtzipError:
            continue
        if not crc or not storage.size:
            continue
        likeness = (storage.dtype.name, storage.ids[0].location, storage.size, crc)
        found += [storage.size] if likeness in seen else []
        seen.add(likeness)
    return Twins(len(found), sum(found))
