"""Bytes as a tree by dotted path, as a treemap and a terminal show it."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

MOST_DEPTH = 16
"""Parts of a path beyond this depth become one."""

MIXED = "of several kinds"

MOSTLY = 0.9
"""A node is of a kind that at least this part of its bytes is."""


class Block(NamedTuple):
    """Some bytes at a dotted path. `kind` is what they are, `remark` a few words about them."""

    path: str
    size: int
    kind: str
    remark: str = ""


class BlockNode:
    """The bytes at a path and below it: `sizes` are those of each kind."""

    __slots__ = ("children", "name", "remark", "sizes")

    def __init__(self, name: str, remark: str = "") -> None:
        self.name = name
        self.remark = remark
        self.sizes = Counter[str]()
        self.children = dict[str, BlockNode]()

    @property
    def size(self) -> int:
        return self.sizes.total()

    @property
    def kind(self) -> str:
        """What most of its bytes are, or that they are of several kinds."""
        kind = max(self.sizes, key=self.sizes.__getitem__, default=MIXED)
        return kind if self.sizes[kind] >= MOSTLY * self.size else MIXED

    def joined_chain(self) -> "BlockNode":
        """The same where it has more than one node below; else it and the single one below as one, with both names."""
        node = self
        while len(node.children) == 1:
            (child,) = node.children.values()
            if child.size != node.size:
                break
            child.name = f"{node.name}.{child.name}"
            node = child
        return node


def block_tree(name: str, blocks: Iterable[Block]) -> BlockNode:
    """The tree of some bytes below a node `name`."""
    top = BlockNode(name)
    for block in blocks:
        node = top
        node.sizes[block.kind] += block.size
        for part in block.path.split(".", MOST_DEPTH):
            node = node.children.setdefault(part, BlockNode(part))
            node.sizes[block.kind] += block.size
        node.remark = block.remark
    return top
