"""The tensors of a whole file by name: those of its pickles, of safetensors, or of an npz.

Rule: the first pickle holds the object, and its tensors have no prefix; those of every other one are called by it.
"""

from collections.abc import Mapping

from ptzip.formats.part import Layout, Part
from ptzip.formats.safetensors import SafeTensors
from ptzip.formats.zips import NPZ, ForeignZip
from ptzip.limits import Limits
from ptzip.objects.builder import build
from ptzip.objects.paths import free_name, named_tensors
from ptzip.tensors.tensor import Tensor


def arrays_of(layout: Layout) -> Mapping[str, Tensor] | None:
    """The tensors of a file that holds nothing else, as safetensors and npz do; None for any other."""
    if isinstance(layout, SafeTensors):
        from ptzip.tensors import safe  # here, so that nobody else waits for the library

        return safe.tensors(layout.source, layout.start)
    if isinstance(layout, ForeignZip) and layout.name == NPZ:
        from ptzip.tensors import npz  # here, since it needs numpy

        return {name: npz.tensor(name, record) for name, record in layout.arrays.items()}
    return None


def tensors_of(layout: Layout, limits: Limits) -> Mapping[str, Tensor]:
    """Every tensor of a file. A pickle that is broken has none, unless it is the first: then this raises FormatError."""
    alone = arrays_of(layout)
    if alone is not None:
        return alone
    found: dict[str, Tensor] = {}
    for place, part in enumerate(layout.parts):
        prefix = part.name.removeprefix("record ") if place else ""
        if part.pickle.root is not None or not prefix:
            _add(found, prefix, part, limits)
    return found


def _add(found: dict[str, Tensor], prefix: str, part: Part, limits: Limits) -> None:
    for name, tensor in named_tensors(build(part, unknown="keep", limits=limits)).items():
        full = f"{prefix}.{name}" if prefix and name else prefix or name
        found[free_name(found, full, tensor)] = tensor
