"""The tensors of a whole file by name: those of its pickles, of safetensors, or of an npz.

Rule: the first pickle holds the object, and its tensors have no prefix; those of every other one are called by it.
"""

from collections.abc import Iterable, Iterator, Mapping

from ptzip.formats.container import Container
from ptzip.formats.foreign_zips import NPZ, ForeignZip
from ptzip.formats.safetensors import SafeTensors
from ptzip.limits import Limits
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from ptzip.values.value_paths import free_name, named_tensors


def arrays_of(container: Container) -> Mapping[str, Tensor] | None:
    """The tensors of a file that holds nothing else, as safetensors and npz do; None for any other."""
    if isinstance(container, SafeTensors):
        from ptzip.formats import safetensors_tensors as safe  # here, so that nobody else waits for the library

        return safe.tensors(container.source, container.start)
    if isinstance(container, ForeignZip) and container.name == NPZ:
        from ptzip.formats import npz  # here, since it needs numpy

        return {name: npz.tensor(name, record) for name, record in container.arrays.items()}
    return None


def metadata_of(container: Container) -> dict[str, str] | None:
    """What a safetensors file says beside its tensors; None of any other file."""
    if not isinstance(container, SafeTensors):
        return None
    from ptzip.formats import safetensors_tensors as safe  # here, as above

    return safe.metadata(container.source)


def tensors_of(container: Container, limits: Limits) -> Mapping[str, Tensor]:
    """Every tensor of a file. A pickle that is broken has none, unless it is the first: then this raises FormatError."""
    alone = arrays_of(container)
    return tensors_in(values_of(container, limits)) if alone is None else alone


def values_of(container: Container, limits: Limits) -> Iterator[tuple[str, object]]:
    """The value of each pickle of a file, and what stands in front of its names; what is not known stays an `Opaque`."""
    for place, part in enumerate(container.parts):
        prefix = part.name.removeprefix("record ") if place else ""
        if part.pickle.root is not None or not prefix:
            yield prefix, build(part, unknown="keep", limits=limits)


def tensors_in(values: Iterable[tuple[str, object]]) -> dict[str, Tensor]:
    """The tensors of such values by name."""
    found: dict[str, Tensor] = {}
    for prefix, value in values:
        for name, tensor in named_tensors(value).items():
            full = f"{prefix}.{name}" if prefix and name else prefix or name
            found[free_name(found, full, tensor)] = tensor
    return found
