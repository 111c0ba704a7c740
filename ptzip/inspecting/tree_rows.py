"""The object of a checkpoint as rows of a tree, within a depth and a width.

Rule: an object that stands in several places is shown below the first and named at the others, so that a cycle ends.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ptzip.inspecting.node_paths import Child, children, is_tensor, kind
from ptzip.pickling.nodes import Atom, Call, Global, List, Node, Persistent, Tuple, plain
from ptzip.tensors.tensor import Tensor

EVERYTHING = 1 << 62
DEPTH, WIDTH = 5, 12
"""How deep and how wide a tree is shown unless all is asked for."""

MOST_ITEMS = 8
"""Lists of at most so many plain values are shown in one row."""


class Row(NamedTuple):
    """One node. `value` is that of a number or a text, `below` how many things are below it.

    `seen` is the name where it stands first, if that is elsewhere. `hidden` counts siblings that are left out behind the
    last one shown; such a row has no kind.
    """

    depth: int
    name: str
    kind: str
    value: object = None
    below: int | None = None
    tensor: Tensor | None = None
    seen: str | None = None
    hidden: int = 0


class _Place(NamedTuple):
    """Where a node stands; `above` is None at the root, whose `child` has the whole name that was asked for."""

    depth: int
    child: Child
    above: "_Place | None" = None

    @property
    def path(self) -> str:
        """The dotted name."""
        names, place = [self.child.name], self.above
        while place is not None:
            names.append(place.child.name)
            place = place.above
        return ".".join(name for name in reversed(names) if name)


def rows(root: Node, tensors: Mapping[str, Tensor], everything: bool, path: str = "") -> Iterator[Row]:
    """The rows of a tree, from a node whose dotted name is `path`."""
    depth, width = (EVERYTHING, EVERYTHING) if everything else (DEPTH, WIDTH)
    seen: dict[int, _Place] = {}
    pending: list[_Place | Row] = [_Place(0, Child(path, root))]
    while pending:
        place = pending.pop()
        if isinstance(place, Row):
            yield place
            continue
        below = list(children(place.child.node))
        row = _row(place, below, seen, tensors)
        yield row
        if row.below and place.depth < depth:
            pending += reversed(list(_below(place, below, width, everything)))


def _below(place: _Place, below: list[Child], width: int, everything: bool) -> Iterator[_Place | Row]:
    shown = below if everything else [child for child in below if not _is_idle(child)]
    for child in shown[:width]:
        yield _Place(place.depth + 1, child, place)
    if len(shown) > width:
        yield Row(place.depth + 1, "", "", hidden=len(shown) - width)


def _is_idle(child: Child) -> bool:
    """Whether a child is one of the many hooks of a module that hold nothing."""
    if not child.name.startswith("_"):
        return False
    if isinstance(child.node, Atom):
        return child.node.value is None
    return not isinstance(child.node, Global | Persistent) and not is_tensor(child.node) and not any(children(child.node))


def _row(place: _Place, below: list[Child], seen: dict[int, _Place], tensors: Mapping[str, Tensor]) -> Row:
    node, name, depth = place.child.node, place.child.name, place.depth
    if isinstance(node, Atom):
        return Row(depth, name, kind(node), node.value)
    if isinstance(node, Global):
        return Row(depth, name, "name", node.path)
    if id(node) in seen:
        return Row(depth, name, kind(node), seen=seen[id(node)].path)
    seen[id(node)] = place
    if is_tensor(node) or isinstance(node, Persistent):
        return Row(depth, name, kind(node), tensor=tensors.get(place.path))
    items = _few(node, below)
    if items is not None:
        return Row(depth, name, kind(node), items)
    return Row(depth, name, kind(node), _arguments(node), len(below))


def _few(node: Node, below: list[Child]) -> object:
    """The items of a short list or tuple of plain values, which take one row together; else None."""
    if not isinstance(node, List | Tuple) or not 0 < len(below) <= MOST_ITEMS:
        return None
    values = [child.node.value for child in below if isinstance(child.node, Atom)]
    if len(values) < len(below):
        return None
    return values if isinstance(node, List) else tuple(values)


def _arguments(node: Node) -> object:
    """The plain arguments of a call, which are all that many small objects have: a date, a path, a device."""
    given = [plain(argument) for argument in node.arguments] if isinstance(node, Call) else []
    values = [value for argument in given for value in _plain_values(argument)]
    return tuple(values) if values and len(values) == len(given) else None


def _plain_values(node: Node) -> list[object]:
    """The value that a node is, or the tuple of them, in a list; an empty list for anything else."""
    if isinstance(node, Atom):
        return [node.value]
    items = [plain(part) for part in node.parts] if isinstance(node, Tuple) and len(node.parts) <= MOST_ITEMS else []
    values = [item.value for item in items if isinstance(item, Atom)]
    return [tuple(values)] if values and len(values) == len(items) else []
