"""Summaries of what real torch reads from a checkpoint, which can be compared and stored as JSON.

Classes that cannot be imported become inert stand-ins, so only code of torch and numpy runs. Only files of this project and
of the folders `yolo` and `format` of the corpus are loaded this way. The path of a tensor consists of dict keys, list indices
and names in `__dict__`; equal `storage` numbers within a file are one shared storage.
"""

import hashlib
import pickle
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypedDict

IMPORTABLE = frozenset({"torch", "numpy", "collections", "_codecs", "copyreg", "copy_reg", "datetime"})
BUILTINS = frozenset({"set", "frozenset", "bytes", "bytearray", "complex", "slice", "range", "object"})


class TensorSummary(TypedDict):
    """One tensor; `sha256` is that of its contiguous little-endian bytes, `storage` is None if it is empty."""

    dtype: str
    shape: list[int]
    requires_grad: bool
    storage: int | None
    sha256: str


class ValueSummary(TypedDict):
    """A top-level value: its class, and the value itself if JSON can represent it."""

    type: str
    value: Any


class Summary(TypedDict):
    """One file."""

    tensors: dict[str, TensorSummary]
    values: dict[str, ValueSummary]


class Inert:
    """Stand-in for an object of a class that cannot be imported; it keeps its state and does nothing."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        for part in state if isinstance(state, tuple) else (state,):
            if isinstance(part, dict):
                self.__dict__.update(part)


class InertUnpickler(pickle.Unpickler):
    """Imports names of torch and numpy, and replaces all others by stand-ins."""

    def find_class(self, module: str, name: str) -> Any:
        is_builtin = module in ("builtins", "__builtin__") and name in BUILTINS
        if is_builtin or module.split(".")[0] in IMPORTABLE:
            return super().find_class(module, name)
        return type(name, (Inert,), {"__module__": module})


def _inert_pickle() -> types.ModuleType:
    module = types.ModuleType("inert_pickle")
    module.__dict__.update(Unpickler=InertUnpickler, load=pickle.load, loads=pickle.loads)
    return module


def load(path: Path, **options: Any) -> Any:
    """The object in a file, as torch loads it to the CPU; `options` go to `torch.load`."""
    import torch

    return torch.load(path, map_location="cpu", weights_only=False, pickle_module=_inert_pickle(), **options)


def summary(path: Path, **options: Any) -> Summary:
    """A summary of what torch reads from a file."""
    return summary_of(load(path, **options))


def summary_of(root: Any) -> Summary:
    """A summary of an object in memory."""
    found: dict[str, TensorSummary] = {}
    numbers: dict[tuple[int, int], int] = {}
    for path, tensor in _tensors(root):
        if not _is_dense(tensor):
            continue
        storage = tensor.untyped_storage()
        place = (storage.data_ptr(), storage.nbytes())
        number = numbers.setdefault(place, len(numbers)) if storage.nbytes() else None
        found["/".join(path)] = _described(tensor, number)
    values = {str(key): _value(value) for key, value in root.items()} if isinstance(root, dict) else {}
    return Summary(tensors=found, values=values)


def _is_dense(tensor: Any) -> bool:
    """Whether a tensor has a storage: a sparse or an uninitialized one has none."""
    import torch

    return tensor.layout is torch.strided and not torch.nn.parameter.is_lazy(tensor)


def _described(tensor: Any, number: int | None) -> TensorSummary:
    import torch

    flat = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return TensorSummary(
        dtype=str(tensor.dtype).removeprefix("torch."),
        shape=list(tensor.shape),
        requires_grad=tensor.requires_grad,
        storage=number,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _tensors(root: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every tensor with each of its paths; other objects are visited at their first path only."""
    import torch

    seen: dict[int, Any] = {}
    pending: list[tuple[tuple[str, ...], Any]] = [((), root)]
    while pending:
        path, value = pending.pop()
        if isinstance(value, torch.Tensor):
            yield path, value
        elif id(value) not in seen:
            seen[id(value)] = value  # keeps the object alive, so that its id stays unique
            pending += [((*path, str(name)), below) for name, below in reversed(list(_below(value)))]


def _below(value: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(value, dict):
        return [*value.items(), *vars(value).items()] if hasattr(value, "__dict__") else value.items()
    if isinstance(value, list | tuple):
        return enumerate(value)
    return vars(value).items() if hasattr(value, "__dict__") and not isinstance(value, type) else ()


def _value(value: Any) -> ValueSummary:
    kind = type(value)
    plain = value.tolist() if kind.__module__ == "numpy" else value
    if not isinstance(plain, str | int | float | bool | list | None):
        plain = None
    return ValueSummary(type=f"{kind.__module__}.{kind.__qualname__}", value=plain)


def differences(got: Summary, want: Summary, ignore: Iterable[str] = ()) -> list[str]:
    """One line for each tensor, each shared storage and each top-level value in which two files differ.

    A missing top-level key equals None, since strippers add keys. Keys in `ignore` are not compared.
    """
    return [
        *_tensor_differences(got["tensors"], want["tensors"]),
        *(f"shared: {paths}" for paths in _sharing(got) ^ _sharing(want)),
        *_value_differences(got["values"], want["values"], set(ignore)),
    ]


def _tensor_differences(got: dict[str, TensorSummary], want: dict[str, TensorSummary]) -> Iterator[str]:
    yield from (f"{path}: missing" for path in want if path not in got)
    yield from (f"{path}: not expected" for path in got if path not in want)
    for path in got.keys() & want.keys():
        for name in ("dtype", "shape", "requires_grad", "sha256"):
            if got[path][name] != want[path][name]:
                yield f"{path}: {name} {got[path][name]}, expected {want[path][name]}"


def _sharing(of: Summary) -> set[tuple[str, ...]]:
    """The groups of paths that share a storage."""
    groups: dict[int, list[str]] = {}
    for path, tensor in of["tensors"].items():
        if tensor["storage"] is not None:
            groups.setdefault(tensor["storage"], []).append(path)
    return {tuple(sorted(paths)) for paths in groups.values() if len(paths) > 1}


NOTHING = ValueSummary(type="builtins.NoneType", value=None)


def _value_differences(got: dict[str, ValueSummary], want: dict[str, ValueSummary], ignore: set[str]) -> Iterator[str]:
    for key in sorted((got.keys() | want.keys()) - ignore):
        found, expected = got.get(key, NOTHING), want.get(key, NOTHING)
        if found != expected:
            yield f"{key}: {found}, expected {expected}"


def summary_of_manifest(entry: dict[str, Any], like: Summary) -> Summary:
    """An entry of `corpus/yolo/manifest.json` as a summary; what it lacks about top-level values is taken from `like`."""
    tensors = {
        tensor["path"]: TensorSummary(
            dtype=tensor["dtype"],
            shape=tensor["shape"],
            requires_grad=tensor["requires_grad"],
            storage=tensor["storage"] if tensor["storage_bytes"] else None,
            sha256=tensor["sha256"],
        )
        for tensor in entry["tensors"]
    }
    values = {key: _recorded_value(value, like["values"].get(key, NOTHING)) for key, value in entry["top_keys"].items()}
    return Summary(tensors=tensors, values=values)


def _recorded_value(value: Any, like: ValueSummary) -> ValueSummary:
    """The manifest has plain values, the length of long strings, and the class of other values."""
    if value is None or isinstance(value, int | float):
        return ValueSummary(type=f"builtins.{type(value).__name__}", value=value)
    if value == like["type"] or (isinstance(like["value"], str) and value == f"<str {len(like['value'])}>"):
        return like
    return ValueSummary(type="builtins.str", value=value)
