"""Dotted paths, as a state dict and every command use them: `model.model.0.conv.weight`.

    key of a dict, attribute of an object     its text; its position, where it has no short text (a tensor, an object)
    item of a list or tuple                   its index; the items of a set, which have no order, are named like keys
    argument of a call                        its index; the arguments of a container are the items of the container
    component of a tensor                     its name, as in `indices` and `values`
    _modules, _parameters, _buffers           nothing, so that a module's tensors are named as in its state dict
    state that is not a dict of attributes    nothing: its items are named as those of the object

`walk` and `find` work on every tree whose children give their part of the path: on the nodes of a pickle (`tree.children`) and
on the values that are built from them (`values.value_children`).
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Optional, Protocol, TypeVar

from ptzip.errors import EditError, beyond
from ptzip.limits import DEFAULT_LIMITS
from ptzip.text import did_you_mean, has_decimal, listed

CHARACTERS_PER_PATH = 128
"""How many characters paths may have on average, where there are as many as is allowed."""

FEW_PATHS = 10_000
"""So many paths are found in no time, and trees that share as much are few."""

LONGEST_KEY = 1000
"""How many characters the text of a key may have to be a part of a path."""


class Path(NamedTuple):
    """A path as a chain of parts, joined only where its text is needed; `length` is that of the text."""

    above: Optional["Path"] = None
    part: str = ""
    length: int = 0

    def below(self, part: str | None) -> "Path":
        """The path of a child; None adds nothing."""
        return self if part is None else Path(self, part, self.length + len(part) + (self.above is not None))

    def __str__(self) -> str:
        parts, path = list[str](), self
        while path.above is not None:
            parts.append(path.part)
            path = path.above
        return ".".join(reversed(parts))


TOP = Path()


class PathCount:
    """How many paths were found, and the characters of all; `most` are allowed."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.paths = self.characters = 0

    def add(self, length: int) -> None:
        """Count a path of so many characters. Raises LimitError where there are too many paths, or where they are very long."""
        self.paths += 1
        self.characters += length
        if self.paths > self.most or self.characters > self.most * CHARACTERS_PER_PATH:
            found = f"{self.paths:,} paths of {self.characters:,} characters"
            raise beyond("paths", self.most, f"the object has {found}, above")

    def check(self, more: int) -> None:
        """Raises LimitError where at least so many `more` are too many."""
        if self.paths + more > self.most:
            raise beyond("paths", self.most, f"the object has at least {self.paths + more:,} paths, above")


def join_path(above: str, part: str) -> str:
    """The text of the path of a child, from that of the path above, "" at the top level."""
    return f"{above}.{part}" if above else part


def with_prefixes(path: str, below: str = "") -> Iterator[str]:
    """A path and all that its dots may separate, from the longest to the shortest that is longer than `below`."""
    while len(path) > len(below):
        yield path
        path = path.rpartition(".")[0]


class HasPart(Protocol):
    """What is right below a node or value: its part of the path, or None where it adds none."""

    @property
    def part(self) -> str | None: ...

    @property
    def value(self) -> Any: ...


Child = TypeVar("Child", bound=HasPart)
ChildrenOf = Callable[[Any], Sequence[Child]]


def key_text(key: object) -> str | None:
    """The text of a key that is a plain value or a tuple of plain values; None where it is neither, or has no short text."""
    if type(key) is str:  # most keys
        return key if len(key) <= LONGEST_KEY else None
    if isinstance(key, tuple):
        is_plain = all(isinstance(item, str | int | float | None) and has_decimal(item) for item in key)
        found = repr(key) if is_plain else None
    else:
        found = str(key) if isinstance(key, str | int | float | bytes | None) and has_decimal(key) else None
    return found if found is not None and len(found) <= LONGEST_KEY else None


