"""What an opcode of a pickle builds, and where that ends up in the object."""

from collections.abc import Iterable, Iterator
from itertools import pairwise
from operator import itemgetter
from typing import NamedTuple

from ptzip.formats.container import Part
from ptzip.io.sources import Position
from ptzip.mapping.execution import Step, executed
from ptzip.mapping.opcode_meanings import MOST_BYTES, OpcodeLine, Paths, in_words, object_paths, opcode_line
from ptzip.pickling.nodes import Node, pairs, plain
from ptzip.tree.children import each_child, node_key_text
from ptzip.tree.paths import TOP, join_path

MOST_USES = 8
"""How many levels between a value and an object with a path are described."""


class Built(NamedTuple):
    """An opcode, the number of the byte in it, and the value that it leaves on the stack ("" where it leaves none).

    `uses` is what that is a part of, the innermost first, up to an object that has a path; `path` is that path, "" for the
    whole object and None where the value is in no object. `is_key`: it is a key there.
    """

    opcode: OpcodeLine
    byte: int
    value: str
    uses: tuple[str, ...]
    path: str | None
    is_key: bool = False


class _Watched:
    """An opcode whose value is followed through the stack until it is a part of the object."""

    def __init__(self, at: int, step: Step, line: OpcodeLine) -> None:
        self.at, self.start = at, step.opcode.start
        self.line = line
        self.mark = step.opcode.start if step.opcode.name == "MARK" else None
        self.level = step.after
        self.chain = [] if step.top is None else [step.top]
        self.is_done = not self.chain and self.mark is None
        self.is_whole = False
        """Whether the last of the chain is the object of the pickle."""

    def follow(self, step: Step) -> None:
        """Note what the value becomes a part of."""
        if self.mark is not None:
            if step.mark != self.mark:
                return
            self.mark = None
        elif step.after > self.level or (step.after == self.level and step.top is self.chain[-1]):
            return
        if step.opcode.name in ("POP", "POP_MARK", "STOP") or step.top is None:
            self.is_done, self.is_whole = True, step.opcode.name == "STOP" and step.machine.pickle.root is self.chain[-1]
        else:
            self.chain.append(step.top)
            self.level = step.after


def built(part: Part, offsets: Iterable[int], start: Position) -> Iterator[Built]:
    """What the opcodes build that the bytes at some offsets of a pickle belong to; nothing for bytes of no opcode. The first
    byte of its source is reported as `start`.
    """
    if part.source is None:
        return
    wanted, watched = sorted(set(offsets), reverse=True), list[_Watched]()
    stream, paths = part.source.whole(), object_paths(part.pickle)
    for step in executed(part):
        opcode = step.opcode
        for one in watched:
            if not one.is_done:
                one.follow(step)
        while wanted and wanted[-1] < opcode.end:
            at = wanted.pop()
            if at >= opcode.start:
                raw = stream[opcode.start : min(opcode.end, opcode.start + MOST_BYTES)]
                watched.append(_Watched(at, step, opcode_line(step, paths, start, raw)))
        if not wanted and all(one.is_done for one in watched):
            break
    for one in watched:
        yield _described(one, paths)


def _described(one: _Watched, paths: Paths) -> Built:
    chain, path, is_key = [plain(node) for node in one.chain], None, False
    found, last = "", len(chain) - 1
    if one.is_whole:
        found, last = _path(chain)
        path = found
        key = _key(chain[: last + 1])
        if key is not None:
            path, is_key = join_path(found, key), True
    uses = tuple(in_words(node, paths) for node in chain[1 : last + 1][:MOST_USES])
    return Built(one.line, one.at - one.start, in_words(chain[0], paths) if chain else "", uses, path, is_key)


def _path(chain: list[Node]) -> tuple[str, int]:
    """The path of the innermost value of a chain that has one, from the object that ends it, and the index of that value."""
    index = {id(node): number for number, node in enumerate(chain)}
    path, at = TOP, len(chain) - 1
    while True:
        below = [(index[id(one.value)], one.part) for one in each_child(chain[at]) if index.get(id(one.value), at) < at]
        if not below:
            return str(path), at
        at, part = max(below, key=itemgetter(0))
        path = path.below(part)


def _key(chain: list[Node]) -> str | None:
    """The text of the key that the innermost value of a chain is, or is a part of; None where it is none."""
    for key, holder in pairwise(chain):
        if any(plain(one) is key for one, _ in pairs(holder)):
            return node_key_text(key)
    return None
