"""Writes a plain state dict: a torch zip of one dict of tensors, which `torch.load` accepts with `weights_only=True`."""

from pathlib import Path

from ptzip.converting.selection import Files, Tensors, storage_unsupported
from ptzip.converting.shards import sharded
from ptzip.editing.state_dict import PROTOCOL, state_dict
from ptzip.formats.torchzip import fresh_records
from ptzip.io.atomic_output import NewFile
from ptzip.pickling.nodes import Pickle
from ptzip.pickling.writer import write_pickle
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.torch_names import SPARSE_COMPONENTS
from ptzip.zip import writer


def unsupported(name: str, tensor: Tensor) -> str:
    """Why a state dict cannot represent a tensor, or ""."""
    if tensor.device == "meta" and tensor.dtype in BY_NAME and tensor.layout == "strided":
        return ""
    if tensor.layout in (*SPARSE_COMPONENTS, "nested"):
        return next((why for part, inner in tensor.components.items() if (why := unsupported(part, inner))), "")
    return storage_unsupported(tensor)


def plan(tensors: Tensors, output: Path, max_shard_size: int | None) -> Files:
    """The files that hold the tensors, as `sharded` splits them; those that share a storage stay together."""
    groups = dict[int, Tensors]()
    for name, tensor in tensors.items():
        groups.setdefault(_owner(tensor), Tensors())[name] = tensor
    if max_shard_size is None:  # in the order of the names, whatever they share
        return {output: _file(tensors)}
    return sharded(groups.values(), output, max_shard_size, _file)


def _owner(tensor: Tensor) -> int:
    """What tensors on one storage have in common."""
    parts = [one.storage.root[0] for one in tensor.with_components if one.storage is not None]
    return id(parts[0] if parts else tensor)


def _file(tensors: Tensors) -> NewFile:
    root, payloads = state_dict(tensors)
    return writer.plan(fresh_records(write_pickle(Pickle(root, PROTOCOL)), list(payloads.values())))
