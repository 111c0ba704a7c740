"""The objects of two files, walked together by the places that things have in them.

Rule: two values are compared once, however often they meet: what was found to stand for one another is one class, and a pair
within a class tells nothing new (Hopcroft and Karp). So cycles end, and no sharing makes the walk longer than the files are.
"""

from collections.abc import Hashable, Iterator, Sequence
from typing import NamedTuple, Optional

from ptzip.diffing.node_values import CONTAINERS, HOLDERS, Child, are_same, children, told
from ptzip.diffing.report import Changed, Only
from ptzip.diffing.tensors import are_storages_equal
from ptzip.errors import LimitError, PtzipError
from ptzip.globs import Rename, renamed
from ptzip.tensors.storage import Storage

MOST_ROWS = 1_000_000
MOST_CHARACTERS = 1 << 28
"""How many differences there may be, and how long their names may be together."""


class Name(NamedTuple):
    """A dotted name as a chain, so that a deep one is spelled only where something differs; `length` in letters."""

    above: Optional["Name"]
    part: str
    length: int

    def spelled(self) -> str:
        found, name = list[str](), self
        while name.above is not None:
            found.append(name.part)
            name = name.above
        return ".".join(reversed(found))

    def below(self, part: str | None) -> "Name":
        return self if part is None else Name(self, part, self.length + len(part) + bool(self.length))


TOP = Name(None, "", 0)


class Pair(NamedTuple):
    """Two values that have one place, with their names."""

    a: object
    b: object
    name_a: Name = TOP
    name_b: Name = TOP


