"""What is converted: the weights of a checkpoint, without the states of training that `slim` removes, cast as `slim` casts.

The recipes are those of `slim`, and edit the same tree; the tensors of the edited tree are then written like those of a file.
A pickle whose layout no recipe knows is taken whole. For a cast its tensors are one state dict, as those of a file without a
pickle are.
"""

from bisect import bisect_right
from collections.abc import Collection as Several
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate, groupby
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.converting.selection import without_components
from ptzip.converting.state_dict_writer import unsupported
from ptzip.editing.account import Category, Change
from ptzip.editing.edit import Edit
from ptzip.editing.state_dict import as_part
from ptzip.errors import EditError
from ptzip.formats.collection import Collection
from ptzip.formats.container import Container
from ptzip.formats.detect import open_container
from ptzip.io.payloads import unchecked
from ptzip.limits import Limits
from ptzip.pickling.nodes import Node
from ptzip.recipes import GENERIC, choose
from ptzip.recipes.apply import HOW_TO_USE, edit_of, recipe_for, trim_and_cast
from ptzip.recipes.find_training import Found, find_training
from ptzip.recipes.kept import averages_and_live, leftovers
from ptzip.recipes.no_weights import advice, only_training
from ptzip.recipes.recipe import Recipe
from ptzip.recipes.refusals import refusal
from ptzip.recipes.training_states import Holdings
from ptzip.tensors.cast import Cast, Stretch
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.strides import element_range
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from ptzip.values.tensor_names import NamedPickle, arrays_of, joined, pickles_of, tensors_in

KEEP = "keep"
ALL = "--all exports all tensors"


class Wanted(NamedTuple):
    """What to convert: all tensors or the weights alone, cast to `dtype` unless it is "keep"."""

    dtype: str = KEEP
    is_all: bool = False


class Weights(NamedTuple):
    """The tensors to convert, what was left out for them, and what is good to know. `edits` are those of pickles, `sources`
    tensors that others were made of."""

    tensors: Mapping[str, Tensor]
    recipe: str = ""
    removed: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
    sources: tuple[Tensor, ...] = ()


Overflowing = Mapping[str, Several[Stretch]]
"""Stretches of storages that keep their dtype, by the name of their pickle."""


def weights_of(checkpoint: Checkpoint, wanted: Wanted, overflowing: Overflowing) -> Weights:
    """What `wanted` says of a checkpoint. Raises EditError where there are no weights, or where slim refuses the file."""
    if wanted.is_all and wanted.dtype == KEEP:
        return Weights(checkpoint.tensors())
    found = _of_container(checkpoint.container, checkpoint.limits, wanted, overflowing)
    if not found.tensors and found.removed:
        raise EditError(f"{advice(' and '.join(dict.fromkeys(change.what for change in found.removed)))} ({ALL})")
    return found


def _of_container(container: Container, limits: Limits, wanted: Wanted, overflowing: Overflowing) -> Weights:
    if isinstance(container, Collection):
        inner = {name: open_container(container.opened(name, limits), limits) for name in container.checkpoints}
        return _joined([_below(name, _of_container(one, limits, wanted, overflowing)) for name, one in inner.items()])
    if (arrays := arrays_of(container)) is not None:
        return _of_tensors(container, arrays, wanted, overflowing)
    return _joined([_of_pickle(container, limits, one, wanted, overflowing) for one in pickles_of(container)])


def _below(name: str, found: Weights) -> Weights:
    """The weights of a file in a collection."""
    tensors = {joined(name, path): tensor for path, tensor in found.tensors.items()}
    return found._replace(tensors=tensors, removed=tuple(one._replace(path=joined(name, one.path)) for one in found.removed))


def _joined(found: list[Weights]) -> Weights:
    """Those of all pickles of a file."""
    return Weights(
        {name: tensor for one in found for name, tensor in one.tensors.items()},
        ", ".join(dict.fromkeys(one.recipe for one in found if one.recipe)),
        tuple(change for one in found for change in one.removed),
        tuple(note for one in found for note in one.notes),
        tuple(edit for one in found for edit in one.edits),
        tuple(source for one in found for source in one.sources),
    )


def _of_pickle(container: Container, limits: Limits, pickle: NamedPickle, wanted: Wanted, overflowing: Overflowing) -> Weights:
    prefix, part = pickle
    if not wanted.is_all and (reason := refusal(part.pickle, part.root)):
        raise EditError(f"{reason} ({ALL})")
    edit = edit_of(container, part)
    if not wanted.is_all and (what := only_training(edit.root)):
        return Weights({}, removed=(Change(Category.OTHER, prefix, what),))
    recipe = GENERIC if wanted.is_all else _known(edit.root)
    is_known = recipe is not None and any(True for _ in recipe.weights(edit.root))
    if recipe is None or (wanted.is_all and not is_known):
        tensors = tensors_in([(prefix, build(part, unknown="keep", limits=limits))], limits.paths)
        return Weights(tensors) if wanted.dtype == KEEP else _of_tensors(container, tensors, wanted, overflowing)
    notes = _apply(edit, recipe, wanted, overflowing)
    new = edit.as_part() if _is_changed(edit, wanted) else part
    tensors = tensors_in([(prefix, build(new, unknown="keep", limits=limits))], limits.paths)
    return Weights(tensors, recipe.name, _removed(edit), notes, (edit,))


