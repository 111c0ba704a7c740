"""The new file of an edited safetensors file: the tensors that an edit left, and the metadata as they were spelled."""

from collections.abc import Iterator

from ptzip.editing.edit import Edit
from ptzip.errors import EditError
from ptzip.formats.safetensors import SafeTensors
from ptzip.formats.safetensors_header import metadata_text
from ptzip.formats.safetensors_writer import NewTensor, layout
from ptzip.io.payloads import SequentialFile
from ptzip.pickling.nodes import Node, pairs, plain, text
from ptzip.tensors.cast import Cast
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.references import rebuilt_by, storage_ref


def tensors_file(edit: Edit, container: SafeTensors) -> SequentialFile:
    """The file, planned before the edit is finished, which gives storages new keys.

    Raises EditError where the edit left something other than tensors.
    """
    return layout(_new_tensors(edit, container), metadata_text(container.source))


def _new_tensors(edit: Edit, container: SafeTensors) -> Iterator[NewTensor]:
    """What was cast has a new dtype; everything else is in the header as it was."""
    forms = {name: (code, shape) for name, code, shape in container.header[0]}
    for key, value in pairs(edit.root):
        name, origin = text(key) or "", _storage_key(value)
        if origin is None:
            raise EditError(f"a safetensors file holds tensors only: {name} cannot be set (--format zip can have other values)")
        payload, (code, shape) = edit.payload(origin), forms[origin]
        yield NewTensor(name, BY_NAME[payload.target].safetensors if isinstance(payload, Cast) else code, shape, payload)


def _storage_key(value: Node) -> str | None:
    """The key of the storage of a tensor, which is the tensor's name in the input; None for anything else."""
    _, arguments = rebuilt_by(value)
    reference = storage_ref(plain(arguments[0])) if arguments else None
    return reference.key if reference is not None else None
