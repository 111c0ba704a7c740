"""Details of a slim report that are computed only where somebody reads them: the fate of each top-level key, and the tensors by
name that each cast was made for."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Change
from ptzip.editing.edit import Cut, Finished
from ptzip.formats.container import Part
from ptzip.pickling.nodes import Atom, Node, Persistent, walk_unordered
from ptzip.recipes.apply import edited_part
from ptzip.slimming.report import CastTensor, Key
from ptzip.tensors.cast import Cast, Stretch
from ptzip.tensors.references import storage_ref
from ptzip.tensors.strides import element_range
from ptzip.tree.children import keyed_children
from ptzip.tree.paths import with_prefixes


def keys(checkpoint: Checkpoint, changes: tuple[Change, ...]) -> tuple[Key, ...]:
    """Each top-level key of the input with its size there and what is done to it, or one row without a name where
    the object itself changes."""
    sizes = list(_sizes(edited_part(checkpoint.container)))
    fates = _Fates(changes)
    if any(not change.path for change in changes):
        return (Key("", fates.of(""), sum(size for _, size in sizes)),)
    return tuple(Key(name, fates.of(name), size) for name, size in sizes)


class _Fates:
    """What is done to each key: the changes at its path, and their number below it."""

    def __init__(self, changes: tuple[Change, ...]) -> None:
        self.whole: dict[str, list[str]] = {}
        self.inner: Counter[str] = Counter()
        for change in changes:
            self.whole.setdefault(change.path, []).append(change.what)
            self.inner.update(above for above in (*with_prefixes(change.path), "") if above != change.path)

    def of(self, name: str) -> str:
        """All changes of a key, those of the whole value first."""
        inner = self.inner[name]
        return "; ".join([*self.whole.get(name, ()), *([f"{inner} changes inside"] if inner else [])]) or "kept"


def _sizes(part: Part) -> Iterator[tuple[str, int]]:
    """The bytes of storages and texts below each key; what several keys share counts for the first of them."""
    seen, counted = set[int](), set[str]()
    for child in keyed_children(part.root):
        used, texts = _below(child.value, seen)
        yield child.part or "", texts + sum(part.storages[key].size for key in used - counted)
        counted |= used


def _below(value: Node, seen: set[int]) -> tuple[set[str], int]:
    """The keys of the storages, and the bytes of the texts, below a node and not in `seen`."""
    used, texts = set[str](), 0
    for node in walk_unordered(value, seen):
        reference = storage_ref(node) if isinstance(node, Persistent) else None
        if reference is not None:
            used.add(reference.key)
        elif isinstance(node, Atom) and isinstance(node.arg, str | bytes):
            texts += len(node.arg)
    return used, texts


class TensorNames:
    """The names of the tensors of an input, by the stretches of storages that they use once those were trimmed."""

    def __init__(self, checkpoint: Checkpoint, cuts: Mapping[str, list[Cut]]) -> None:
        self.by_stretch: dict[Stretch, list[str]] = {}
        self.by_storage: dict[str, list[str]] = {}
        """The names of those that are not empty."""
        self.ends: dict[str, int] = {}
        """The end of the last stretch of each storage."""
        for name, tensor in checkpoint.tensors().items():
            if tensor.storage is not None and tensor.layout == "strided":
                key = tensor.storage.key
                span = _after(element_range(tensor.offset, tensor.shape, tensor.stride), cuts.get(key, ()))
                self.by_stretch.setdefault(Stretch(key, *span), []).append(name)
                self.ends[key] = max(span[1], self.ends.get(key, 0))
                if span[0] != span[1]:
                    self.by_storage.setdefault(key, []).append(name)

    def of(self, stretch: Stretch) -> tuple[str, ...]:
        """The tensors that use a stretch, of a whole storage all of its; the storage, where there are none with a name."""
        is_whole = stretch.first == 0 < stretch.stop and stretch.stop >= self.ends.get(stretch.key, 0)
        found = self.by_storage.get(stretch.key) if is_whole else self.by_stretch.get(stretch)
        return tuple(found or ()) or (f"storage {stretch.key}",)


def _after(span: tuple[int, int], cuts: Sequence[Cut]) -> tuple[int, int]:
    """The range of some elements once their storage was trimmed; `cuts` are in order."""
    first, stop = span
    cut = cuts[bisect_right(cuts, first, key=lambda cut: cut.first) - 1] if cuts else None
    if cut is None or not cut.first <= first < cut.stop:
        return span
    has_gaps = cut.length < cut.stop - cut.first
    return (cut.at, cut.at + cut.length) if has_gaps else (first - cut.first + cut.at, stop - cut.first + cut.at)


def cast_tensors(names: TensorNames, finished: Finished) -> list[CastTensor]:
    """Every cast of a file that was written; of several casts of one stretch, the last."""
    casts = {cast.origin or id(cast): cast for cast in finished.casts}
    return [_cast_tensor(names, cast, cast.target) for cast in casts.values()]


def overflowing_tensors(names: TensorNames, finished: Finished) -> list[CastTensor]:
    """The casts of a file that overflowed, as tensors that keep their dtype."""
    return [_cast_tensor(names, cast, cast.dtype) for cast in finished.casts if cast.loss.overflowed]


def _cast_tensor(names: TensorNames, cast: Cast, dtype: str) -> CastTensor:
    found = names.of(cast.origin) if cast.origin is not None else ()
    return CastTensor(found, cast.dtype, dtype, cast.length // 2, cast.loss)
