"""Checkpoints built without torch, in which a test controls exactly how storages are shared.

A shared node is one object, as in a pickle's memo; two tensors on one storage are two persistent ids with one key, as torch
writes them.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.editing.edit import Edit
from ptzip.io.payloads import BytesPayload, read_all
from ptzip.io.sources import BytesSource
from ptzip.pickling.new_nodes import atom, memoized, named
from ptzip.pickling.nodes import Call, Dict, List, Node, Persistent, Pickle, Step, Tuple, item_slots, lookup
from ptzip.pickling.writer import write_pickle
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.references import TensorRef, parameter_arguments, tensor_ref
from ptzip.tree.modules import attributes
from ptzip.zip import writer
from ptzip.zip.writer import Record
from tests.torch_zips import storage_record, torch_zip

Array = npt.NDArray[Any]

DEFAULTS = {"epoch": 3, "best_fitness": 0.5, "training_results": "epoch 3\n", "optimizer": None}
"""The four keys beside `model` in the original layout."""


def numbers(count: int, first: int = 1, dtype: str = "float32") -> Array:
    """Numbers that float16 represents exactly."""
    return np.arange(first, first + count).astype(dtype)


class CheckpointBuilder:
    """The storages of a checkpoint, and nodes that refer to them."""

    def __init__(self, location: str = "cpu", byteorder: str = "little") -> None:
        self.location = location
        self.byteorder = byteorder
        self.storages: list[tuple[Array, str]] = []

    def storage(self, array: Array, dtype: str = "") -> int:
        """Add a storage and return its index; bfloat16 values are given as uint16."""
        self.storages.append((array, dtype or array.dtype.name))
        return len(self.storages) - 1

    def view(self, storage: int, shape: tuple[int, ...], stride: tuple[int, ...] = (1,), offset: int = 0) -> Call:
        """A tensor on a storage, with its own persistent id."""
        array, dtype = self.storages[storage]
        kind = named("torch", BY_NAME[dtype].storage)
        identity = Tuple("TUPLE", None, [node("storage"), kind, node(str(storage)), node(self.location), node(array.size)])
        holder = Persistent("BINPERSID", None, [identity])
        return called("torch._utils", "_rebuild_tensor_v2", holder, offset, shape, stride, False, ordered())

    def tensor(self, array: Array) -> Call:
        """A tensor on a storage of its own."""
        stride = tuple(step // array.itemsize for step in array.strides)
        return self.view(self.storage(array.ravel()), array.shape, stride)

    def parameter(self, of: Array | Node, grad: bool = True) -> Call:
        inner = of if isinstance(of, Node) else self.tensor(of)
        return called("torch._utils", "_rebuild_parameter", inner, grad, ordered())

    def data(self, root: Any, name: str = "last") -> bytes:
        """The checkpoint as torch would write it, with the archive prefix `name`."""
        head = {"data.pkl": write_pickle(Pickle(node(root), protocol=2)), "byteorder": self.byteorder.encode()}
        data = {f"data/{index}": stored.tobytes() for index, (stored, _) in enumerate(self.storages)}
        return archive_of(name, head | data | {"version": b"3\n"})

    def save(self, path: Path, root: Any) -> Path:
        """Write the checkpoint, with the file's stem as archive prefix."""
        path.write_bytes(self.data(root, path.stem))
        return path

    def edit(self, root: Any) -> Edit:
        """An edit of the checkpoint, read from memory."""
        return Edit(Checkpoint(BytesSource(self.data(root))).main)


def archive_of(name: str, records: dict[str, bytes]) -> bytes:
    """A zip as torch writes it."""
    planned = writer.plan([Record(f"{name}/{record}", BytesPayload(data)) for record, data in records.items()])
    with tempfile.TemporaryFile() as file:
        planned.write(file.fileno())
        return os.pread(file.fileno(), planned.size, 0)


