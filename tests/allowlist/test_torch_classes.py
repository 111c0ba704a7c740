"""The classes of torch on the allow list: each is what its table says, and no special method of it has gone unread."""

import dataclasses
import enum
import functools
import importlib
import inspect
from collections.abc import Iterator
from typing import Any

import pytest

from ptzip.allowlist.table import ROW_OF_SUFFIX, allowed_row, is_allowed
from ptzip.allowlist.torch_classes import TABLES, suffix_of

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore")  # modules that torch has moved warn when they are imported

CALLED = ("__setstate__", "__new__", "__reduce__", "__reduce_ex__", "__init_subclass__", "__setattr__", "__del__")
"""The methods that making an instance, giving it a state, and deleting it may call."""

READ = {
    "torch.nn.modules.module.Module": "sets the __dict__; attributes that are tensors and modules are registered",
    "torch.nn.modules.module._WrappedHook": "keeps a weak reference to the module",
    "torch.nn.modules.activation": "adds attributes that older releases lack",
    "torch.nn.modules.container": "adds attributes that older releases lack",
    "torch.nn.modules.conv": "adds attributes that older releases lack",
    "torch.nn.modules.pooling": "adds attributes that older releases lack",
    "torch.nn.modules.transformer": "adds attributes that older releases lack",
    "torch.nn.modules.upsampling": "adds attributes that older releases lack",
    "torch.nn.modules.rnn": "goes through num_layers, which the row bounds",
    "torch.nn.parallel.distributed": "needs a process group, and builds a reducer of its parameters",
    "torch.nn.utils.rnn": "computes the inverse of a permutation",
    "torch.ao.nn": "packs weights",
    "torch.ao.quantization.qconfig": "looks at the types of its arguments",
    "torch.ao.quantization.fx._equalize": "looks at the types of its arguments",
    "torch.optim": "adds defaults to the groups of parameters, which the row wants literal",
    "torch.amp.grad_scaler": "sets the __dict__",
    "torch.distributed._shard.sharded_tensor": "needs a process group, and compares ranks; when deleted, forgets its number",
    "torch.distributed.checkpoint.metadata": "finds the memory format by its number",
    "torch.distributed.tensor": "forgets its hash where an attribute is set",
    "torch.distributed.fsdp": "needs no state",
    "torch.utils.data.dataloader": "refuses to change some attributes",
    "torch.utils.data.dataset": "pickles by a hook that only a program can set",
    "torch.utils.hooks": "keeps a weak reference to the dict of its hooks",
    "torch.distributed.device_mesh": "finds its process groups by name",
    "torch.nn.modules.loss.NLLLoss2d": "warns that it is deprecated",
    "torch.nn.parallel.DistributedDataParallelCPU": "warns that it is deprecated",
    "torch._C.TensorBase": "of sharded tensors, which have their own",
    "torch.Tensor": "of sharded tensors, which have their own",
    "torch._C._distributed": "takes the numbers of a placement",
}
"""Of the classes or modules that define special methods of their own: what these do."""


def entries() -> Iterator[tuple[str, str, str]]:
    """Module, name and suffix of everything in the tables."""
    for table in TABLES:
        for module, names in table.items():
            for entry in names.split():
                name = entry.rstrip("*#=()[]&")
                yield module, name, entry[len(name) :]


def present() -> list[tuple[str, str, str, Any]]:
    """The entries that this release of torch has, with the object; others are of older ones."""
    found = []
    for module, name, suffix in entries():
        try:
            owner = importlib.import_module(module)
            found.append((module, name, suffix, functools.reduce(getattr, name.split("."), owner)))
        except (ImportError, AttributeError):
            continue
    return found


def test_every_name_is_found_once_and_with_its_row() -> None:
    names = [(module, name) for module, name, _ in entries()]
    assert len(names) == len(set(names)) > 1000
    assert all(allowed_row(module, name) is ROW_OF_SUFFIX[suffix] for module, name, suffix in entries())


@pytest.mark.parametrize("name", ["", "Linear#", "OptState=", "relu&", "Linear.__init__", "Linear LSTM", "Linear\nLSTM"])
def test_what_is_no_name_is_not_found(name: str) -> None:
    assert suffix_of("torch.nn.modules.linear", name) is suffix_of("torch.amp.grad_scaler", name) is None


def test_most_entries_exist_in_this_release() -> None:
    assert len(present()) > 0.5 * len(list(entries()))


def test_every_entry_is_what_its_suffix_says() -> None:
    for module, name, suffix, found in present():
        where = f"{module}.{name}"
        if suffix == "=":
            assert issubclass(found, enum.Enum), where
        elif suffix in ("()", "[]"):
            assert name.startswith("_get") or isinstance(found, type), where
        elif suffix == "#" or suffix == "":
            assert isinstance(found, type), where
            assert not issubclass(found, enum.Enum), where
        else:
            assert callable(found), where


def test_every_special_method_has_been_read() -> None:
    unread = set()
    for _, _, suffix, found in present():
        for cls in inspect.getmro(found) if isinstance(found, type) and suffix != "&" else ():
            path = f"{cls.__module__}.{cls.__qualname__}"
            own = [method for method in CALLED if method in vars(cls)] if cls.__module__.startswith("torch") else []
            is_data = dataclasses.is_dataclass(cls) or issubclass(cls, tuple | enum.Enum)
            if own and not is_data and not any(path.startswith(known) for known in READ):
                unread.add((path, *own))
    assert unread == set()


def test_nothing_that_compiles_or_starts_something_is_allowed() -> None:
    for path in (
        *("torch.fx.graph_module.GraphModule", "torch.jit._script.RecursiveScriptModule", "torch._C.ScriptModule"),
        *("torch.distributed.nn.api.remote_module.RemoteModule", "torch.utils.data.datapipes.iter.callable.MapperIterDataPipe"),
        *("torch.distributed.checkpoint.filesystem.FileSystemWriter", "torch.hub.load", "torch.load", "torch.from_file"),
        *("torch.ao.pruning.sparsifier.base_sparsifier.BaseSparsifier", "torch.nn.functional.boolean_dispatch"),
    ):
        module, _, name = path.rpartition(".")
        assert not is_allowed(module, name)
    assert not is_allowed("torch._C", "_VariableFunctionsClass.from_file")
