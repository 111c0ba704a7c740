"""Files of a folder that are checkpoints of their own, and the tensors in them."""

import re
from typing import NamedTuple

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.container import Part
from ptzip.formats.detect import open_container
from ptzip.formats.folders.pieces import Piece, Stored
from ptzip.formats.torchzip import TorchZip
from ptzip.io.folders import FolderSource
from ptzip.io.sources import placed
from ptzip.limits import Limits
from ptzip.pickling.nodes import Node
from ptzip.tensors.references import parameter_arguments, plain_tensor

NUMBER = re.compile(r"[0-9]+")


class View(NamedTuple):
    """A tensor of a file, or a stretch of a flat one; `key` is that of its storage."""

    file: str
    key: str
    dtype: str
    shape: tuple[int, ...]
    stored: Stored

    def piece(self, offsets: tuple[int, ...]) -> Piece:
        """The same as the box of a larger tensor, from index `offsets` on."""
        return Piece(offsets, self.shape, lambda: self.stored, self.file)

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for the same elements of a file."""
        return self.key, self.dtype, self.shape, *self.stored[1:]

    @property
    def is_flat(self) -> bool:
        """Whether it has one dimension, and its elements follow one another."""
        return len(self.shape) == 1 and (self.stored.stride == (1,) or self.shape[0] <= 1)

    def stretch(self, first: int, stop: int) -> "View":
        """Elements of a flat tensor."""
        payload, offset, stride = self.stored
        return self._replace(shape=(stop - first,), stored=Stored(payload, offset + first, stride))


def opened(source: FolderSource, file: str, limits: Limits) -> Part:
    """The pickle of a file. Raises FormatError where it is broken or was saved as that of another process, UnsupportedError
    where it has none or another byte order."""
    try:
        with placed(source.files[file]):
            container = open_container(source.files[file], limits)
    except FormatError as error:
        raise FormatError(f"{file} cannot be read: {error.message}", error.offset, error.inside) from error
    if not container.parts:
        raise UnsupportedError(f"{file} is a {container.name}, expected a file of torch.save")
    if isinstance(container, TorchZip):
        _check_saved_name(file, container.prefix.rstrip("/"))
    part = container.parts[0]
    part.name = file
    part.check_storages()
    if part.big_endian and part.storages:
        raise UnsupportedError(f"{file} is big-endian: save it on a little-endian machine")
    return part


def _check_saved_name(file: str, saved: str) -> None:
    """Raise FormatError where the name under which torch saved a file, which its zip keeps, differs from its own in numbers
    alone. Nothing else in a shard may say which one it is, and shards in another order are other weights."""
    name = file.rpartition("/")[2].rpartition(".")[0]
    if name != saved and NUMBER.sub("0", name) == NUMBER.sub("0", saved):
        raise FormatError(f"{file} was saved as {saved}: it was renamed, or is a copy of that: copy the right file here")


def view(part: Part, node: Node | None) -> View | None:
    """The tensor that a node of a file is, or the parameter; None for anything else."""
    inner = parameter_arguments(node) if node is not None else []
    found = plain_tensor(inner[0] if inner else node) if node is not None else None
    if found is None:
        return None
    key = found.storage.key
    payload = part.stored(key)
    payload.name = f"{part.name}: storage {key}"
    return View(part.name, key, found.dtype, found.shape, Stored(payload, found.offset, found.stride))
