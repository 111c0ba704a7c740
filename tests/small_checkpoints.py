"""Small training checkpoints in the layout that torch 2.13 writes, created without torch.

Nothing is random: the same call gives the same bytes.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptzip.io.payloads import BytesPayload
from ptzip.pickling.new_nodes import atom, named
from ptzip.pickling.nodes import Call, Dict, List, Node, Persistent, Pickle, Tuple
from ptzip.pickling.nodes import Step as Fill
from ptzip.pickling.writer import write_pickle
from ptzip.zip import writer
from ptzip.zip.writer import Record

Records = dict[str, bytes]
"""The records of a checkpoint by name, in file order, without the prefix of the archive."""

STORAGE_CLASSES = {"float64": "DoubleStorage", "float32": "FloatStorage", "float16": "HalfStorage", "int64": "LongStorage"}


class Saving:
    """Converts plain values to nodes, and every array to a tensor with a storage of its own."""

    def __init__(self, location: str = "cpu") -> None:
        self.location = location
        self.storages: list[bytes] = []

    def node(self, value: Any) -> Node:
        if isinstance(value, Node):
            return value
        if isinstance(value, np.ndarray):
            return self.tensor(value)
        if isinstance(value, dict):
            items = [self.node(item) for pair in value.items() for item in pair]
            return Dict("EMPTY_DICT", steps=[Fill("SETITEMS", items=items)] if items else [])
        if isinstance(value, list):
            return List("EMPTY_LIST", steps=[Fill("APPENDS", items=[self.node(item) for item in value])])
        if isinstance(value, tuple):
            return Tuple("TUPLE", None, [self.node(item) for item in value])
        return atom(value)

    def tensor(self, array: npt.NDArray[Any]) -> Node:
        kind = named("torch", STORAGE_CLASSES[array.dtype.name])
        storage = self.node(("storage", kind, str(len(self.storages)), self.location, array.size))
        self.storages.append(array.tobytes())
        strides = tuple(step // array.itemsize for step in array.strides)
        arguments = (Persistent("BINPERSID", None, [storage]), 0, array.shape, strides, False, self.ordered({}))
        return called("torch._utils", "_rebuild_tensor_v2", self.node(arguments))

    def parameter(self, array: npt.NDArray[Any]) -> Node:
        return called("torch._utils", "_rebuild_parameter", self.node((array, True, self.ordered({}))))

    def ordered(self, items: dict[str, Any]) -> Node:
        made = called("collections", "OrderedDict", Tuple("EMPTY_TUPLE"))
        made.steps += self.node(items).steps
        return made

    def module(self, path: str, parameters: dict[str, Any], **attributes: Any) -> Node:
        """A pickled `nn.Module` of the class at `path`, which need not exist."""
        state = {
            "training": False,
            "_parameters": self.ordered({name: self.parameter(array) for name, array in parameters.items()}),
            "_buffers": self.ordered({}),
            "_modules": self.ordered({}),
        }
        home, _, name = path.rpartition(".")
        built = Fill("BUILD", items=[self.node(state | attributes)])
        return Call("NEWOBJ", None, [named(home, name), Tuple("EMPTY_TUPLE")], [built])

    def records(self, root: Node) -> Records:
        head = {"data.pkl": write_pickle(Pickle(root, protocol=2)), ".format_version": b"1", ".storage_alignment": b"64"}
        data = {f"data/{index}": stored for index, stored in enumerate(self.storages)}
        return head | {"byteorder": b"little"} | data | {"version": b"3\n", ".data/serialization_id": b"1234567890" * 4}


def called(module: str, name: str, arguments: Node) -> Node:
    """A call `module.name(*arguments)`."""
    return Call("REDUCE", None, [named(module, name), arguments])


def weights(count: int = 64, dtype: str = "float32") -> npt.NDArray[Any]:
    """Numbers that float16 represents exactly, none of them zero."""
    return (np.arange(count) % 1000 / 8 + 1).astype(dtype)


def training(saving: Saving, count: int = 64, **others: Any) -> Node:
    """The five keys of the original recipe around a dict of tensors, with SGD state for each; `others` replace values."""
    model = {"conv.weight": weights(count).reshape(4, -1), "conv.bias": weights(4), "steps": weights(1, "int64")}
    momentum = {index: {"momentum_buffer": weights(size)} for index, size in enumerate((count, 4))}
    optimizer = {"state": momentum, "param_groups": [{"lr": 0.01, "params": [0, 1]}]}
    values = {"epoch": 9, "best_fitness": 0.5, "training_results": "epoch 9 ok\n" * 10, "model": model, "optimizer": optimizer}
    return saving.node(values | others)


def training_records(count: int = 64, location: str = "cpu", **others: Any) -> Records:
    """The records of a checkpoint for recipe `basic`."""
    saving = Saving(location)
    return saving.records(training(saving, count, **others))


def module_records(**attributes: Any) -> Records:
    """The records of a checkpoint in the layout of YOLOv5 v7.0: the weights are in `ema`, a module of a missing class."""
    saving = Saving()
    ema, model = (saving.module("models.yolo.Model", {"weight": weights()}, **attributes) for _ in range(2))
    momentum = {"state": {0: {"momentum_buffer": weights()}}, "param_groups": []}
    values = {"epoch": 9, "best_fitness": 0.5, "model": model, "ema": ema, "updates": 7, "optimizer": momentum, "date": "now"}
    return saving.records(saving.node(values))


def archive(records: Records, name: str = "last") -> bytes:
    """The zip that torch writes for records, with the prefix `name`."""
    planned = writer.plan([Record(f"{name}/{record}", BytesPayload(data)) for record, data in records.items()])
    with tempfile.TemporaryFile() as file:
        planned.write(file.fileno())
        return os.pread(file.fileno(), planned.size, 0)


def save(path: Path, records: Records | None = None) -> Path:
    """Write a checkpoint, by default the one of `training_records`."""
    path.write_bytes(archive(training_records() if records is None else records))
    return path