class Objects:
    """A comparison of objects, and what it found."""

    def __init__(self, renames: Sequence[Rename] = ()) -> None:
        self.renames = renames
        self.reach = max((max(map(len, rename)) for rename in renames), default=-1)
        """How long the names are below which something may have another name."""
        self.claimed = set[str](), set[str]()
        """What of A is compared with something elsewhere in B, and that."""
        self.only_a = list[Only]()
        self.only_b = list[Only]()
        self.changed = list[Changed]()
        self.classes: dict[int, int] = {}
        self.rows = self.characters = 0

    def compare(self, a: object, b: object, prefix: str = "") -> None:
        """Compare the objects of two pickles that both stand behind `prefix`."""
        top = TOP.below(prefix or None)
        pairs = [*self.elsewhere(a, b), Pair(a, b, top, top)] if not prefix else [Pair(a, b, top, top)]
        pending = pairs[::-1]
        while pending:
            pair = pending.pop()
            if self.is_new(pair) and self.is_alike(pair):
                pending += reversed(self.below(pair))

    def elsewhere(self, a: object, b: object) -> Iterator[Pair]:
        """What of A is looked for under another name, with what B has there."""
        for rename in self.renames:
            target = renamed(rename.old, self.renames)
            one, other = find(a, rename.old), find(b, target)
            if one is not None and other is not None and rename.old not in self.claimed[0]:
                self.claimed[0].add(rename.old)
                self.claimed[1].add(target)
                yield Pair(one.value, other.value, one.name, other.name)

    def is_new(self, pair: Pair) -> bool:
        """Whether two values are not known to stand for one another; they do from now on."""
        if not (has_children(pair.a) and has_children(pair.b)):
            return True  # small values may be one object in both files
        a, b = self.class_of(id(pair.a)), self.class_of(id(pair.b))
        self.classes[a] = b
        return a != b

    def class_of(self, key: int) -> int:
        while (above := self.classes.get(key, key)) != key:
            self.classes[key] = self.classes.get(above, above)
            key = above
        return key

    def is_alike(self, pair: Pair) -> bool:
        """Whether what is below two values is to be compared; where they are not the same themselves, that is noted."""
        if isinstance(pair.a, Storage) and isinstance(pair.b, Storage):
            is_same, more = _are_storages_equal(pair.a, pair.b), " with other bytes"
        else:
            is_same, more = are_same(pair.a, pair.b), " with other content"
        if not is_same and not self.is_taken_apart(pair):
            old, new = told(pair.a), told(pair.b)
            self.changed.append(Changed(self.named(pair.name_b), old, new + (more if new == old else "")))
        return is_same or (has_children(pair.a) and has_children(pair.b))

    def is_taken_apart(self, pair: Pair) -> bool:
        """Whether two values stand at the top only because what is below one of them is compared with something elsewhere."""
        return pair.name_a is pair.name_b is TOP and any("" in names for names in self.claimed)

    def below(self, pair: Pair) -> list[Pair]:
        """What is below both, in pairs; what is below one alone is noted."""
        if self.is_taken_apart(pair):
            a = [] if "" in self.claimed[0] else children(pair.a)
            b = [] if "" in self.claimed[1] else children(pair.b)
        else:
            a, b = children(pair.a), children(pair.b)
        mine, theirs = self.matched(a, pair), {child.key: child for child in self.unclaimed(b, pair.name_b, 1)}
        found = list[Pair]()
        for key, child in mine:
            other = theirs.pop(key, None)
            if other is None:
                self.only_a.append(Only(self.named(pair.name_a.below(child.part)), told(child.value)))
            else:
                found.append(Pair(child.value, other.value, pair.name_a.below(child.part), pair.name_b.below(other.part)))
        self.only_b += [Only(self.named(pair.name_b.below(child.part)), told(child.value)) for child in theirs.values()]
        return found

    def matched(self, below: list[Child], pair: Pair) -> list[tuple[Hashable, Child]]:
        """What is below a value of A with its key in B: one that is renamed comes before another that has its new name."""
        unclaimed = self.unclaimed(below, pair.name_a, 0)
        if pair.name_a.length > self.reach:
            return [(child.key, child) for child in unclaimed]
        keyed = [(self.new_key(child, pair), child) for child in unclaimed]
        return sorted(keyed, key=lambda found: found[0] == found[1].key)

    def new_key(self, child: Child, pair: Pair) -> Hashable:
        """The key that a key of a dict has in B, where it begins with a name that is another there."""
        if child.part is None or not isinstance(child.key, tuple) or child.key[-1] != child.part:
            return child.key
        target, above = renamed(pair.name_a.below(child.part).spelled(), self.renames), pair.name_b.spelled()
        is_here = not above or target.startswith(f"{above}.")
        return (*child.key[:-1], target[len(above) :].removeprefix(".")) if is_here else child.key

    def unclaimed(self, below: list[Child], name: Name, side: int) -> list[Child]:
        if not self.claimed[side] or name.length > self.reach:
            return below
        return [child for child in below if child.part is None or name.below(child.part).spelled() not in self.claimed[side]]

    def named(self, name: Name) -> str:
        """The text of a name. Raises LimitError where there are too many."""
        self.rows, self.characters = self.rows + 1, self.characters + name.length
        if self.rows > MOST_ROWS or self.characters > MOST_CHARACTERS:
            raise LimitError(f"the objects differ in more than {MOST_ROWS} places, or their names have too many letters")
        return name.spelled()


def has_children(value: object) -> bool:
    return isinstance(value, HOLDERS) and (bool(value) if isinstance(value, CONTAINERS) else True)


def _are_storages_equal(a: Storage, b: Storage) -> bool:
    """Raises nothing: bytes that are not there are not the same."""
    if (a.dtype, a.size, a.location) != (b.dtype, b.size, b.location):
        return False
    try:
        return are_storages_equal(a, b)
    except PtzipError:
        return False


class Place(NamedTuple):
    """A value and its name."""

    value: object
    name: Name


def find(root: object, path: str) -> Place | None:
    """The value of that dotted name; a key may hold dots itself, so each beginning of the name is tried, the longest first."""
    pending = [(Place(root, TOP), path)]
    seen = set[tuple[int, str]]()
    while pending:
        (value, name), rest = pending.pop()
        if not rest:
            return Place(value, name)
        if (id(value), rest) in seen:
            continue
        seen.add((id(value), rest))
        below = sorted(children(value), key=lambda child: len(child.part or ""))
        for part, item in ((child.part, child.value) for child in below):
            if part is None:
                pending.append((Place(item, name), rest))
            elif rest == part or (part and rest.startswith(f"{part}.")):
                pending.append((Place(item, name.below(part)), rest[len(part) + 1 :]))
    return None
