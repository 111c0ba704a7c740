"""The tensors of a checkpoint in numbers: names, dtypes, bytes, parameters, and the bytes of storages that no tensor uses.

A tensor with several names, and bytes that several tensors use, count once.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from ptzip.errors import PtzipError
from ptzip.formats.container import Part
from ptzip.inspecting.key_sizes import KeySize, TensorFacts

if TYPE_CHECKING:
    from ptzip.tensors.tensor import Tensor

NUMBER = re.compile(r"(?<![^.])\d+(?![^.])")
"""A number that is a whole part of a dotted name, as those of layers are."""


class TensorRow(NamedTuple):
    """One tensor, or several whose names differ only in numbers; `size` is in bytes, of all of them."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    size: int
    layout: str
    tensors: int = 1


class DtypeCount(NamedTuple):
    """How many tensors have a dtype, and the bytes of their values."""

    dtype: str
    tensors: int
    size: int


class ParameterCount(NamedTuple):
    """How many numbers a key has: the parameters of modules, or with `is_exact` False all tensors of a state dict."""

    key: str
    numel: int
    is_exact: bool


class DeadBytes(NamedTuple):
    """Bytes of storages that no tensor uses, and the number of those storages."""

    size: int
    storages: int


class Duplicates(NamedTuple):
    """How many storages have the length, dtype and CRC of an earlier one, and their bytes: `slim --dedupe` would compare
    these, and most likely write them once."""

    storages: int
    size: int


def tensor_rows(tensors: "Mapping[str, Tensor]", folded: bool) -> list[TensorRow]:
    """One row for each name; `folded` joins those that differ only in the numbers of their names, and are at least two. Rows of
    one folded name follow one another."""
    found: dict[str, dict[TensorRow, list[str]]] = {}
    for name, tensor in tensors.items():
        shown = NUMBER.sub("#", name) if folded else name
        row = TensorRow(shown, tensor.dtype, tensor.shape, 0, tensor.layout)
        found.setdefault(shown, {}).setdefault(row, []).append(name)
    return [_joined(row, names, tensors) for rows in found.values() for row, names in rows.items()]


def _joined(row: TensorRow, names: list[str], tensors: "Mapping[str, Tensor]") -> TensorRow:
    size = sum(tensors[name].nbytes for name in names)
    return row._replace(name=row.name if len(names) > 1 else names[0], size=size, tensors=len(names))


def dtype_counts(tensors: Iterable[TensorFacts]) -> tuple[DtypeCount, ...]:
    """The dtypes, the one with most bytes first."""
    found: dict[str, list[int]] = {}
    for tensor in tensors:
        if tensor.dtype:
            found.setdefault(tensor.dtype, []).append(tensor.size)
    return tuple(
        sorted((DtypeCount(dtype, len(sizes), sum(sizes)) for dtype, sizes in found.items()), key=lambda one: -one.size)
    )


def parameter_counts(tensors: Iterable[TensorFacts], keys: Iterable[KeySize]) -> tuple[ParameterCount, ...]:
    """The numbers below each top-level key; under "" those of all keys that are tensors themselves, as in a state dict."""
    has_module = {key.key: key.has_module for key in keys}
    leaves = {key.key for key in keys if not key.below}
    groups: dict[str, list[TensorFacts]] = {}
    for tensor in tensors:
        groups.setdefault("" if tensor.key in leaves else tensor.key, []).append(tensor)
    found = list[ParameterCount]()
    for key, group in groups.items():
        real = [tensor for tensor in group if tensor.is_parameter] if has_module.get(key) else []
        found.append(ParameterCount(key, sum(tensor.numel for tensor in real or group), bool(real)))
    return tuple(found)


def dead_bytes(tensors: Iterable[TensorFacts]) -> DeadBytes:
    """The bytes that no tensor uses, of the storages that some tensor does."""
    spans: dict[tuple[str | int, int], list[tuple[int, int]]] = {}
    for tensor in tensors:
        if tensor.storage is not None:
            spans.setdefault((tensor.storage, tensor.stored), []).append((tensor.first, tensor.last))
    unused = [size - _covered(used) for (_, size), used in spans.items()]
    return DeadBytes(sum(size for size in unused if size > 0), sum(size > 0 for size in unused))


def _covered(spans: list[tuple[int, int]]) -> int:
    total = end = 0
    for first, last in sorted(spans):
        total += max(0, last - max(first, end))
        end = max(end, last)
    return total


def duplicates(part: Part) -> Duplicates:
    """The storages that are likely duplicates by their CRCs, so that nothing is read; none where the file has no CRCs."""
    seen, found = set[tuple[str, str, int, int]](), list[int]()
    for storage in part.storages.values():
        try:
            crc = part.stored(storage.key).expected
        except PtzipError:
            continue
        if not crc or not storage.size:
            continue
        identity = (storage.dtype.name, storage.references[0].location, storage.size, crc)
        found += [storage.size] if identity in seen else []
        seen.add(identity)
    return Duplicates(len(found), sum(found))
