"""The plan of an average: which tensors are averaged, and the payloads that replace the storages of the first file.

Averaged are floats and complex numbers. Integers, booleans and quantised values are those of the first file, and must be the
same in all: a mean of them means nothing. That is checked before anything is written.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ptzip.averaging.inputs import Input, errors_about
from ptzip.averaging.mean import Floats, Mean
from ptzip.averaging.views import Digests, Island, View, islands, view_of
from ptzip.editing.quantised import StoredAs
from ptzip.errors import EditError, UnsupportedError
from ptzip.io.payloads import JoinedPayload, Payload, part_of, unchecked
from ptzip.tensors.blocks import RowMajor
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.storage import Storage
from ptzip.tensors.tensor import Tensor
from ptzip.tensors.to_numpy import storage_of, swapped_unit
from ptzip.text import listed
from ptzip.tree.paths import with_prefixes

NUMBERS = {
    **{name: name for name in ("float64", "float32", "float16", "bfloat16")},
    **{"complex128": "float64", "complex64": "float32", "complex32": "float16"},
}
"""The dtypes that are averaged, and the dtype of their numbers. A float8 means little without its scale."""


class Averaged(NamedTuple):
    """A mean, and the names of the tensors in it."""

    mean: Mean
    names: tuple[str, ...]


class Plan(NamedTuple):
    """What is averaged, and the names of the tensors that differ and are those of the first file."""

    averaged: list[Averaged]
    kept: tuple[str, ...]


class Planner:
    """Plans the average of some files, whose layouts are the same; numbers of at most 32 bits are summed in `precision`."""

    def __init__(self, inputs: Sequence[Input], weights: tuple[float, ...], precision: str) -> None:
        self.inputs = inputs
        self.weights = weights
        self.precision = precision
        self._digests = Digests()
        self._fixed = set(_fixed(inputs[0].tensors))

    def plan(self, is_first: bool) -> Plan:
        """Replace the payloads of the first file's edit.

        Raises EditError where tensors that are not averaged differ, unless those of the first file are wanted (`is_first`), and
        UnsupportedError where tensors share memory in one file and not in another.
        """
        by_storage = dict[int, list[View]]()
        for view in self._views():
            by_storage.setdefault(id(view.storage), []).append(view)
        found = {some[0].storage: islands(some) for some in by_storage.values()}
        averaged = {storage: [island for island in some if self._number(island)] for storage, some in found.items()}
        others = [view for some in found.values() for island in some if not self._number(island) for view in island.views]
        kept = self._differing(others, is_first)
        return Plan([one for storage, some in averaged.items() if some for one in self._replace(storage, some)], kept)

    def _views(self) -> Iterator[View]:
        """The tensors that have elements of their own."""
        for name, tensor in self.inputs[0].tensors.items():
            if tensor.storage is not None and tensor.numel:
                with errors_about(name):
                    view = view_of(name, [one.tensors[name] for one in self.inputs])
                yield view

    def _number(self, island: Island) -> str:
        """The dtype of the numbers that are averaged; "" where the bytes are to stay, or tensors disagree on what they are."""
        found = {"" if view.name in self._fixed else NUMBERS.get(view.tensors[0].dtype, "") for view in island.views}
        return found.pop() if len(found) == 1 and self._is_replaceable(island.views[0].storage) else ""

    def _is_replaceable(self, storage: Storage) -> bool:
        """Whether the bytes are a storage of the first file, and not an array or a list in its pickle."""
        edit, key = self.inputs[0].edit, storage.key
        is_known = key in edit.payloads or key in edit.account.sizes
        return is_known and unchecked(storage.payload()) is unchecked(edit.payload(key))

    def _differing(self, views: Sequence[View], is_first: bool) -> tuple[str, ...]:
        """The names of tensors that are not averaged, and differ."""
        files = [one.name for one in self.inputs]
        found = {view.name: file for view in views if (file := self._first_other(view, files))}
        inner = [name for name in found if self._is_inner(name)]
        if inner:
            where = f"in {files[0]} and {found[inner[0]]}"
            what = "indices of sparse tensors, quantised values and arrays are not averaged"
            raise EditError(f"{what}, and differ {where}: {listed(inner)}")
        if found and not is_first:
            where = f"in {files[0]} and {next(iter(found.values()))}"
            hint = "--integers first takes those of the first file"
            raise EditError(f"integers are not averaged, and differ {where}: {listed([*found])} ({hint})")
        return tuple(found)

    def _is_inner(self, name: str) -> bool:
        """Whether a tensor fits only others of its own file: a quantised weight, a part of a sparse tensor."""
        tensor = self.inputs[0].tensors[name]
        is_float = tensor.dtype in NUMBERS  # in a list or array, or in memory that integers share
        return name in self._fixed or is_float or StoredAs(tensor.dtype, tensor.shape).is_quantised

    def _first_other(self, view: View, files: Sequence[str]) -> str:
        """The first file in which a tensor is not that of the first, or ""."""
        first, *others = view.tensors
        for file, other in zip(files[1:], others, strict=True):
            with errors_about(f"{view.name} in {files[0]} and {file}"):
                if not self._digests.are_equal((first, other)):
                    return file
        return ""

    def _replace(self, storage: Storage, averaged: Sequence[Island]) -> list[Averaged]:
        """Let the first file's storage have the means of its islands, and the bytes that it has between them."""
        edit, at, parts, found = self.inputs[0].edit, 0, list[Payload](), list[Averaged]()
        whole = edit.payload(storage.key)
        for island in averaged:
            mean = self._mean(island, whole)
            found.append(Averaged(mean, tuple(view.name for view in island.views)))
            parts += [part_of(whole, at, island.first - at), mean]
            at = island.stop
        parts.append(part_of(whole, at, whole.length - at))
        used = [part for part in parts if part.length]
        edit.payloads[storage.key] = used[0] if len(used) == 1 else JoinedPayload(tuple(used))
        return found

    def _mean(self, island: Island, whole: Payload) -> Mean:
        number = self._number(island)
        own = Floats(_part(whole, island.first, island.stop), _is_swapped(island.views[0].storage, number), self.inputs[0].name)
        others = (self._floats(island, at, number) for at in range(1, len(self.inputs)))
        wide = "float64" if number == "float64" else self.precision
        return Mean((own, *others), self.weights, number, wide)

    def _floats(self, island: Island, at: int, number: str) -> Floats:
        """The numbers of an island in the file number `at`, in the order of the first file."""
        first, other = self.inputs[0].name, self.inputs[at].name
        (shift, *more), copies = {view.shifts()[at - 1] for view in island.views}, [view.tensors[at] for view in island.views]
        if shift is not None and not more:
            root, _ = storage_of(copies[0]).root
            part = _part(root.checked_payload(), island.first + shift.start, island.stop + shift.start)
            return Floats(part, _is_swapped(root, number), other)
        names = listed([view.name for view in island.views])
        if not island.is_one_view:
            raise UnsupportedError(
                f"{names}: laid out in {first} in another way than in {other}; ptzip convert makes them alike"
            )
        if not self._digests.are_equal(copies):
            raise EditError(f"{names} are one tensor in {first}, and differ in {other}")
        return Floats(RowMajor(copies[0]), name=other)


def _part(payload: Payload, first: int, stop: int) -> Payload:
    return payload if (first, stop) == (0, payload.length) else part_of(payload, first, stop - first)


def _is_swapped(storage: Storage, number: str) -> bool:
    """Whether the numbers in a storage are big-endian. Raises UnsupportedError where it swaps bytes of another size."""
    unit = swapped_unit(storage) if storage.big_endian else 1
    if unit not in (1, BY_NAME[number].size):
        raise UnsupportedError(
            f"storage {storage.key} is big-endian and of dtype {storage.dtype.name}, and a tensor in it is not"
        )
    return unit > 1


def _fixed(tensors: Mapping[str, Tensor]) -> Iterator[str]:
    """The names of tensors that fit no others than those of their own file: the indices of sparse tensors, the scales of
    quantised ones, and what has other tensors below its name, as bitsandbytes packs numbers of 4 bits (`editing.quantised`)."""
    owners = {id(part): tensor for tensor in tensors.values() for part in tensor.components.values()}
    above = {one for name in tensors for one in with_prefixes(name.rpartition(".")[0])}
    for name, tensor in tensors.items():
        owner = owners.get(id(tensor))
        if name in above or (owner is not None and (owner.qscheme or tensor.dtype not in NUMBERS)):
            yield name
