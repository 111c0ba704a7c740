"""How far the object of a pickle goes: how deep, how often its parts stand for one another, what in it is large.

Rule: all is counted on the tree as it is in memory, each node once, so that no bomb goes off while it is measured.
"""

from typing import Any, NamedTuple

from ptzip.pickling.nodes import Atom, Dict, List, Node, Pickle, Set, Tuple, children

CONTAINERS = frozenset((Dict, List, Tuple, Set))

NUMBERS = frozenset(("LONG4", "LONG", "INT"))
"""The opcodes whose numbers may be of any length."""

BYTES = frozenset(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
TEXTS = frozenset(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"))
NOTED = NUMBERS | BYTES | TEXTS

SHORTEST = 8
"""Shorter arguments are nothing that could be large, or looked into."""

MOST = 1 << 62
"""Beyond this nothing is counted."""


class Extent(NamedTuple):
    """`depth` of nodes in one another; `references` from one to another; `walked`, how many containers there are where each
    is counted wherever it stands. `atoms` are those of numbers, bytes and texts that may be large."""

    depth: int
    references: int
    walked: int
    atoms: tuple[Atom, ...]


def extent(pickle: Pickle) -> Extent:
    """The extent of an object, and of everything that was made on the way and is no part of it."""
    measure = _Measure()
    for root in ([pickle.root] if pickle.root is not None else []) + pickle.calls:
        measure.all_below(root)
    depth = max((deep for deep, _ in measure.sizes.values()), default=0)
    walked = max((count for _, count in measure.sizes.values()), default=0)
    return Extent(depth, measure.references, walked, tuple(measure.atoms.values()))


class _Measure:
    """One pass; `sizes` are depth and count of every node by its identity, while it is still open (0, 0)."""

    def __init__(self) -> None:
        self.sizes: dict[int, tuple[int, int]] = {}
        self.atoms: dict[int, Atom] = {}
        self.references = 0

    def all_below(self, root: Node) -> None:
        sizes = self.sizes
        pending: list[Any] = [root]
        while pending:
            node = pending.pop()
            if type(node) is tuple:
                self._close(*node)
            elif id(node) not in sizes:
                below = self._below(node)
                sizes[id(node)] = (0, 0)
                pending.append((id(node), below, type(node) in CONTAINERS))
                pending += below

    def _close(self, key: int, below: list[Node], is_counted: bool) -> None:
        """A node whose parts are measured."""
        deepest = total = 0
        for node in below:
            deep, count = self.sizes[id(node)]
            deepest = deep if deep > deepest else deepest
            total += count
        self.sizes[key] = deepest + 1, min(total + 1, MOST) if is_counted else 0

    def _below(self, node: Node) -> list[Node]:
        """What is right below a node and is no atom."""
        if type(node) is Atom:
            self._note(node)
            return []
        parts = children(node) if node.steps else node.parts
        found = [part for part in parts if type(part) is not Atom]
        if len(found) < len(parts):
            for part in parts:
                if type(part) is Atom:
                    self._note(part)
        self.references += len(found)
        return found

    def _note(self, node: Atom) -> None:
        if node.op in NOTED and len(node.arg) >= SHORTEST:
            self.atoms[id(node)] = node
