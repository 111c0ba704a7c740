"""The bytes of tensors as a tree by module, each byte of a storage once."""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.figures.block_tree import Block, BlockNode, block_tree
from ptzip.inspecting.kinds import UNUSED, kind_of
from ptzip.inspecting.tensor_uses import TensorUses


class SizeRow(NamedTuple):
    """The bytes at a path and below it; `share` is the part of all bytes, from 0 to 1."""

    depth: int
    name: str
    size: int
    share: float
    kind: str


def blocks(uses: TensorUses) -> Iterator[Block]:
    """The bytes of each tensor, and those of storages that no tensor uses, beside the first tensor on them."""
    yield from (Block(use.name, use.own, kind_of(use.name)) for use in uses.tensors if use.own)
    for unused in uses.unused:
        module, dot, _ = unused.name.rpartition(".")
        yield Block(f"{module}{dot}(unused)", unused.size, UNUSED)


def size_rows(uses: TensorUses, depth: int, by_size: bool) -> Iterator[SizeRow]:
    """The rows of the tree to a depth, in the order of the file or the largest first."""
    top = block_tree("tensors", blocks(uses))
    pending: list[tuple[int, BlockNode]] = [(0, top)]
    while pending:
        level, node = pending.pop()
        node = node.joined_chain() if level else node
        yield SizeRow(level, node.name, node.size, node.size / max(top.size, 1), node.kind)
        if level < depth:
            below = [child for child in node.children.values() if child.size]
            below.sort(key=lambda child: -child.size if by_size else 0)
            pending += [(level + 1, child) for child in reversed(below)]
