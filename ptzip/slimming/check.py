"""Third step of `slim` under `--check`: every tensor of the written file compared with the input.

The written file is opened like any other, and tensors are matched by name; of the edit only the removed and moved paths are
used. Tensors are read piece by piece.
"""

import threading
from collections import Counter
from collections.abc import Iterator, Mapping

from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Account
from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.io.buffers import Buffers
from ptzip.io.payloads import ByteCounter, Progress
from ptzip.io.workers import share
from ptzip.pickling.nodes import Node
from ptzip.slimming.report import Check
from ptzip.tensors.cast_error import CastError, CastPair
from ptzip.tensors.tensor import Tensor, check_overlaps
from ptzip.tree.children import node_paths
from ptzip.tree.paths import with_prefixes


def check(
    before: Checkpoint,
    after: Checkpoint,
    account: Account,
    saturate: bool = False,
    is_plain: bool = False,
    progress: Progress | None = None,
) -> Check:
    """Compare all tensors of two checkpoints. Raises FormatError for one that is neither its original nor a rounding of it.

    In a plain file, tensors may have new names (of numpy arrays) or none (of attributes of a module).
    """
    after.drop_tree()
    old, new = before.tensors(), after.tensors()
    pairs, seen, first_paths = list[tuple[str, CastPair]](), set[str](), dict[str, str]()
    for name, tensor in new.items():
        original = old_name(name, account.moved)
        if original not in old and is_plain:
            continue
        if original not in old:
            first_paths = first_paths or _first_paths(before.root)
            original = _first_name(original, first_paths)
        seen.add(original)
        pairs += ((name, CastPair(one, other, saturate)) for one, other in _pairs(name, old.get(original), tensor))
    check_overlaps(pair.new for _, pair in pairs)
    count = equal = unread = 0
    worst, overflowed, vanished = CastError(), Counter[str](), Counter[str]()
    for (name, pair), found in zip(pairs, _errors([pair for _, pair in pairs], progress), strict=True):
        if found is None:
            unread += 1
            continue
        if not found.is_rounded:
            raise FormatError(
                f"check failed: {name} in the written file is not the {pair.new.dtype} of its {pair.old.dtype} original"
            )
        count, equal, worst = count + 1, equal + found.is_equal, worst.joined(found)
        overflowed[name] += found.overflowed
        vanished[name] += found.vanished
    lost = [name for name in old if name not in seen and not _is_removed(name, account.removed_paths)]
    if lost and not is_plain:
        raise FormatError(f"check failed: {lost[0]} is missing from the written file, and was not to be removed")
    beyond, zero = ((+counted).most_common() for counted in (overflowed, vanished))
    return Check(count, equal, worst, len(lost), unread, tuple(beyond), tuple(zero), account.companions)


def _errors(pairs: list[CastPair], progress: Progress | None) -> list[CastError | None]:
    """The errors of some pairs, computed in several threads; None where a tensor cannot be read."""
    found, unread = [CastError() for _ in pairs], set[int]()
    lock, counter = threading.Lock(), ByteCounter(progress, sum(pair.new.nbytes for pair in pairs))

    def work(job: tuple[int, int, int], buffers: Buffers) -> None:
        index, first, stop = job
        try:
            error = pairs[index].error(first, stop, buffers)
        except (LimitError, UnsupportedError):
            unread.add(index)
            return
        with lock:
            found[index] = found[index].joined(error)
        counter.add((stop - first) * pairs[index].new.itemsize)

    def jobs() -> Iterator[tuple[int, int, int]]:
        for index, pair in enumerate(pairs):
            try:
                yield from ((index, *part) for part in pair.parts())
            except (LimitError, UnsupportedError):
                unread.add(index)

    share(work, jobs())
    return [None if index in unread else error for index, error in enumerate(found)]


def old_name(name: str, moved: Mapping[str, str]) -> str:
    """The name that a tensor of the output has in the input."""
    for above in with_prefixes(name):
        if above in moved:
            return moved[above] + name[len(above) :]
    return name


def _first_paths(root: Node) -> dict[str, str]:
    """Each path of a tree, and the first path of the node there."""
    found, first = dict[str, str](), dict[int, str]()
    for path, child in node_paths(root):
        found.setdefault(path, first.setdefault(id(child.value), path))
    return found


def _first_name(name: str, first_paths: Mapping[str, str]) -> str:
    """The name of a tensor by the first position of the object that holds it, the only one that tensors are named by: the edit
    may have removed that and kept another, as that of an optimizer which a scheduler refers to."""
    for above in with_prefixes(name):
        first = first_paths.get(above, above)
        if first != above:
            return first + name[len(above) :]
    return name


def _is_removed(name: str, removed: set[str]) -> bool:
    return any(above in removed for above in with_prefixes(name))


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