def _known(root: Node) -> Recipe | None:
    """The recipe for a layout, if there is one."""
    try:
        return choose(root)
    except EditError:
        return None


def _of_tensors(container: Container, tensors: Mapping[str, Tensor], wanted: Wanted, overflowing: Overflowing) -> Weights:
    """Tensors of a file without a pickle, or whose layout is unknown, as one state dict."""
    alone = without_components(dict(tensors))
    stored = {name: one for name, one in alone.items() if one.storage is not None}
    simple = {name: one for name, one in stored.items() if one.dtype not in BY_NAME or not unsupported(name, one)}
    if not simple:
        return Weights(tensors)
    edit = Edit(as_part(simple))
    recipe = recipe_for(container, edit.root) if arrays_of(container) is not None else GENERIC
    notes = _apply(edit, recipe, wanted, overflowing)
    if not _is_changed(edit, wanted):
        return Weights(tensors, recipe.name, notes=notes)
    new = build(edit.as_part(), unknown="keep")
    assert isinstance(new, dict), "a state dict is a dict"
    kept = {name: _of_file(tensors.get(name), one) for name, one in new.items()}
    found = {name: kept.get(name, one) for name, one in alone.items() if name in kept or name not in simple}
    return Weights(found, recipe.name, _removed(edit), notes, (edit,), tuple(simple.values()))


def _of_file(old: Tensor | None, new: Tensor) -> Tensor:
    """The tensor as it was in the file, where it was not cast: some dtypes cannot be represented in the tree."""
    is_same = old is not None and old.storage is not None and new.storage is not None and old.storage.key == new.storage.key
    return old if is_same and old is not None and (new.dtype == old.dtype or old.dtype not in BY_NAME) else new


def _apply(edit: Edit, recipe: Recipe, wanted: Wanted, overflowing: Overflowing) -> tuple[str, ...]:
    """Remove the states of training, and cast the weights. Returns what is good to know."""
    notes = list[str]()
    if not wanted.is_all:
        has_tensors = Holdings().tensors
        found = [one for one in find_training(edit.root, most=edit.most_paths) if has_tensors(one.node)]
        recipe.drop(edit)
        notes += _kept(edit, recipe, found)
    if wanted.dtype != KEEP:
        count = len(edit.account.notes)
        trim_and_cast(edit, recipe, wanted.dtype, overflowing=overflowing.get(edit.part.name, ()))
        notes += [note for note in edit.account.notes[count:] if note != HOW_TO_USE]
    return tuple(notes)


def _kept(edit: Edit, recipe: Recipe, found: list[Found]) -> Iterator[str]:
    """What looks like a state of training and is converted all the same, and weights that are there twice."""
    if paths := leftovers(edit, found):
        yield f"{', '.join(paths)}: looks like the state of a training, and is converted all the same"
    averages, live = averages_and_live([path for path, _ in recipe.weights(edit.root)])
    if averages and live:
        yield f"{', '.join(averages)} (averaged weights) and {', '.join(live)} are both converted"


def _removed(edit: Edit) -> tuple[Change, ...]:
    return tuple(change for change in edit.account.changes if change.is_of_tensors)


def _is_changed(edit: Edit, wanted: Wanted) -> bool:
    """Whether the tensors of an edit are others than those of the file."""
    return wanted.dtype != KEEP or bool(_removed(edit)) or bool(edit.account.moved)


def casts_of(edits: Iterable[Edit]) -> dict[str, list[Cast]]:
    """The casts of edits, by the name of their pickle."""
    return {edit.part.name: [one for one in edit.payloads.values() if isinstance(one, Cast)] for edit in edits}


def is_cast(tensor: Tensor) -> bool:
    return tensor.storage is not None and isinstance(unchecked(tensor.storage.root[0].payload()), Cast)


def on_stretches(tensors: Mapping[str, Tensor], overflowing: Overflowing) -> Iterator[str]:
    """The names of the tensors on some stretches of storages."""
    ends = dict[str, tuple[list[int], list[int]]]()
    for key, group in groupby(sorted(stretch for found in overflowing.values() for stretch in found), lambda one: one.key):
        stretches = list(group)
        ends[key] = [one.first for one in stretches], list(accumulate((one.stop for one in stretches), max))
    for name, tensor in tensors.items() if ends else ():
        if tensor.storage is not None and tensor.layout == "strided":
            key, (first, stop) = tensor.storage.root[0].key, element_range(tensor.offset, tensor.shape, tensor.stride)
            starts, furthest = ends.get(key, ((), ()))
            at = bisect_right(starts, first) - 1
            if at >= 0 and first < stop <= furthest[at]:
                yield name
