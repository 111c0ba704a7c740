"""Bytes as a treemap: nested rectangles by dotted path, coloured by what the bytes are."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ptzip.figures.words import BLUE, GREY, ORANGE, PURPLE, RED, TEAL, Spec, label

MOST_CHILDREN, GROUPS = 80, 40
"""Where more rectangles are below one path, the small ones are in about so many groups of neighbours, which a click opens."""

SMALL = 0.02
"""The part of the rectangle around it below which one is small."""

MOST_DEPTH = 16
"""Parts of a path beyond this depth become one."""

LEVELS = 4
"""Levels of rectangles that are drawn at once; a click shows the next."""

COLOURS = {
    "weights": BLUE,
    "optimizer": ORANGE,
    "EMA or duplicate model": TEAL,
    "duplicate": PURPLE,
    "unused": RED,
    "other": GREY,
}
"""What bytes are -> the colour of their rectangle."""

PATTERNS = {"optimizer": "/", "EMA or duplicate model": ".", "duplicate": "x", "unused": "\\"}
"""So that colour is never alone as a signal."""


NEUTRAL, LINES = "#5b6472", "rgba(255,255,255,0.45)"
MIXED = "of several kinds"

MOSTLY = 0.9
"""A rectangle has the colour of a kind that at least this part of its bytes is."""


class Block(NamedTuple):
    """Some bytes at a dotted path. `kind` is one of `COLOURS`, `remark` a few words for who points at it."""

    path: str
    size: int
    kind: str
    remark: str = ""


class _Node:
    """A rectangle: `sizes` are its bytes by kind."""

    __slots__ = ("children", "name", "remark", "sizes")

    def __init__(self, name: str, remark: str = "") -> None:
        self.name = name
        self.remark = remark
        self.sizes = Counter[str]()
        self.children = dict[str, _Node]()

    @property
    def size(self) -> int:
        return self.sizes.total()

    @property
    def kind(self) -> str:
        """What most of its bytes are."""
        ((kind, size),) = self.sizes.most_common(1)
        return kind if size >= MOSTLY * self.size else MIXED


def treemap(name: str, blocks: Iterable[Block]) -> Spec:
    """The figure; `name` is that of the rectangle around all others."""
    rows = list(_rows(_tree(name, blocks)))
    kinds = [node.kind for _, _, node in rows]
    colours = [COLOURS.get(kind, NEUTRAL) for kind in kinds]
    trace = {
        "type": "treemap",
        "ids": [str(number) for number, _, _ in rows],
        "parents": ["" if parent is None else str(parent) for _, parent, _ in rows],
        "labels": [label(node.name) for _, _, node in rows],
        "values": [node.size for _, _, node in rows],
        "text": [label(node.remark) for _, _, node in rows],
        "customdata": kinds,
        "marker": {
            "colors": colours,
            "line": {"width": 1, "color": LINES},
            "pattern": {
                "shape": [PATTERNS.get(kind, "") for kind in kinds],
                "bgcolor": colours,
                "fgcolor": LINES,
                "size": 8,
                "solidity": 0.2,
            },
            "cornerradius": 3,
        },
        "branchvalues": "total",
        "maxdepth": LEVELS,
        "textinfo": "label+value",
        "texttemplate": "%{label}<br>%{value:.3s}B",
        "hovertemplate": "<b>%{label}</b><br>%{value:,} bytes, %{percentRoot:.1%}<br>%{customdata}<br>%{text}<extra></extra>",
        "pathbar": {"thickness": 26},
        "tiling": {"pad": 2},
    }
    layout = {"margin": {"l": 0, "r": 0, "t": 30, "b": 0}, "uniformtext": {"minsize": 12, "mode": "hide"}}
    return {"data": [trace], "layout": layout}


def _tree(name: str, blocks: Iterable[Block]) -> _Node:
    top = _Node(name)
    for block in blocks:
        node = top
        node.sizes[block.kind] += block.size
        for part in block.path.split(".", MOST_DEPTH):
            node = node.children.setdefault(part, _Node(part))
            node.sizes[block.kind] += block.size
        node.remark = block.remark
    return top


def _rows(top: _Node) -> Iterator[tuple[int, int | None, _Node]]:
    """Every rectangle with its number and that of the one around it."""
    pending: list[tuple[int | None, _Node]] = [(None, top)]
    number = 0
    while pending:
        parent, node = pending.pop()
        node = node if parent is None else _joined_chain(node)
        yield number, parent, node
        pending += [(number, child) for child in reversed(_grouped(node))]
        number += 1


def _joined_chain(node: _Node) -> _Node:
    """A rectangle that has a single one in it, as one of both names."""
    while len(node.children) == 1:
        (child,) = node.children.values()
        if child.size != node.size:
            break
        child.name = f"{node.name}.{child.name}"
        node = child
    return node


def _grouped(node: _Node) -> list[_Node]:
    """The rectangles in one, in the order of the file."""
    found = [child for child in node.children.values() if child.size]
    if len(found) <= MOST_CHILDREN:
        return found
    shown, run, most = list[_Node](), list[_Node](), -(-len(found) // GROUPS)
    for child in found:
        is_small = child.size < SMALL * node.size
        if run and (not is_small or len(run) == most):
            shown.append(_group(run))
            run = []
        if is_small:
            run.append(child)
        else:
            shown.append(child)
    return [*shown, *([_group(run)] if run else [])]


def _group(run: list[_Node]) -> _Node:
    if len(run) == 1:
        return run[0]
    group = _Node(f"{run[0].name} \u2026 {run[-1].name}")
    for child in run:
        group.sizes += child.sizes
        group.children[child.name] = child
    return group
