"""Pickles as the parts of a file that `build` takes, written by the standard library or opcode by opcode.

None is written by ptzip itself.
"""

import pickle
from collections.abc import Mapping

from ptzip.errors import FormatError
from ptzip.formats.container import Part
from ptzip.io.payloads import BytesPayload, CheckedPayload
from ptzip.pickling.reader import read_pickle
from ptzip.values.builder import build
from ptzip.values.materialize import materialize

NO_STORAGES: Mapping[str, bytes] = {}


def part(data: bytes, storages: Mapping[str, bytes] = NO_STORAGES, big_endian: bool = False) -> Part:
    """A part of a file: a pickle, and the storages that it may refer to."""

    def stored(key: str) -> CheckedPayload:
        if key not in storages:
            raise FormatError(f"storage {key} is missing")
        return CheckedPayload(BytesPayload(storages[key]), f"data/{key}", None)

    return Part("a pickle", read_pickle(data), stored, big_endian)


def built(data: bytes, unknown: str = "error", storages: Mapping[str, bytes] = NO_STORAGES) -> object:
    """The value of a pickle, tensors and arrays lazy."""
    return build(part(data, storages), unknown=unknown)


def kept(data: bytes, storages: Mapping[str, bytes] = NO_STORAGES) -> object:
    """The value of a pickle, unknown objects kept."""
    return built(data, "keep", storages)


def loaded(data: bytes, unknown: str = "error", storages: Mapping[str, bytes] = NO_STORAGES) -> object:
    """The value of a pickle, with numpy arrays."""
    return materialize(built(data, unknown, storages), keep=unknown == "keep")


def dumped(value: object, protocol: int = 2) -> bytes:
    return pickle.dumps(value, protocol)


def name(module: str, name: str) -> bytes:
    """A GLOBAL opcode."""
    return b"c" + module.encode() + b"\n" + name.encode() + b"\n"


def call(module: str, function: str, *arguments: bytes) -> bytes:
    """The opcodes of a call; each argument is given as opcodes."""
    return name(module, function) + b"(" + b"".join(arguments) + b"tR"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def number(value: int) -> bytes:
    return b"J" + value.to_bytes(4, "little", signed=True)


def numbers(*values: int) -> bytes:
    """A tuple of numbers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def stored(key: str, elements: int, kind: str = "FloatStorage", location: str = "cpu") -> bytes:
    """The persistent id of a storage."""
    module = "torch.storage" if kind == "UntypedStorage" else "torch"
    return b"(" + text("storage") + name(module, kind) + text(key) + text(location) + number(elements) + b"tQ"


HOOKS = call("collections", "OrderedDict")


def tensor(key: str, elements: int, shape: tuple[int, ...], stride: tuple[int, ...], offset: int = 0, **more: bytes) -> bytes:
    """A call of `_rebuild_tensor_v2`; `held`, `grad` and `marks` are opcodes that replace the defaults."""
    held = more.get("held") or stored(key, elements)
    arguments = [held, number(offset), numbers(*shape), numbers(*stride), more.get("grad", b"\x89"), HOOKS]
    return call("torch._utils", "_rebuild_tensor_v2", *arguments, *([more["marks"]] if "marks" in more else []))
