"""Which tensors are exported, under which names, which names are aliases of one tensor, and which tensors cannot be written.

Two names are aliases if they denote the same bytes with the same dtype, shape and stride; tensors that merely overlap are not.
"""

from collections.abc import Iterable, Mapping, Sequence
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


AUTO = "auto"
WRAPPERS = ("module", "_orig_mod", "model")
"""What DataParallel and FSDP, `torch.compile`, and modules around a model put before the names of its tensors."""


def select_tensors(found: Mapping[str, Tensor], select: Sequence[str]) -> Tensors:
    """The tensors whose names match one of the globs `select`, all if there are none, in file order.

    Raises EditError if a glob matches nothing.
    """
    patterns = Patterns(select)
    names = [name for name in found if not patterns or patterns.match(name)]
    if patterns.unused:
        raise EditError(f"no tensor matches {sorted(patterns.unused)[0]}")
    if not names:
        raise EditError("there is no tensor in this file")
    return {name: found[name] for name in names}


def shared_prefix(names: Iterable[str], keys: Sequence[str]) -> str:
    """What all names begin with and may do without: one of the top-level `keys`, then wrappers, each at most once."""
    rests, found, removable = list(names), "", {*keys, *WRAPPERS}
    while True:
        first = {name.partition(".")[0] for name in rests}
        part = first.pop() if len(first) == 1 else ""
        if part not in removable or not all(name.startswith(f"{part}.") and len(name) > len(part) + 1 for name in rests):
            return found.removesuffix(".")
        found += f"{part}."
        rests = [name[len(part) + 1 :] for name in rests]
        removable = removable.intersection(WRAPPERS) - {part}


def renamed_tensors(tensors: Tensors, strip: str, renames: Sequence[Rename], prefix: str) -> Tensors:
    """The same tensors without a prefix that all names have, then with others, and one more before all.

    Raises EditError if a name has another prefix, or if two tensors get the same name.
    """
    strip, new = strip.removesuffix("."), Tensors()
    others = [name for name in tensors if strip and not name.startswith(f"{strip}.")]
    if others:
        raise EditError(f"cannot strip {strip}: {len(others):,} of {len(tensors):,} names have another prefix, as {others[0]}")
    for name, tensor in tensors.items():
        stripped = renamed(name, [Rename(strip, "")] if strip else ())
        found = renamed(renamed(stripped, renames), [Rename("", prefix.removesuffix("."))])
        if found in new:
            raise EditError(f"two tensors would be named {found}; one of them is {name}")
        new[found] = tensor
    return new


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
