"""Compares the objects of two files: both trees are walked together, path by path.

Values that correspond form a class, and a pair within one class follows from earlier pairs (the equivalence test of Hopcroft
and Karp). So each pair is compared once, cycles end, and sharing costs nothing.
"""

import sys
from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple

from ptzip.diffing.report import Changed, Only
from ptzip.diffing.tensors import are_storages_equal
from ptzip.diffing.value_equality import are_equal, describe, may_have_children
from ptzip.errors import PtzipError
from ptzip.globs import Rename, renamed
from ptzip.limits import DEFAULT_LIMITS
from ptzip.tensors.storage import Storage
from ptzip.tree.paths import TOP, Path, PathCount, search
from ptzip.values.value_children import ValueChild, value_children

LONG = 1000
"""Bytes of a text or a number from which on it is long."""

A, B = 0, 1


class Pair(NamedTuple):
    """Two values to compare, with their paths in A and B."""

    a: object
    b: object
    path_a: Path = TOP
    path_b: Path = TOP


class Correspondence:
    """Which values of A and B correspond: disjoint sets of their identities."""

    def __init__(self) -> None:
        self.parents: dict[int, int] = {}

    def add(self, a: object, b: object) -> bool:
        """Note that two values correspond; False where that follows from earlier pairs."""
        set_a, set_b = self._representative(id(a)), self._representative(id(b))
        self.parents[set_a] = set_b
        return set_a != set_b

    def _representative(self, key: int) -> int:
        while (above := self.parents.get(key, key)) != key:
            self.parents[key] = self.parents.get(above, above)
            key = above
        return key


class RenamedPaths:
    """What the renames mean for two trees.

    A value at a renamed path of A is compared with the one at the new path of B before anything else. Both paths are `moved`
    from then on: they are neither compared nor reported with their surroundings. A rename without such a pair is a prefix of
    keys, as of `module.weight` in a flat state dict.
    """

    def __init__(self, renames: Sequence[Rename]) -> None:
        self.renames = renames
        self.longest = max((max(map(len, rename)) for rename in renames), default=-1)
        """The length of the longest path in a rename: none has a meaning below longer paths."""
        self.moved = set[str](), set[str]()
        """The paths of A and of B that were compared out of turn."""

    def moved_pairs(self, a: object, b: object) -> Iterator[Pair]:
        for rename in self.renames:
            target = renamed(rename.old, self.renames)
            old, new = (search(ValueChild(None, root), path, value_children) for root, path in ((a, rename.old), (b, target)))
            if old.rest is None and new.rest is None and rename.old not in self.moved[A]:
                self.moved[A].add(rename.old)
                self.moved[B].add(target)
                yield Pair(old.child.value, new.child.value, old.path, new.path)

    def has_moved_root(self, pair: Pair) -> bool:
        """Whether a pair are the roots, of which one was compared with something below the other."""
        return pair.path_a is pair.path_b is TOP and any("" in paths for paths in self.moved)

    def children(self, pair: Pair, side: int) -> list[ValueChild]:
        """What is below one value of a pair, without what was moved."""
        value, path = (pair.a, pair.path_a) if side == A else (pair.b, pair.path_b)
        moved = self.moved[side]
        if "" in moved and self.has_moved_root(pair):
            return []
        found = value_children(value)
        if not moved or path.length > self.longest:
            return found
        return [child for child in found if child.part is None or str(path.below(child.part)) not in moved]

    def children_by_new_key(self, pair: Pair) -> list[tuple[Hashable, ValueChild]]:
        """What is below the value of A, with the key of its counterpart in B.

        Renamed children come first: another child may already have the new key of one of them.
        """
        found = self.children(pair, A)
        if pair.path_a.length > self.longest:
            return [(child.key, child) for child in found]
        keyed = [(self._new_key(child, pair), child) for child in found]
        return sorted(keyed, key=lambda entry: entry[0] == entry[1].key)

    def _new_key(self, child: ValueChild, pair: Pair) -> Hashable:
        if child.part is None or not isinstance(child.key, tuple) or child.key[-1] != child.part:
            return child.key
        target, above = renamed(str(pair.path_a.below(child.part)), self.renames), str(pair.path_b)
        if above and not target.startswith(f"{above}."):
            return child.key
        return (*child.key[:-1], target[len(above) :].removeprefix("."))