def node(value: Any) -> Node:
    """A node for plain values, dicts, lists, tuples and nodes; containers are put into the memo."""
    if isinstance(value, Node):
        return value
    if isinstance(value, dict):
        items = [node(each) for pair in value.items() for each in pair]
        return Dict("EMPTY_DICT", None, [], [memoized(), *([Step("SETITEMS", items=items)] if items else [])])
    if isinstance(value, list):
        return List("EMPTY_LIST", None, [], [memoized(), *([Step("APPENDS", items=list(map(node, value)))] if value else [])])
    if isinstance(value, tuple):
        return Tuple("TUPLE", None, list(map(node, value)))
    return atom(value)


def called(module: str, name: str, *arguments: Any) -> Call:
    """A call `module.name(*arguments)`."""
    return Call("REDUCE", None, [named(module, name), Tuple("TUPLE", None, list(map(node, arguments)))], [memoized()])


def ordered(**items: Any) -> Call:
    made = called("collections", "OrderedDict")
    if items:
        made.steps.append(Step("SETITEMS", items=[node(each) for pair in items.items() for each in pair]))
    return made


def instance(path: str, state: Any) -> Call:
    """An object of the class at `path`, which need not exist."""
    module, _, name = path.rpartition(".")
    return Call("NEWOBJ", None, [named(module, name), Tuple("EMPTY_TUPLE")], [memoized(), Step("BUILD", items=[node(state)])])


def module(
    path: str = "models.common.Layer",
    parameters: dict[str, Any] | None = None,
    buffers: dict[str, Any] | None = None,
    children: dict[str, Any] | None = None,
    **plain: Any,
) -> Call:
    """A pickled `nn.Module`; `plain` are its other attributes."""
    containers = {"_parameters": parameters or {}, "_buffers": buffers or {}, "_modules": children or {}}
    return instance(path, {"training": False, **containers, **plain})


def model(*layers: Node, path: str = "models.yolo.DetectionModel", **plain: Any) -> Call:
    """A YOLO model: a `Sequential` of layers under the name `model`."""
    sequence = module("torch.nn.modules.container.Sequential", children={str(at): each for at, each in enumerate(layers)})
    return module(path, children={"model": sequence}, **plain)


def slimmed(path: Path, **options: Any) -> ptzip.Checkpoint:
    """Slim a file and open what was written."""
    output = path.with_name(f"slim-{path.name}")
    report = ptzip.slim(path, output, **options)
    assert report.output == str(output), report
    return ptzip.open(output)


# Reading what was written


def at(root: Node, *path: str | int) -> Node:
    """The node at a path of dict keys, attributes and list indices; a parameter counts as its tensor."""
    for step in path:
        if isinstance(step, int):
            root = list(item_slots(root))[step].node
        else:
            found = lookup(root, step)
            inside = found if found is not None else lookup(attributes(root), step)
            assert inside is not None, f"nothing at {step} of {path}"
            root = inside
    arguments = parameter_arguments(root)
    return arguments[0] if arguments else root


def tensor_at(checkpoint: ptzip.Checkpoint, *path: str | int) -> TensorRef:
    found = tensor_ref(at(checkpoint.root, *path))
    assert found is not None, f"no tensor at {path}"
    return found


def values_at(checkpoint: ptzip.Checkpoint, *path: str | int) -> Array:
    """The numbers of the tensor at a path."""
    found = tensor_at(checkpoint, *path)
    kind = np.dtype(found.storage.dtype.numpy)
    data = read_all(storage_record(checkpoint, found.storage.key).payload)
    stored = np.frombuffer(data, kind.newbyteorder(">" if torch_zip(checkpoint).parts[0].big_endian else "<"))
    strides = [step * stored.itemsize for step in found.stride]
    return np.lib.stride_tricks.as_strided(stored[found.offset :], found.shape, strides)


def dtype_at(checkpoint: ptzip.Checkpoint, *path: str | int) -> str:
    return tensor_at(checkpoint, *path).storage.dtype.name


def key_at(checkpoint: ptzip.Checkpoint, *path: str | int) -> str:
    """The storage of the tensor at a path."""
    return tensor_at(checkpoint, *path).storage.key
