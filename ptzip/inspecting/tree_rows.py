"""The object of a checkpoint as rows of a tree, limited in depth and width.

An object in several positions is shown below the first one and named in the others, so that a cycle ends.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, TypeGuard

from ptzip.limits import DEFAULT_LIMITS
from ptzip.pickling.nodes import Atom, Call, Global, List, Node, Persistent, Tuple, plain
from ptzip.tensors.tensor import Tensor
from ptzip.tree.children import NodeChild, each_child
from ptzip.tree.kinds import is_tensor, kind
from ptzip.tree.paths import TOP, Path, PathCount

UNLIMITED = 1 << 62
DEPTH, WIDTH = 5, 12
"""The depth and width of a tree unless everything is shown."""

MOST_ITEMS = 8
"""Lists of at most so many plain values are shown in one row."""

LONG = 200
"""Characters or bytes from which on a text or a number is shown once: a few bytes refer to it again."""

SPELLED = 10
"""Bytes that spell a character at most, as in "\\U0001F600"."""

LONGEST_PATH = 4000
"""How many characters of a path are shown, since any number of rows may name the same one."""


class TreeRow(NamedTuple):
    """One node. `value` is that of a number or text, `below` the number of children.

    `seen` is the path of the first position, if that is another one. `hidden` counts siblings that are left out after the last
    one shown; such a row has no kind.
    """

    depth: int
    name: str
    kind: str
    value: object = None
    below: int | None = None
    tensor: Tensor | None = None
    seen: str | None = None
    hidden: int = 0


class _Branch(NamedTuple):
    """A node to be shown."""

    depth: int
    path: Path
    name: str
    node: Node


class _Level(NamedTuple):
    """What is below one node: its path, the children that are not shown yet, and how many of them may be."""

    above: Path
    rest: Iterator[NodeChild]
    left: int


def tree_rows(
    root: Node,
    tensors: Mapping[str, Tensor],
    everything: bool,
    path: str = "",
    most: int = DEFAULT_LIMITS.paths,
    deepest: int | None = None,
) -> Iterator[TreeRow]:
    """The rows of a tree, from the node at `path`, to a depth that `everything` determines unless `deepest` is given.

    Raises LimitError where there are more than `most`, or very deep ones.
    """
    counted = PathCount(most)
    depth, width = (UNLIMITED, UNLIMITED) if everything else (DEPTH, WIDTH)
    depth = depth if deepest is None else deepest
    seen: dict[int, tuple[Path, str]] = {}
    pending = [_Level(TOP.below(path or None), iter([NodeChild(path, root)]), 1)]
    while pending:
        above, rest, left = pending[-1]
        at = len(pending) - 1
        child = next(rest, None)
        if child is None or not left:
            hidden = sum(1 for _ in rest) + (child is not None)
            pending.pop()
            if hidden:
                yield TreeRow(at, "", "", hidden=hidden)
            continue
        pending[-1] = pending[-1]._replace(left=left - 1)
        where = above.below(child.part) if at else above
        row = _row(_Branch(at, where, child.part or "", child.value), seen, tensors)
        counted.add(max(where.length, 2 * at, len(row.value) if isinstance(row.value, str | bytes | bytearray) else 0))
        yield row
        if row.below and at < depth:
            shown = each_child(child.value)
            pending.append(_Level(where, shown if everything else (one for one in shown if not _is_idle(one)), width))


def _is_idle(child: NodeChild) -> bool:
    """Whether a child is one of the many hooks of a module that are None or empty."""
    if not (child.part or "").startswith("_"):
        return False
    if isinstance(child.value, Atom):
        return child.value.op == "NONE"
    return (
        not isinstance(child.value, Global | Persistent)
        and not is_tensor(child.value)
        and next(each_child(child.value), None) is None
    )


def _row(branch: _Branch, seen: dict[int, tuple[Path, str]], tensors: Mapping[str, Tensor]) -> TreeRow:
    depth, path, name, node = branch
    if id(node) in seen:
        first, word = seen[id(node)]
        return TreeRow(depth, name, word, seen=_text(first))
    word = kind(node)
    if _is_short(node):
        return TreeRow(depth, name, word, node.value)
    if isinstance(node, Global):
        return TreeRow(depth, name, "name", node.path)
    seen[id(node)] = path, word
    if isinstance(node, Atom):
        return TreeRow(depth, name, word, node.value)
    below = sum(1 for _ in each_child(node))
    if is_tensor(node) or isinstance(node, Persistent):
        return TreeRow(depth, name, word, below=below or None, tensor=tensors.get(str(path)))
    items = _plain_items(node, below)
    if items is not None:
        return TreeRow(depth, name, word, items)
    return TreeRow(depth, name, word, _plain_arguments(node), below)


def _text(path: Path) -> str:
    """The text of a path; of a very long one, how it ends."""
    if path.length <= LONGEST_PATH:
        return str(path)
    parts, left = list[str](), LONGEST_PATH
    while path.above is not None and left > 0:
        parts.append(path.part)
        path, left = path.above, left - len(path.part) - 1
    return f"...{'.'.join(reversed(parts))}"


def _is_short(node: Node) -> TypeGuard[Atom]:
    """Whether this is a number or a text that may be shown any number of times."""
    if not isinstance(node, Atom) or (isinstance(node.arg, bytes) and len(node.arg) > SPELLED * LONG):
        return False  # without decoding it for each row
    if isinstance(node.value, int):
        return node.value.bit_length() <= 8 * LONG
    return not isinstance(node.value, str | bytes | bytearray) or len(node.value) <= LONG


def _plain_items(node: Node, below: int) -> object:
    """The items of a short list or tuple of plain values, which share one row; else None."""
    if not isinstance(node, List | Tuple) or not 0 < below <= MOST_ITEMS:
        return None
    values = [child.value.value for child in each_child(node) if _is_short(child.value)]
    if len(values) < below:
        return None
    return values if isinstance(node, List) else tuple(values)


def _plain_arguments(node: Node) -> object:
    """The arguments of a call, if all are plain, as those of many small objects: a date, a path, a device; else None."""
    given = [plain(argument) for argument in node.arguments] if isinstance(node, Call) else []
    values = [value for argument in given for value in _plain_values(argument)]
    return tuple(values) if values and len(values) == len(given) else None


def _plain_values(node: Node) -> list[object]:
    """The plain value of a node, or the tuple of plain values, in a list; an empty list for any other node."""
    if _is_short(node):
        return [node.value]
    items = [plain(part) for part in node.parts] if isinstance(node, Tuple) and len(node.parts) <= MOST_ITEMS else []
    values = [item.value for item in items if _is_short(item)]
    return [tuple(values)] if values and len(values) == len(items) else []