class ObjectDiff:
    """A comparison of objects, and the differences that it found."""

    def __init__(self, renames: Sequence[Rename] = (), most: int = DEFAULT_LIMITS.paths) -> None:
        self.renamed = RenamedPaths(renames)
        self.corresponding = Correspondence()
        self.only_a = list[Only]()
        self.only_b = list[Only]()
        self.changed = list[Changed]()
        self.pairs, self.differences = PathCount(most), PathCount(most)
        self._long = dict[tuple[int, int], tuple[bool, object, object]]()
        """Whether two long values are equal, and both, so that no other gets the identity of one."""

    def compare(self, a: object, b: object, prefix: str = "") -> None:
        """Compare the objects of two pickles, whose paths begin with `prefix`."""
        top = TOP.below(prefix or None)
        moved = [] if prefix else self.renamed.moved_pairs(a, b)
        pending = [*moved, Pair(a, b, top, top)][::-1]
        while pending:
            pair = pending.pop()
            self.pairs.add(0)
            have_children = may_have_children(pair.a) and may_have_children(pair.b)
            if have_children and not self.corresponding.add(pair.a, pair.b):
                continue
            is_equal = self._compare_values(pair)
            if is_equal or have_children:
                pending += reversed(self._pairs_below(pair))

    def _compare_values(self, pair: Pair) -> bool:
        """Compare two values apart from what is below them, and note a difference."""
        if isinstance(pair.a, Storage) and isinstance(pair.b, Storage):
            is_equal, what = _are_storages_equal(pair.a, pair.b), "bytes"
        else:
            is_equal, what = self._are_equal(pair.a, pair.b), "content"
        if not is_equal and not self.renamed.has_moved_root(pair):
            old, new = describe(pair.a), describe(pair.b)
            self.changed.append(Changed(self._text(pair.path_b), old, f"{new} with other {what}" if new == old else new))
        return is_equal

    def _are_equal(self, a: object, b: object) -> bool:
        """Whether two values are equal; long ones, to which a few bytes of a pickle refer again, are compared once."""
        if not isinstance(a, str | bytes | int) or sys.getsizeof(a) < LONG:
            return are_equal(a, b)
        key = id(a), id(b)
        if key not in self._long:
            self._long[key] = are_equal(a, b), a, b
        return self._long[key][0]

    def _pairs_below(self, pair: Pair) -> list[Pair]:
        """What is below both values, in pairs; what is below only one is noted."""
        in_b = {child.key: child for child in self.renamed.children(pair, B)}
        found = list[Pair]()
        for key, child in self.renamed.children_by_new_key(pair):
            path, other = pair.path_a.below(child.part), in_b.pop(key, None)
            if other is None:
                self.only_a.append(Only(self._text(path), describe(child.value)))
            else:
                found.append(Pair(child.value, other.value, path, pair.path_b.below(other.part)))
        self.only_b += [Only(self._text(pair.path_b.below(child.part)), describe(child.value)) for child in in_b.values()]
        return found

    def _text(self, path: Path) -> str:
        """The text of a path for the report. Raises LimitError where the report becomes too long."""
        self.differences.add(path.length)
        return str(path)


def _are_storages_equal(a: Storage, b: Storage) -> bool:
    """Whether two storages outside of tensors are equal; bytes that cannot be read are not."""
    if (a.dtype, a.size, a.location) != (b.dtype, b.size, b.location):
        return False
    try:
        return are_storages_equal(a, b)
    except PtzipError:
        return False
