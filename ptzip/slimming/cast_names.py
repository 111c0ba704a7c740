"""The names of the tensors that a cast was about, as the input calls them.

Rule: names are looked for only where somebody is to read them, since that takes longer than the cast.
"""

from collections.abc import Iterable, Mapping

from ptzip.checkpoint import Checkpoint
from ptzip.editing.account import Cut, Finished
from ptzip.slimming.report import CastTensor
from ptzip.tensors.cast import Cast, Stretch
from ptzip.tensors.strides import element_range

Cuts = Mapping[str, list[Cut]]


class Names:
    """The names of an input's tensors, by the stretches of storages that they use once those were cut."""

    def __init__(self, checkpoint: Checkpoint, cuts: Cuts) -> None:
        self.spans: dict[str, list[tuple[int, int, str]]] = {}
        for name, tensor in checkpoint.tensors().items():
            if tensor.storage is not None and tensor.layout == "strided":
                key = tensor.storage.key
                first, stop = _after(element_range(tensor.offset, tensor.shape, tensor.stride), cuts.get(key, ()))
                self.spans.setdefault(key, []).append((first, stop, name))

    def of(self, stretch: Stretch) -> tuple[str, ...]:
        """The tensors in a stretch; its storage, where there are none that have a name."""
        is_empty = stretch.first == stretch.stop
        spans = self.spans.get(stretch.key, ())
        inside = [
            name
            for first, stop, name in spans
            if stretch.first <= first <= stop <= stretch.stop and (first == stop) == is_empty
        ]
        return tuple(inside) or (f"storage {stretch.key}",)


def _after(span: tuple[int, int], cuts: Iterable[Cut]) -> tuple[int, int]:
    """Where elements are once a storage was cut."""
    first, stop = span
    for cut in cuts:
        if cut.first <= first < cut.stop:
            has_gaps = cut.length < cut.stop - cut.first
            return (cut.at, cut.at + cut.length) if has_gaps else (first - cut.first + cut.at, stop - cut.first + cut.at)
    return span


def cast_tensors(names: Names, finished: Finished) -> tuple[CastTensor, ...]:
    """Every cast of a file that was written."""
    return tuple(_told(names, cast, cast.target) for cast in finished.casts)


def wide_tensors(names: Names, finished: Finished) -> tuple[CastTensor, ...]:
    """The casts of a first plan that were taken back."""
    return tuple(_told(names, cast, cast.dtype) for cast in finished.casts if cast.loss.overflowed)


def _told(names: Names, cast: Cast, dtype: str) -> CastTensor:
    found = names.of(cast.origin) if cast.origin is not None else ()
    return CastTensor(found, cast.dtype, dtype, cast.length // 2, cast.loss)
