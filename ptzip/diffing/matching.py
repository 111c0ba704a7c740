"""Which tensor of A is which of B: by name, and of those that are left over by their bytes' length and checksum.

Rule: a name that `renames` changes comes before one that they do not; nothing is read.
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
    """`pairs` are names in A and in B; `moved` were paired by their checksums, the others have no counterpart."""

    pairs: tuple[tuple[str, str], ...]
    moved: tuple[Moved, ...]
    lone_a: tuple[str, ...]
    lone_b: tuple[str, ...]


def match(a: Tensors, b: Tensors, renames: Sequence[Rename]) -> Matches:
    """Pair the tensors of two files."""
    targets = {name: renamed(name, renames) for name in a}
    sought: dict[str, str] = {}
    for name, target in sorted(targets.items(), key=lambda pair: pair[0] == pair[1]):
        if target in b:
            sought.setdefault(target, name)
    pairs = tuple((name, target) for name, target in targets.items() if sought.get(target) == name)
    taken = {name for name, _ in pairs}
    left_a, left_b = [name for name in a if name not in taken], [name for name in b if name not in sought]
    moved = tuple(_moved(a, left_a, b, left_b))
    gone, come = {each.old_name for each in moved}, {each.name for each in moved}
    return Matches(
        pairs,
        moved,
        tuple(name for name in left_a if name not in gone),
        tuple(name for name in left_b if name not in come),
    )


def _moved(a: Tensors, left_a: list[str], b: Tensors, left_b: list[str]) -> Iterator[Moved]:
    """Those whose likes are in both files, in order; as many as there are in the file that has fewer."""
    waiting = defaultdict[Hashable, list[str]](list)
    for name in reversed(left_b):
        likeness = _likeness(b[name])
        if likeness is not None:
            waiting[likeness].append(name)
    for name in left_a:
        likeness = _likeness(a[name]) if waiting else None
        if likeness is not None and waiting.get(likeness):
            yield Moved(name, waiting[likeness].pop(), form(a[name]))


def _likeness(tensor: Tensor) -> Hashable | None:
    """What a tensor is and the length and checksum of its storage; None where the file tells no checksum."""
    held = tensor.storage
    if held is None or not held.size or held.base is not None:
        return None
    try:
        crc = recorded_crc(held)
    except PtzipError:
        return None
    return (tensor.dtype, tensor.shape, tensor.stride, tensor.offset, held.size, crc) if crc else None
