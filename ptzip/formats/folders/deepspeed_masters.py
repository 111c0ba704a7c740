"""The float32 masters of DeepSpeed ZeRO: flat tensors in the shards of the optimizer (`deepspeed/utils/zero_to_fp32.py`)."""

import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.folders.assembly import Assembly
from ptzip.formats.folders.deepspeed_files import CONVERT, Step
from ptzip.formats.folders.fields import entries, items, number, numbers
from ptzip.formats.folders.pieces import Piece
from ptzip.formats.folders.whole_files import View, opened, view
from ptzip.io.folders import FolderSource
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom, Call, Dict, Node, lookup, pairs, state, text

FLAT_GROUPS, SUB_GROUPS = "single_partition_of_fp32_groups", "fp32_flat_groups"
"""The keys of the masters up to stage 2, a tensor for each group of parameters, and at stage 3, one for each sub-group."""


class Shard(NamedTuple):
    """What one process has of the masters: flat tensors, for each group of parameters, or at stage 3 for each sub-group."""

    file: str
    flats: tuple[View, ...]
    state: Node
    is_in_order: bool
    """Whether its configuration says that parameters are in the order of the model."""


class Line:
    """Flat tensors, as if they followed one another."""

    def __init__(self, flats: Sequence[View]) -> None:
        self.flats = flats
        self.starts = [0, *itertools.accumulate(flat.shape[0] for flat in flats)]

    @property
    def numel(self) -> int:
        return self.starts[-1]

    def pieces(self, first: int, stop: int, at: int = 0) -> Iterator[Piece]:
        """Elements `first` to `stop` as pieces of a flat tensor, in which they begin at index `at`."""
        for index in range(max(bisect_right(self.starts, first) - 1, 0), len(self.flats)):
            start, end = self.starts[index : index + 2]
            low, high = max(first, start), min(stop, end)
            if start >= stop:
                return
            if low < high:
                yield self.flats[index].stretch(low - start, high - start).piece((at + low - first,))


