"""The new safetensors file of an edit: the tensors that it left, and the metadata as they were spelled."""

import json
import math
from collections.abc import Collection, Iterator

from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.formats.folders.assembly import Folder
from ptzip.formats.safetensors import SafeTensors, counted_shape
from ptzip.formats.safetensors_header import metadata_text
from ptzip.formats.safetensors_writer import NewTensor, layout
from ptzip.io.payloads import SequentialFile
from ptzip.pickling.nodes import Node, pairs, plain, text
from ptzip.tensors.cast import Cast
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.references import plain_tensor, rebuilt_by, storage_ref
from ptzip.tensors.strides import contiguous

OF_TORCH = {"format": "pt"}
"""The metadata without which `from_pretrained` of transformers loads nothing."""

Forms = dict[str, tuple[str, tuple[int, ...]]]
"""Dtype and shape, as a header has them, of tensors by the keys of their storages."""


def tensors_file(edit: Edit, container: SafeTensors | Folder) -> SequentialFile:
    """The file, planned before the edit is finished, which gives storages new keys.

    Further names of a tensor of a folder go into the metadata, as huggingface_hub has them. Raises EditError where the edit
    left something other than tensors, or where tensors share some of their bytes.
    """
    if isinstance(container, Folder):
        names = _names(edit)
        further = {name: first for first, *others in names.values() for name in others}
        new = _new_tensors(edit, _forms(edit), further)
        return layout(new, json.dumps(OF_TORCH | further, separators=(",", ":"), ensure_ascii=False))
    forms = {name: (code, shape) for name, code, shape in container.header[0]}
    return layout(_new_tensors(edit, forms), metadata_text(container.source))


def _new_tensors(edit: Edit, forms: Forms, further: Collection[str] = ()) -> Iterator[NewTensor]:
    """What was cast has a new dtype; everything else is in the header as it was."""
    for key, value in pairs(edit.root):
        name, origin = text(key) or "", _storage_key(value)
        if origin is None:
            raise EditError(f"a safetensors file holds tensors only: {name} cannot be set (--format zip can have other values)")
        if name not in further:
            payload, (code, shape) = edit.payload(origin), forms[origin]
            yield NewTensor(name, BY_NAME[payload.target].safetensors if isinstance(payload, Cast) else code, shape, payload)


def _storage_key(value: Node) -> str | None:
    """The key of the storage of a tensor, which is the tensor's name in the input; None for anything else."""
    _, arguments = rebuilt_by(value)
    reference = storage_ref(plain(arguments[0])) if arguments else None
    return reference.key if reference is not None else None


def _names(edit: Edit) -> dict[str | None, list[str]]:
    """The names of the tensors in a state dict by the keys of their storages."""
    found = dict[str | None, list[str]]()
    for key, value in pairs(edit.root):
        found.setdefault(_storage_key(value), []).append(text(key) or "")
    return found


def _forms(edit: Edit) -> Forms:
    """Those of a state dict, each of whose tensors has to be all of a storage, in row-major order."""
    found: Forms = {}
    for key, value in pairs(edit.root):
        tensor = plain_tensor(value)
        if tensor is None or not BY_NAME[tensor.dtype].safetensors:
            raise EditError(f"safetensors cannot represent {text(key)}: name a .pt, or use ptzip convert")
        form = BY_NAME[tensor.dtype].safetensors, counted_shape(tensor.dtype, tensor.shape)
        size = math.prod(tensor.shape) * BY_NAME[tensor.dtype].size
        is_whole = tensor.stride == contiguous(tensor.shape) and edit.payload(tensor.storage.key).length == size
        if not is_whole or found.setdefault(tensor.storage.key, form) != form:
            raise EditError(f"tensor {text(key)} is a view of others' bytes: name a .pt, or use ptzip convert")
    return found
