"""The tensors of a whole file by name: those of its pickles, of safetensors, or of an npz.

A tensor is listed under every path at which it is found. The first pickle has no prefix; those of all others do.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from ptzip.formats.collection import Collection
from ptzip.formats.container import Container, Part
from ptzip.formats.detect import open_container
from ptzip.formats.safetensors import SafeTensors
from ptzip.formats.zips import NPZ, ForeignZip, Shard
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.tensors.tensor import Tensor
from ptzip.tree.paths import TOP, walk
from ptzip.values.builder import build
from ptzip.values.opaque import Opaque
from ptzip.values.value_children import value_children


def arrays_of(container: Container) -> Mapping[str, Tensor] | None:
    """The tensors of a safetensors or npz file, which has nothing else; None for any other."""
    if isinstance(container, SafeTensors):
        return container.tensors()
    if isinstance(container, ForeignZip) and container.kind is NPZ:
        from ptzip.formats import npy  # few files are npz

        return {name: npy.tensor(name, record) for name, record in container.arrays.items()}
    return None


def metadata_of(container: Container) -> dict[str, str] | None:
    """The metadata of a safetensors file; None for any other."""
    return container.metadata() if isinstance(container, SafeTensors) else None


def tensors_of(container: Container, limits: Limits) -> Mapping[str, Tensor]:
    """Every tensor of a file. A pickle that is broken has none, unless it is the first: then this raises FormatError.

    Those of several checkpoints in a tar or zip have the name of theirs as a prefix.
    """
    if isinstance(container, Collection):
        inner = {name: open_container(container.opened(name, limits), limits) for name in container.checkpoints}
        return {joined(name, path): one for name, found in inner.items() for path, one in tensors_of(found, limits).items()}
    alone = arrays_of(container)
    return tensors_in(values_of(container, limits), limits.paths) if alone is None else alone


def joined(name: str, path: str) -> str:
    """The name of a tensor in a file of a collection."""
    return f"{name}.{path}" if path else name


class NamedPickle(NamedTuple):
    """A pickle of a file, and the prefix of the paths of what is in it."""

    prefix: str
    part: Part


def pickles_of(container: Container) -> Iterator[NamedPickle]:
    """The pickles of a file; those that are broken are left out, except the first."""
    for index, part in enumerate(container.parts):
        prefix = part.name.removeprefix("record ") if index or isinstance(container, Shard) else ""
        if part.pickle.root is not None or not index:
            yield NamedPickle(prefix, part)


def values_of(container: Container, limits: Limits) -> Iterator[tuple[str, object]]:
    """The value of each pickle of a file with the prefix of its paths; objects of unknown classes are `Opaque`."""
    for prefix, part in pickles_of(container):
        yield prefix, build(part, unknown="keep", limits=limits)


def tensors_in(values: Iterable[tuple[str, object]], most: int = DEFAULT_LIMITS.paths) -> dict[str, Tensor]:
    """The tensors of several values by name; the paths of each value begin with its prefix."""
    found = _Named()
    for prefix, value in values:
        top = TOP.below(prefix or None)
        if isinstance(value, Tensor):
            found.add(prefix, value)
        for path, child in walk(
            value, value_children, top, most, is_wanted=lambda value: isinstance(value, Tensor), is_named_once=_is_plain_object
        ):
            if isinstance(child.value, Tensor):
                found.add(str(path), child.value)
    return found.tensors


def named_tensors(root: object, most: int = DEFAULT_LIMITS.paths) -> dict[str, Tensor]:
    """Every tensor below a value by its path, in the order of the pickle; "" is the value itself.

    Modules and containers in several positions are walked in each, as `state_dict()` does; other objects only in the first,
    since they may refer to anything, even to one another. Where two tensors would have one name, the later is named
    `name (2)`. Raises LimitError where there are more than `most` names.
    """
    return tensors_in([("", root)], most)


def _is_plain_object(value: object) -> bool:
    """Whether a value is an object of an unknown class that is not a module."""
    return isinstance(value, Opaque) and "_modules" not in value.attributes


class _Named:
    """Tensors by name; where another tensor has the name of one, it gets a number."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._numbers = Counter[str]()
        """The last number of each name."""

    def add(self, name: str, tensor: Tensor) -> None:
        free = name
        while free in self.tensors and self.tensors[free] is not tensor:
            self._numbers[name] += 1
            free = f"{name} ({self._numbers[name] + 1})"
        self.tensors[free] = tensor