class Masters:
    """The float32 weights of a folder. Raises FormatError where its shards do not belong together."""

    def __init__(self, source: FolderSource, step: Step, held: Mapping[str, Node], limits: Limits) -> None:
        self.source = source
        self.step = step
        self.held = held
        self.limits = limits
        self.groups = [shapes_in(group) for group in items(held.get("param_shapes"))]
        self.shards = [self._shard(file) for _, file in sorted(step.shards.items())]
        self._check_world()

    @property
    def world(self) -> int:
        return len(self.shards)

    def nodes(self, assembly: Assembly) -> dict[str, Node]:
        """The tensors by name: those that are trained, at stage 3 also those that are frozen, and other names of the same."""
        pieces = self._of_lines() if self.step.is_stage3 else self._of_groups()
        found = {name: assembly.tensor(name, self._dtype, shape, parts, is_flat=True) for name, shape, parts in pieces}
        if self.step.is_stage3:
            found |= frozen(self.source, self.step, self.held, assembly, self.limits)
        return found | shared(self.held, found)

    @property
    def _dtype(self) -> str:
        dtypes = {flat.dtype for shard in self.shards for flat in shard.flats}
        if len(dtypes) > 1:
            raise UnsupportedError(
                f"the masters of this folder have several dtypes ({', '.join(sorted(dtypes))}), expected one"
            )
        return next(iter(dtypes), "float32")

    def _shard(self, file: str) -> Shard:
        part = opened(self.source, file, self.limits)
        held = lookup(part.root, "optimizer_state_dict")
        key = SUB_GROUPS if self.step.is_stage3 else FLAT_GROUPS
        groups = lookup(held, key)
        if held is None or groups is None:
            raise UnsupportedError(f"{file} has no float32 masters under the key {key}: without --masters, none are needed")
        flats = [view(part, node) for node in items(groups)]
        whole = tuple(flat for flat in flats if flat is not None and flat.is_flat)
        if len(whole) < len(flats):
            raise FormatError(f"{file} has something other than flat tensors under the key {key}")
        zero = lookup(lookup(part.root, "ds_config"), "zero_optimization")
        shuffled = lookup(zero, "round_robin_gradients")
        is_in_order = zero is not None and not (isinstance(shuffled, Atom) and shuffled.value)
        return Shard(file, whole, held, is_in_order)

    def _check_world(self) -> None:
        """Raise FormatError unless there is a shard of every process, with the same numbers of elements where it matters."""
        for shard in self.shards:
            counts = lookup(shard.state, "partition_count")
            found = {number(counts)} if isinstance(counts, Atom) else set(numbers(counts))
            if len(found) > 1:
                raise UnsupportedError(f"the experts of this model are split among processes: {CONVERT}")
            if found and found != {self.world}:
                raise FormatError(
                    f"{shard.file} is one of {found.pop()} shards, but this folder has {self.world}: copy all of one run here"
                )
            if len(shard.flats) != len(self.shards[0].flats):
                raise FormatError(
                    f"{shard.file} has {len(shard.flats)} groups, and {self.shards[0].file} has {len(self.shards[0].flats)}"
                )
        for rank, known in enumerate(sorted(self.step.shards)):
            if rank != known:
                raise FormatError(f"the shard of process {rank} is missing in this folder: copy it here")

    # Up to stage 2

    def _of_groups(self) -> Iterator[tuple[str, tuple[int, ...], list[Piece]]]:
        """Each group is one line over all shards, which the parameters share in their order."""
        if len(self.groups) != len(self.shards[0].flats):
            raise FormatError(
                f"the model file has {len(self.groups)} groups of parameters, and the shards have {len(self.shards[0].flats)}"
            )
        paddings = [numbers(one) for one in items(lookup(self.shards[0].state, "param_alignment_paddings"))]
        for group, shapes in enumerate(self.groups):
            line, at = Line([shard.flats[group] for shard in self.shards]), 0
            between = paddings[group] if group < len(paddings) else (0,) * len(shapes)
            if len(between) != len(shapes):
                raise FormatError(f"group {group} has {len(shapes)} parameters, but paddings of {len(between)}")
            where = dict[str, tuple[int, int]]()
            for (name, shape), padding in zip(shapes.items(), between, strict=True):
                where[name] = at, at + math.prod(shape)
                at = where[name][1] + padding
            self._check_line(line, at, 2 * self.world)
            self._check_slices(group, line, where)
            yield from ((name, shape, list(line.pieces(*where[name]))) for name, shape in shapes.items())

    def _check_line(self, line: Line, used: int, multiple: int) -> None:
        """Raise FormatError where the parameters take more elements than there are, or fewer, but for padding."""
        if -(-used // multiple) == -(-line.numel // multiple):
            return
        if any(not flat.shape[0] for flat in line.flats):
            raise UnsupportedError(
                f"{line.flats[0].file} has a flat tensor without elements, as if they were swapped to a disk (NVMe): "
                "let DeepSpeed load it and save it without that"
            )
        raise FormatError(
            f"the parameters take {used:,} elements, and the shards ({line.flats[0].file} and others) have {line.numel:,}: "
            "they are of different checkpoints"
        )

    def _check_slices(self, group: int, line: Line, where: Mapping[str, tuple[int, int]]) -> None:
        """Raise FormatError where a shard itself says that it has other parts of the parameters.

        With `round_robin_gradients`, what it says is of another order than the one in which they are.
        """
        for shard, (start, end) in zip(self.shards, itertools.pairwise(line.starts), strict=True):
            mappings = items(lookup(shard.state, "param_slice_mappings"))
            said = {name_of(name): _slice(address) for name, address in pairs(mappings[group])} if group < len(mappings) else {}
            wrong = next(iter(dict(said.items() ^ _cut(where, start, end).items())), None)
            if said and wrong is not None and shard.is_in_order:
                raise FormatError(
                    f"{shard.file} says that it has another part of {wrong} than its number means: it was renamed, or is of "
                    "another checkpoint"
                )

    # Stage 3

    def _of_lines(self) -> Iterator[tuple[str, tuple[int, ...], list[Piece]]]:
        """Each shard is a line, on which every parameter takes as many elements, the last of them padding."""
        shapes = {name: shape for group in self.groups for name, shape in group.items()}
        shares = {name: -(-math.prod(shape) // self.world) for name, shape in shapes.items()}
        lines, at = [Line(shard.flats) for shard in self.shards], 0
        for line in lines:
            self._check_line(line, sum(shares.values()), 1)
        for name, shape in shapes.items():
            yield name, shape, _joined(lines, at, shares[name], math.prod(shape))
            at += shares[name]


def shared(held: Mapping[str, Node], found: Mapping[str, Node]) -> dict[str, Node]:
    """Further names of tensors."""
    names = [(name_of(name), name_of(other)) for name, other in entries(held.get("shared_params"))]
    return {name: found[other] for name, other in names if other in found}


def frozen(
    source: FolderSource, step: Step, held: Mapping[str, Node], assembly: Assembly, limits: Limits
) -> Iterator[tuple[str, Node]]:
    """Frozen parameters of stage 3, of which each model file has a fragment of the same size."""
    shapes = shapes_in(held.get("frozen_param_shapes"))
    if not shapes:
        return
    missing = next((rank for rank in range(max(step.models) + 1) if rank not in step.models), None)
    if missing is not None:
        raise FormatError(
            f"the model file of process {missing} is missing, which has a part of {next(iter(shapes))}: copy it here"
        )
    parts = [opened(source, file, limits) for _, file in sorted(step.models.items())]
    fragments = [lookup(part.root, "frozen_param_fragments") for part in parts]
    for name, shape in shapes.items():
        found = [view(part, lookup(held, name)) for part, held in zip(parts, fragments, strict=True)]
        whole = [one for one in found if one is not None and one.is_flat]
        if len(whole) < len(found):
            raise FormatError(f"a model file of this folder has no fragment of {name}, expected one in each")
        pieces = _joined([Line([one]) for one in whole], 0, -(-math.prod(shape) // len(parts)), math.prod(shape))
        yield name, assembly.tensor(name, whole[0].dtype, shape, pieces, is_flat=True)


def _joined(lines: Sequence[Line], first: int, share: int, numel: int) -> list[Piece]:
    """The pieces of a parameter of which each line has a share from element `first` on."""
    found = list[Piece]()
    for rank, line in enumerate(lines):
        at = rank * share
        found += line.pieces(first, first + max(min(share, numel - at), 0), at)
    return found


def shapes_in(node: Node | None) -> dict[str, tuple[int, ...]]:
    """The shapes of parameters by name."""
    return {name_of(name): numbers(shape) for name, shape in pairs(node)} if isinstance(node, Dict | Call) else {}


def _cut(where: Mapping[str, tuple[int, int]], start: int, end: int) -> dict[str, tuple[int, int]]:
    """The first element and their number of each parameter that has some from `start` to `end` of a line."""
    cut = {name: (max(low, start) - start, min(high, end) - max(low, start)) for name, (low, high) in where.items()}
    return {name: part for name, part in cut.items() if part[1] > 0}


def name_of(node: Node) -> str:
    """A name as a file has it, or ""."""
    return text(node) or ""


def _slice(node: Node) -> tuple[int, int]:
    """The first element and their number in a `fragment_address` (`deepspeed/utils/tensor_fragment.py`)."""
    built = state(node)
    return number(lookup(built, "start")), number(lookup(built, "numel"))
