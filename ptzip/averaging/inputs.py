"""One file of an average: its tree without the states of training, and the tensors that remain, by name."""

import contextlib
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.editing.edit import Edit
from ptzip.errors import EditError, PtzipError, UnsupportedError
from ptzip.formats.collection import Collection
from ptzip.formats.container import Container
from ptzip.formats.safetensors import SafeTensors
from ptzip.recipes.apply import recipe_for, start_edit
from ptzip.tensors.tensor import Tensor, check_overlaps
from ptzip.values.builder import build
from ptzip.values.tensor_names import named_tensors


class Input(NamedTuple):
    """A file, opened and released: the edit of its tree that left out the states of training, the recipe that says what those
    are, and the tensors by their names, whose storages have the keys of the edit."""

    checkpoint: Checkpoint
    container: Container
    edit: Edit
    recipe: str
    tensors: dict[str, Tensor]

    @property
    def name(self) -> str:
        return self.checkpoint.source.name


@contextlib.contextmanager
def errors_about(name: str) -> Iterator[None]:
    """Let errors about one of the files say which; an OSError does."""
    try:
        yield
    except PtzipError as error:
        raise type(error)(f"{name}: {error.message}", error.offset, error.inside) from error


def input_of(checkpoint: Checkpoint, is_written: bool) -> Input:
    """What is averaged of a checkpoint, which is released; no tensor is read. Only of one that is written the tree is kept.

    Raises UnsupportedError or EditError where its format cannot be written or there are no weights, FormatError where a storage
    has not the bytes that the pickle says.
    """
    container = checkpoint.container
    if isinstance(container, Collection):
        raise checkpoint.no_object()
    if container.refusal:
        raise UnsupportedError(container.refusal)
    if checkpoint.parts:
        checkpoint.main.check_storages()
    edit = start_edit(checkpoint.release(), checkpoint.source.name)
    recipe = recipe_for(container, edit.root, is_any=True)
    recipe.drop(edit)
    part = edit.as_part()
    tensors = named_tensors(build(part, unknown="keep", limits=checkpoint.limits), checkpoint.limits.paths)
    for one in (part, edit.part):  # the tensors keep both
        one.release()
    if not is_written:
        edit.release()
    if isinstance(container, SafeTensors):
        shared = container.metadata().items()
        tensors |= {name: tensors[kept] for name, kept in shared if kept in tensors and name not in tensors}
    if not tensors:
        raise EditError("there is no tensor in this file")
    check_overlaps(tensors.values())
    return Input(checkpoint, container, edit, recipe.name, tensors)
