"""Third step of `slim` under `--check`: every tensor of the written file compared with the input.

The written file is opened like any other, and tensors are matched by name; of the edit only the removed and moved paths are
used. Tensors are read piece by piece.
"""

from collections import Counter
from collections.abc import Iterator, Mapping

from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Account
from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.pickling.nodes import Node
from ptzip.slimming.report import Check
from ptzip.tensors.cast_error import CastError, cast_error
from ptzip.tensors.tensor import Tensor
from ptzip.tree.children import node_at, node_paths


def check(before: Checkpoint, after: Checkpoint, account: Account, saturate: bool = False, is_plain: bool = False) -> Check:
    """Compare all tensors of two checkpoints. Raises FormatError for one that is neither its original nor a rounding of it.

    In a plain file, tensors may have new names (of numpy arrays) or none (of attributes of a module).
    """
    old, new = before.tensors(), after.tensors()
    count = equal = unread = 0
    first_paths = dict[int, str]()
    worst, seen, overflowed, vanished = CastError(), set[str](), Counter[str](), Counter[str]()
    for name, tensor in new.items():
        original = old_name(name, account.moved)
        if original not in old and is_plain:
            continue
        if original not in old:
            first_paths = first_paths or _first_paths(before.root)
            original = _first_name(before.root, original, first_paths)
        seen.add(original)
        for one, other in _pairs(name, old.get(original), tensor):
            try:
                found = cast_error(one, other, saturate)
            except (LimitError, UnsupportedError):
                unread += 1
                continue
            if not found.is_rounded:
                raise FormatError(
                    f"check failed: {name} in the written file is not the {other.dtype} of its {one.dtype} original"
                )
            count, equal, worst = count + 1, equal + found.is_equal, worst.joined(found)
            overflowed[name] += found.overflowed
            vanished[name] += found.vanished
    lost = [name for name in old if name not in seen and not _is_removed(name, account.removed_paths)]
    if lost and not is_plain:
        raise FormatError(f"check failed: {lost[0]} is missing from the written file, and was not to be removed")
    beyond, zero = ((+counted).most_common() for counted in (overflowed, vanished))
    return Check(count, equal, worst, len(lost), unread, tuple(beyond), tuple(zero), account.companions)


def old_name(name: str, moved: Mapping[str, str]) -> str:
    """The name that a tensor of the output has in the input."""
    for above in _self_and_above(name):
        if above in moved:
            return moved[above] + name[len(above) :]
    return name


def _first_paths(root: Node) -> dict[int, str]:
    """The first path of every node of a tree, by its identity."""
    found = dict[int, str]()
    for path, child in node_paths(root):
        found.setdefault(id(child.value), path)
    return found


def _first_name(root: Node, name: str, first_paths: Mapping[int, str]) -> str:
    """The name of a tensor by the first position of the object that holds it, the only one that tensors are named by: the edit
    may have removed that and kept another, as that of an optimizer which a scheduler refers to."""
    for above in _self_and_above(name):
        child = node_at(root, above)
        first = first_paths.get(id(child.value), above) if child is not None else above
        if first != above:
            return first + name[len(above) :]
    return name


def _is_removed(name: str, removed: set[str]) -> bool:
    return any(above in removed for above in _self_and_above(name))


def _self_and_above(name: str) -> Iterator[str]:
    while name:
        yield name
        name = name.rpartition(".")[0]


def _pairs(name: str, old: Tensor | None, new: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The tensors with a storage, each with its original: the tensor itself, or its components."""
    if old is None:
        raise FormatError(f"check failed: {name} is in the written file, and not in the input")
    if (old.shape, old.layout, old.components.keys()) != (new.shape, new.layout, new.components.keys()):
        raise FormatError(f"check failed: {name} has shape {list(new.shape)} in the written file, and had {list(old.shape)}")
    if new.storage is not None:
        yield old, new
    for part, inner in new.components.items():
        yield from _pairs(f"{name}.{part}", old.components[part], inner)
