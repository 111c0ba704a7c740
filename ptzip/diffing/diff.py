"""The comparison of two checkpoints: their objects by path, their tensors number by number.

Only a box of one tensor of each file is in memory at a time. What cannot be compared is reported, never counted as equal.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.diffing.numeric import Tolerance
from ptzip.diffing.objects import ObjectDiff
from ptzip.diffing.report import Changed, DiffReport, LoneTensor, Moved, Only
from ptzip.diffing.tensors import PICKLE_ONLY, TensorPairs, form
from ptzip.diffing.value_equality import describe
from ptzip.errors import PtzipError, beyond
from ptzip.formats.container import Container
from ptzip.formats.zips import ForeignZip
from ptzip.globs import Rename, renamed
from ptzip.io.payloads import ByteCounter, Progress, read_all
from ptzip.io.sources import Openable, unchanged
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.tensors.tensor import Tensor
from ptzip.values.tensor_names import metadata_of, tensors_in, values_of

Tensors = Mapping[str, Tensor]


class Side(NamedTuple):
    """One of the two files: the values of its pickles by the prefix of their paths, and its tensors by name.

    `texts` are texts outside of pickles, also by prefix: the metadata of safetensors, the code of TorchScript and packages.
    """

    values: dict[str, object]
    tensors: Tensors
    texts: dict[str, dict[str, str]]


def diff(
    a: Openable,
    b: Openable,
    *,
    renames: Sequence[Rename] = (),
    rtol: float = 0.0,
    atol: float = 0.0,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> DiffReport:
    """Compare two checkpoints of any formats.

    `renames` are prefixes of names in A and those that B has instead. Numbers of tensors are the same where
    `|a - b| <= atol + rtol * |b|`, everything else where it is equal. Raises PtzipError or OSError.
    """
    tolerance = Tolerance(rtol, atol)
    if not all(0 <= bound < float("inf") for bound in tolerance):
        raise ValueError(f"rtol is {rtol} and atol {atol}, expected finite numbers of at least 0")
    with open_checkpoint(a, limits) as one, open_checkpoint(b, limits) as other:
        _check_limit(one, other)
        with unchanged(one.source), unchanged(other.source):
            found = _compared(_side(one), _side(other), renames, tolerance, progress, one.limits.paths)
        return replace(found, a=one.source.name, b=other.source.name, notes=tuple(_notes(one, other)))


def _check_limit(one: Checkpoint, other: Checkpoint) -> None:
    """Raise LimitError where two files, which are in memory at once, have more opcodes than one may have."""
    spent = sum(part.pickle.cost for opened in (one, other) for part in opened.parts)
    if spent > one.limits.opcodes:
        raise beyond("opcodes", one.limits.opcodes, f"the two files have {spent:,} opcodes, above")


METADATA = "__metadata__"
"""The key of the metadata in a safetensors header, which prefixes their paths."""


def _side(checkpoint: Checkpoint) -> Side:
    values = list(values_of(checkpoint.container, checkpoint.limits))
    texts = {METADATA: metadata_of(checkpoint.container), "": _code(checkpoint.container, checkpoint.limits)}
    found = {prefix: text for prefix, text in texts.items() if text is not None}
    return Side(dict(values), tensors_in(values, checkpoint.limits.paths) if values else checkpoint.tensors(), found)


def _code(container: Container, limits: Limits) -> dict[str, str] | None:
    """The Python files in a zip. Raises LimitError where one is larger than a pickle may be."""
    if not isinstance(container, ForeignZip) or not container.parts:
        return None
    found = {entry.name[len(container.prefix) :]: entry for entry in container.archive.entries if entry.name.endswith(".py")}
    for name, entry in found.items():
        if entry.size > limits.pickle_bytes:
            raise beyond("pickle_bytes", limits.pickle_bytes, f"record {name} is {entry.size:,} bytes long, above")
    return {name: read_all(entry.payload).decode("utf-8", "backslashreplace") for name, entry in found.items()}


def _compared(
    a: Side, b: Side, renames: Sequence[Rename], tolerance: Tolerance, progress: Progress | None, most: int
) -> DiffReport:
    matches = match(a.tensors, b.tensors, renames)
    counter = ByteCounter(progress, sum(a.tensors[old].nbytes for old, _ in matches.pairs))
    pairs = TensorPairs(tolerance, ignored=() if a.values and b.values else PICKLE_ONLY)
    pairs.read(((a.tensors[old], b.tensors[new]) for old, new in matches.pairs), counter.add)
    found = (pairs.compare(old, a.tensors[old], new, b.tensors[new]) for old, new in matches.pairs)
    differing = [one for one in found if one is not None]
    lone_a = tuple(LoneTensor(name, form(a.tensors[name])) for name in matches.lone_a)
    lone_b = tuple(LoneTensor(name, form(b.tensors[name])) for name in matches.lone_b)
    objects = _objects(a, b, renames, most)
    in_a, in_b, in_both = LoneTensors(lone_a), LoneTensors(lone_b), LoneTensors(lone_a, lone_b)
    return DiffReport(
        *("", ""),
        *tolerance,
        compared=len(matches.pairs),
        tensors=tuple(differing),
        lone_a=lone_a,
        lone_b=lone_b,
        moved=matches.moved,
        only_a=tuple(Only(row.name, row.what, *in_a.below(row.name)) for row in objects.only_a),
        only_b=tuple(Only(row.name, row.what, *in_b.below(row.name)) for row in objects.only_b),
        changed=tuple(Changed(row.name, row.old, row.new, *in_both.below(row.name)) for row in objects.changed),
    )


class Matches(NamedTuple):
    """`pairs` are names in A and in B; `moved` were matched by their CRCs, `lone_a` and `lone_b` have no counterpart."""

    pairs: tuple[tuple[str, str], ...]
    moved: tuple[Moved, ...]
    lone_a: tuple[str, ...]
    lone_b: tuple[str, ...]


def match(a: Tensors, b: Tensors, renames: Sequence[Rename]) -> Matches:
    """Match tensors by name, and the remaining ones by length and CRC of their bytes; no tensor is read.

    A name that `renames` changes takes precedence over the same name unchanged.
    """
    targets = {name: renamed(name, renames) for name in a}
    sources: dict[str, str] = {}
    for name, target in sorted(targets.items(), key=lambda pair: pair[0] == pair[1]):
        if target in b:
            sources.setdefault(target, name)
    pairs = tuple((name, target) for name, target in targets.items() if sources.get(target) == name)
    taken = {name for name, _ in pairs}
    rest_a, rest_b = [name for name in a if name not in taken], [name for name in b if name not in sources]
    moved = tuple(_moved(a, rest_a, b, rest_b))
    moved_from, moved_to = {each.old_name for each in moved}, {each.name for each in moved}
    lone_a = tuple(name for name in rest_a if name not in moved_from)
    return Matches(pairs, moved, lone_a, tuple(name for name in rest_b if name not in moved_to))


def _moved(a: Tensors, rest_a: list[str], b: Tensors, rest_b: list[str]) -> Iterator[Moved]:
    """Tensors with the same fingerprint in both files, paired in order as long as both have one."""
    candidates = defaultdict[Hashable, list[str]](list)
    for name in reversed(rest_b):
        if (fingerprint := _fingerprint(b[name])) is not None:
            candidates[fingerprint].append(name)
    for name in rest_a if candidates else ():
        fingerprint = _fingerprint(a[name])
        if fingerprint is not None and candidates.get(fingerprint):
            yield Moved(name, candidates[fingerprint].pop(), form(a[name]))


def _fingerprint(tensor: Tensor) -> Hashable | None:
    """The view that a tensor is, and the length and CRC of its storage; None where the file records no CRC."""
    storage = tensor.storage
    if storage is None or not storage.size or storage.base is not None:
        return None
    try:
        crc = storage.recorded_crc
    except PtzipError:
        return None
    return (tensor.dtype, tensor.shape, tensor.stride, tensor.offset, storage.size, crc) if crc else None


def _objects(a: Side, b: Side, renames: Sequence[Rename], most: int) -> ObjectDiff:
    """The comparison of the objects, where both files have some; `most` paths."""
    found = ObjectDiff(renames, most)
    for prefix in a.texts.keys() & b.texts.keys():
        found.compare(a.texts[prefix], b.texts[prefix], prefix)
    if not a.values or not b.values:
        return found
    for prefix, value in a.values.items():
        if prefix in b.values:
            found.compare(value, b.values[prefix], prefix)
    found.only_a += [Only(prefix, describe(value)) for prefix, value in a.values.items() if prefix not in b.values]
    found.only_b += [Only(prefix, describe(value)) for prefix, value in b.values.items() if prefix not in a.values]
    return found


class LoneTensors:
    """Counts the tensors without a counterpart below a path, and their bytes."""

    def __init__(self, *sides: tuple[LoneTensor, ...]) -> None:
        self.sizes = {tensor.name: tensor.form.size for side in sides for tensor in side}
        self.names = sorted(self.sizes)
        self.sums = [0, *accumulate(self.sizes[name] for name in self.names)]
        """The bytes of the first so many names."""

    def below(self, path: str) -> tuple[int, int]:
        """The number and the bytes of the tensors at a path and below it."""
        if not path:
            return len(self.names), self.sums[-1]
        first, last = bisect_left(self.names, f"{path}."), bisect_left(self.names, f"{path}/")  # "/" sorts after "."
        return last - first + (path in self.sizes), self.sums[last] - self.sums[first] + self.sizes.get(path, 0)


def _notes(a: Checkpoint, b: Checkpoint) -> Iterator[str]:
    """What was not compared."""
    bare = [checkpoint for checkpoint in (a, b) if not checkpoint.parts]
    if len(bare) == 1:
        yield f"{bare[0].source.name} is a {bare[0].format}, which holds only tensors: the objects were not compared"
    foreign = next((one for one in (a, b) if isinstance(one.container, ForeignZip) and one.parts), None)
    if foreign is not None:
        yield f"{foreign.source.name} is a {foreign.format}: only its pickles, code and tensors were compared"
