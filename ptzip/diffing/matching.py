"""Matches the tensors of A with those of B: by name, and the remaining ones by length and CRC of their bytes.

A name that `renames` changes takes precedence over the same name unchanged. No tensor is read.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ptzip.diffing.box_pairs import recorded_crc
from ptzip.diffing.report import Moved
from ptzip.diffing.tensors import form
from ptzip.errors import PtzipError
from ptzip.globs import Rename, renamed
from ptzip.tensors.tensor import Tensor

Tensors = Mapping[str, Tensor]


class Matches(NamedTuple):
    """`pairs` are names in A and in B; `moved` were matched by their CRCs, `lone_a` and `lone_b` have no counterpart."""

    pairs: tuple[tuple[str, str], ...]
    moved: tuple[Moved, ...]
    lone_a: tuple[str, ...]
    lone_b: tuple[str, ...]


def match(a: Tensors, b: Tensors, renames: Sequence[Rename]) -> Matches:
    """Pair the tensors of two files."""
    targets = {name: renamed(name, renames) for name in a}
    sources: dict[str, str] = {}
    for name, target in sorted(targets.items(), key=lambda pair: pair[0] == pair[1]):
        if target in b:
            sources.setdefault(target, name)
    pairs = tuple((name, target) for name, target in targets.items() if sources.get(target) == name)
    taken = {name for name, _ in pairs}
    rest_a, rest_b = [name for name in a if name not in taken], [name for name in b if name not in sources]
    moved = tuple(_moved(a, rest_a, b, rest_b))
    moved_from, moved_to = {each.old_name for each in moved}, {each.name for each in moved}
    return Matches(
        pairs,
        moved,
        tuple(name for name in rest_a if name not in moved_from),
        tuple(name for name in rest_b if name not in moved_to),
    )


def _moved(a: Tensors, rest_a: list[str], b: Tensors, rest_b: list[str]) -> Iterator[Moved]:
    """Tensors with the same fingerprint in both files, paired in order as long as both have one."""
    candidates = defaultdict[Hashable, list[str]](list)
    for name in reversed(rest_b):
        if (fingerprint := _fingerprint(b[name])) is not None:
            candidates[fingerprint].append(name)
    for name in rest_a if candidates else ():
        fingerprint = _fingerprint(a[name])
        if fingerprint is not None and candidates.get(fingerprint):
            yield Moved(name, candidates[fingerprint].pop(), form(a[name]))


def _fingerprint(tensor: Tensor) -> Hashable | None:
    """The view that a tensor is, and the length and CRC of its storage; None where the file records no CRC."""
    storage = tensor.storage
    if storage is None or not storage.size or storage.base is not None:
        return None
    try:
        crc = recorded_crc(storage)
    except PtzipError:
        return None
    return (tensor.dtype, tensor.shape, tensor.stride, tensor.offset, storage.size, crc) if crc else None
