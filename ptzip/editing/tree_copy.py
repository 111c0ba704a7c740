"""Copies of trees, so that an edit changes its own tree and never that of the open checkpoint."""

from ptzip.pickling.nodes import Atom, Global, Node, Step
from ptzip.pickling.reader import without_collections


def copy_tree(root: Node) -> Node:
    """Copy everything below a node; a node in several positions, or inside itself, is one node in the copy too.

    Atoms and globals, half of all nodes, are shared with the original: an edit replaces them and never changes them.
    Iterative, since nesting has no limit.
    """
    with without_collections():
        return _copy(root)


def _copy(root: Node) -> Node:
    copies: dict[int, Node] = {}
    pending: list[Node] = []
    new = object.__new__

    def copied(nodes: list[Node]) -> list[Node]:
        found = []
        for node in nodes:
            kind = type(node)
            if kind is Atom or kind is Global:
                found.append(node)
                continue
            copy = copies.get(id(node))
            if copy is None:
                copies[id(node)] = copy = new(kind)
                copy.op, copy.arg, copy.offset, copy.parts, copy.steps = node.op, node.arg, node.offset, node.parts, node.steps
                pending.append(copy)
            found.append(copy)
        return found

    (top,) = copied([root])
    while pending:
        node = pending.pop()
        if node.parts:
            node.parts = copied(node.parts)
        if node.steps:
            node.steps = [Step(step.op, step.arg, copied(step.items)) if step.items else step for step in node.steps]
    return top
