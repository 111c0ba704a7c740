"""Which tensors are exported, under which names, which names are aliases of one tensor, and which tensors cannot be written.

Two names are aliases if they denote the same bytes with the same dtype, shape and stride; tensors that merely overlap are not.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from ptzip.errors import EditError, PtzipError
from ptzip.globs import Patterns, Rename, renamed
from ptzip.io.atomic_output import NewFile
from ptzip.tensors.strides import check_repeats
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import check_marks, span, storage_of

Tensors = dict[str, Tensor]

Files = dict[Path, NewFile]
"""The files to write, by path; their contents are not read until they are written."""


def select_tensors(found: Mapping[str, Tensor], select: Sequence[str], renames: Sequence[Rename], prefix: str = "") -> Tensors:
    """The tensors whose names match one of the globs `select` (all if there are none), by their new names, in file order.

    Raises EditError if a glob matches nothing, or if two tensors get the same name.
    """
    patterns = Patterns(select)
    names = [name for name in found if not patterns or patterns.match(name)]
    if patterns.unused:
        raise EditError(f"no tensor matches {sorted(patterns.unused)[0]}")
    if not names:
        raise EditError("there is no tensor in this file")
    selected = Tensors()
    for name in names:
        new = renamed(renamed(name, renames), [Rename("", prefix.removesuffix("."))])
        if new in selected:
            raise EditError(f"two tensors would be named {new}; one of them is {name}")
        selected[new] = found[name]
    return selected


def without_components(tensors: Tensors) -> Tensors:
    """The tensors without those that are written as components of others: the indices and values of a sparse tensor."""
    owners = {id(part): name for name, tensor in tensors.items() for part in tensor.components.values()}
    return {name: one for name, one in tensors.items() if not name.startswith(f"{owners.get(id(one), name)}.")}


def aliases(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Alias -> the name under which the tensor is kept.

    That is the key of the storage in a safetensors file, else the first name in alphabetical order, private attributes last.
    """
    groups: dict[object, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.storage is not None and tensor.numel:
            groups.setdefault(_identity(tensor), []).append(name)
    kept = {min(names, key=lambda name: _rank(name, tensors[name])): names for names in groups.values()}
    return {name: first for first, names in kept.items() for name in names if name != first}


def _rank(name: str, tensor: Tensor) -> tuple[bool, bool, str]:
    """The sort key among aliases. Storages in safetensors files have tensor names as keys, those of torch have numbers."""
    key = tensor.storage.root[0].key if tensor.storage else ""
    is_stored = not key.isdigit() and f".{name}".endswith(f".{key}")
    return not is_stored, any(part.startswith("_") for part in name.split(".")), name


def _identity(tensor: Tensor) -> object:
    """The location of a tensor's bytes and how they are interpreted: equal for aliases only."""
    held, start = tensor.storage.root if tensor.storage else (None, 0)
    marks = tensor.is_conj, tensor.is_neg, tensor.qscheme, tensor.scale, tensor.zero_point, *map(id, tensor.components.values())
    return id(held), start, tensor.dtype, tensor.offset, tensor.shape, tensor.stride, marks


def values_unsupported(tensor: Tensor) -> str:
    """Why the values of a tensor cannot be written as one contiguous block, or ""."""
    try:
        first, last = span(tensor)
        check_repeats(tensor.nbytes, last - first)
    except PtzipError as error:
        return str(error)
    return storage_unsupported(tensor)


def storage_unsupported(tensor: Tensor) -> str:
    """Why the part of a storage that a tensor uses cannot be written, or ""."""
    try:
        held = storage_of(tensor)
        _, last = span(tensor)
        check_marks(tensor)
        if last > held.checked_payload().length:
            return f"it extends to byte {last} of storage {held.key}, which has {held.size}"
    except PtzipError as error:
        return str(error)
    return ""
