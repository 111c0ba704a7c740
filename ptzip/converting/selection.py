"""The tensors that are to be handed on, under the names that they get, and which of them are one.

Rule: two names are tied if they stand for the same bytes in the same form; tensors that only overlap are two.
"""

from collections.abc import Mapping, Sequence

from ptzip.errors import EditError
from ptzip.globs import Patterns, Rename, renamed
from ptzip.tensors.tensor import Tensor

Tensors = dict[str, Tensor]


def chosen(found: Mapping[str, Tensor], select: Sequence[str], renames: Sequence[Rename], prefix: str = "") -> Tensors:
    """The tensors whose names match one of `select` (all, without any), by their new names, in the order of the file.

    Raises EditError where nothing matches, or two get the same name.
    """
    front = Rename("", prefix.removesuffix("."))
    patterns = Patterns(select)
    names = [name for name in found if not patterns or patterns.match(name)]
    if patterns.unused:
        raise EditError(f"no tensor is called {sorted(patterns.unused)[0]}")
    if not names:
        raise EditError("there is no tensor in this file")
    new = Tensors()
    for name in names:
        place = renamed(renamed(name, renames), [front])
        if place in new:
            raise EditError(f"two tensors would be called {place}, one of them is {name}")
        new[place] = found[name]
    return new


def ties(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """The names that stand for the same as another, each beside that one: the name that safetensors have it under, else the
    first in the order of the alphabet, those of private attributes last."""
    groups: dict[object, list[str]] = {}
    for name, tensor in tensors.items():
        if tensor.storage is not None and tensor.numel:
            groups.setdefault(_form(tensor), []).append(name)
    kept = {min(names, key=lambda name: _rank(name, tensors[name])): names for names in groups.values()}
    return {name: first for first, names in kept.items() for name in names if name != first}


def _rank(name: str, tensor: Tensor) -> tuple[bool, bool, str]:
    """Storages of safetensors have the names of their tensors for keys, those of torch have numbers."""
    key = tensor.storage.root[0].key if tensor.storage else ""
    is_stored = not key.isdigit() and f".{name}".endswith(f".{key}")
    return not is_stored, any(part.startswith("_") for part in name.split(".")), name


def _form(tensor: Tensor) -> object:
    """Where the bytes of a tensor are, and how they are read: the same for no two that differ."""
    held, start = tensor.storage.root if tensor.storage else (None, 0)
    marks = tensor.is_conj, tensor.is_neg, tensor.qscheme, tensor.scale, tensor.zero_point, *map(id, tensor.components.values())
    return id(held), start, tensor.dtype, tensor.offset, tensor.shape, tensor.stride, marks


def without_parts(tensors: Tensors) -> Tensors:
    """The tensors but those that others are made of, which are written with them: the indices and values of a sparse one."""
    whole = {id(part): name for name, tensor in tensors.items() for part in tensor.components.values()}
    return {name: one for name, one in tensors.items() if not name.startswith(f"{whole.get(id(one), name)}.")}
