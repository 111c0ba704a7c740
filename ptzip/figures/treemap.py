"""Bytes as a treemap: nested rectangles by dotted path, coloured by what the bytes are."""

from collections.abc import Iterable, Iterator

from ptzip.figures.block_tree import Block, BlockNode, block_tree
from ptzip.figures.words import BLUE, GREY, ORANGE, PURPLE, RED, TEAL, Spec, label

MOST_CHILDREN, GROUPS = 80, 40
"""Where more rectangles are below one path, the small ones are in about so many groups of neighbours, which a click opens."""

SMALL = 0.02
"""The part of the rectangle around it below which one is small."""

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


def treemap(name: str, blocks: Iterable[Block]) -> Spec:
    """The figure; `name` is that of the rectangle around all others."""
    rows = list(_rows(block_tree(name, blocks)))
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


def _rows(top: BlockNode) -> Iterator[tuple[int, int | None, BlockNode]]:
    """Every rectangle with its number and that of the one around it."""
    pending: list[tuple[int | None, BlockNode]] = [(None, top)]
    number = 0
    while pending:
        parent, node = pending.pop()
        node = node if parent is None else node.joined_chain()
        yield number, parent, node
        pending += [(number, child) for child in reversed(_grouped(node))]
        number += 1


def _grouped(node: BlockNode) -> list[BlockNode]:
    """The rectangles in one, in the order of the file."""
    found = [child for child in node.children.values() if child.size]
    if len(found) <= MOST_CHILDREN:
        return found
    shown, run, most = list[BlockNode](), list[BlockNode](), -(-len(found) // GROUPS)
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


def _group(run: list[BlockNode]) -> BlockNode:
    if len(run) == 1:
        return run[0]
    group = BlockNode(f"{run[0].name} \u2026 {run[-1].name}")
    for child in run:
        group.sizes += child.sizes
        group.children[child.name] = child
    return group