def walk(
    root: object,
    children_of: "ChildrenOf[Child]",
    top: Path = TOP,
    most: int | PathCount = DEFAULT_LIMITS.paths,
    *,
    is_wanted: Callable[[Any], bool] | None = None,
    is_named_once: Callable[[Any], bool] | None = None,
    is_closed: Callable[[Path], bool] | None = None,
) -> Iterator[tuple[Path, Child]]:
    """Everything below `root`, whose own path is `top`, with its path: depth first, a value before what is below it.

    A value in several positions has a path for each; `is_named_once` picks those that are entered at their first position only.
    Nothing is entered inside itself, or below a path that `is_closed` picks. With `is_wanted` only the values that it picks are
    yielded, and a value is entered once only where nothing below it was, so that sharing does not multiply the work.

    Raises LimitError where there are more than `most` paths, or where they are very long; where shared values multiply them,
    they are counted ahead. Several walks may share one count.
    """
    ancestors, has_wanted = [id(root)], [False]
    inside, entered, barren = {id(root)}, {id(root)}, set[int]()
    pending: list[tuple[Path, Child] | None] = [None, *((top, child) for child in reversed(children_of(root)))]
    counted, is_counted_ahead = PathCount(most) if isinstance(most, int) else most, False
    while pending:
        item = pending.pop()
        if item is None:  # all that is below the innermost ancestor was visited
            key = ancestors.pop()
            inside.remove(key)
            if not has_wanted.pop():
                barren.add(key)
            elif has_wanted:
                has_wanted[-1] = True
            continue
        above, child = item
        value, key = child.value, id(child.value)
        is_yielded = is_wanted is None or is_wanted(value)
        is_again = is_named_once is not None and key in entered and is_named_once(value)
        below = () if key in inside or key in barren or is_again else children_of(value)
        if not is_yielded and not below:
            continue
        if counted.paths > FEW_PATHS and key in entered and not is_counted_ahead:
            is_counted_ahead = True
            rest = [item[1].value for item in pending if item is not None]
            counted.check(_least_paths(rest, children_of, is_wanted, is_named_once))
        path = above.below(child.part)
        if is_yielded:
            has_wanted[-1] = True
            counted.add(path.length)
            yield path, child
        if below and not (is_closed is not None and is_closed(path)):
            entered.add(key)
            inside.add(key)
            ancestors.append(key)
            has_wanted.append(False)
            pending.append(None)
            pending += [(path, one) for one in reversed(below)]


def _least_paths(
    roots: list[Any],
    children_of: "ChildrenOf[Child]",
    is_wanted: Callable[[Any], bool] | None,
    is_named_once: Callable[[Any], bool] | None,
) -> int:
    """How many paths `walk` finds at and below some values at least; each value is looked at once, whatever its positions.

    What is named once, and what is inside itself, may have been entered before and counts as nothing.
    """
    counts, inside, pending = (
        dict[int, int](),
        set[int](),
        list[tuple[Any, Sequence[Any] | None]]((root, None) for root in roots),
    )
    while pending:
        value, below = pending.pop()
        key = id(value)
        if below is not None:
            inside.discard(key)
            counts[key] = sum(counts.get(id(one.value), 0) for one in below) + (is_wanted is None or is_wanted(value))
        elif key not in counts and key not in inside and not (is_named_once is not None and is_named_once(value)):
            inside.add(key)
            below = children_of(value)
            pending += [(value, below), *((one.value, None) for one in below)]
    return sum(counts.get(id(root), 0) for root in roots)


class Match(NamedTuple):
    """How far a path leads: to `child`, at `path`; `rest` is the text that nothing there matches, None where all did."""

    path: Path
    child: Any
    rest: str | None


def search(start: Child, path: str, children_of: "ChildrenOf[Child]") -> Match:
    """Follow a path from `start`. A key may have dots itself, so longer matches are tried first.

    The value at the whole path is found if there is one; else the match is the one that leads furthest.
    """
    end = len(path) + 1  # a part ends with a dot, or with the path
    best = (0 if path else end, TOP, start)
    pending, seen = [best], set[tuple[int, int]]()
    while pending:
        at, above, child = item = pending.pop()
        if at > best[0]:
            best = item
        if at == end:
            return Match(above, child, None)
        if (id(child.value), at) in seen:
            continue
        seen.add((id(child.value), at))
        below = sorted(children_of(child.value), key=lambda one: len(one.part or ""))
        for one in below:
            stop = at if one.part is None else at + len(one.part) + 1
            if one.part is None or (path.startswith(one.part, at) and (stop == end or path[stop - 1 : stop] == ".")):
                pending.append((stop, above.below(one.part), one))
    return Match(best[1], best[2], path[best[0] :])


def find(start: Child, path: str, children_of: "ChildrenOf[Child]") -> Child:
    """The child at a path. Raises EditError, which lists what there is, where there is none."""
    match = search(start, path, children_of)
    if match.rest is None:
        found: Child = match.child
        return found
    names = [one.part for one in children_of(match.child.value) if one.part is not None]
    names.sort(key=lambda name: name.startswith("_"))  # a module has a dozen of hooks before its layers
    where = f"below {str(match.path)!r}" if match.path.above else "at the top level"
    hint = did_you_mean(match.rest.partition(".")[0], names)
    raise EditError(f"there is no {match.rest!r} {where}, which has {listed(names) or 'nothing in it'}{hint}")


def nearest(start: Child, path: str, children_of: "ChildrenOf[Child]") -> str:
    """A hint " (did you mean PATH?)" for a path that leads nowhere, as far as its parts are right or similar; "" for others."""
    match = search(start, path, children_of)
    if match.rest is None:
        return ""
    names = [join_path(str(match.path), one.part) for one in children_of(match.child.value) if one.part is not None]
    return did_you_mean(join_path(str(match.path), match.rest.partition(".")[0]), names)
