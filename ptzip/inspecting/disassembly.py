"""The opcodes of the pickles of a file: all, those in a stretch of the file, or those that build an object."""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import EditError, PtzipError
from ptzip.formats.container import PICKLE_NOTE, Part, nothing_stored
from ptzip.formats.legacy import Legacy
from ptzip.io.sources import Position, position
from ptzip.mapping.execution import Span, executed, span_of
from ptzip.mapping.opcode_meanings import MOST_BYTES, OpcodeLine, object_paths, opcode_line
from ptzip.mapping.where import Where
from ptzip.pickling.nodes import Node
from ptzip.pickling.reader import read_seen
from ptzip.tree.children import find_node

SKIPPED = "(data)"
"""The name of a line for the bytes of an array that joblib writes between two opcodes."""


class PickleOpcodes(NamedTuple):
    """A pickle of a file, and its opcodes that are wanted. `total` is their number, None where only some are."""

    name: str
    lines: Iterator[OpcodeLine]
    total: int | None
    anomalies: tuple[str, ...]


def disassembled(checkpoint: Checkpoint, path: str = "", where: Where | None = None) -> Iterator[PickleOpcodes]:
    """The pickles of a file with their opcodes: all of them, those in a record or stretch, or those that build the object at a
    path. Raises EditError where there is nothing of that kind.
    """
    spans = _spans(checkpoint, where)
    if path:
        part, node = find_in(checkpoint, path)
        built, within = span_of(part, node.offset), spans.get(part, Span(0, 0))
        spans = {part: Span(max(built.start, within.start), min(built.stop, within.stop))}
    for part, span in spans.items():
        is_whole = not path and span.start <= part.pickle.start and span.stop >= part.pickle.end
        total = part.pickle.opcodes + (part.pickle.root is not None) if is_whole else None
        yield PickleOpcodes(part.name, opcode_lines(part, span), total, tuple(map(str, part.anomalies)))


def _spans(checkpoint: Checkpoint, where: Where | None) -> dict[Part, Span]:
    """The pickles of a file, and the bytes of each that are in a record or stretch."""
    parts = list(_pickles(checkpoint))
    found = {part: span for part in parts if (span := _span(part, where)) is not None}
    if not found:
        raise EditError(f"{where} is not in a pickle of the file: {', '.join(map(_placed, parts))}")
    return found


def _pickles(checkpoint: Checkpoint) -> Iterator[Part]:
    """All pickles of a file in their order, also those around the object of a legacy stream."""
    known = {part.pickle.start: part for part in (checkpoint.main, *checkpoint.parts[1:])}
    if not isinstance(checkpoint.container, Legacy):
        yield from checkpoint.parts
        return
    stream, source = checkpoint.content.whole(), checkpoint.content
    for member in checkpoint.container.members:
        if member.offset in known:
            yield known[member.offset]
        elif member.note == PICKLE_NOTE:
            pickle = read_seen(stream, member.offset, checkpoint.limits)
            yield Part(member.name, pickle, nothing_stored, source=source)


def _span(part: Part, where: Where | None) -> Span | None:
    """The bytes of a pickle that are in a record or stretch, from the start of its source; None where there are none."""
    pickle, start = part.pickle, Position(0) if part.source is None else position(part.source, 0)
    names = (part.name, part.name.removeprefix("record "), part.record.name if part.record else start.inside)
    if where is None or (where.offset is None and where.inside in names):
        return Span(pickle.start, pickle.end + 1)
    if where.offset is None or where.inside != start.inside:
        return None
    first = where.offset - start.offset
    stop = pickle.end + 1 if where.length is None else first + where.length
    return Span(first, stop) if first <= pickle.end and stop > pickle.start else None


def _placed(part: Part) -> str:
    """A pickle by its name and its bytes."""
    start = Position(0) if part.source is None else position(part.source, part.pickle.start)
    inside = f" in {start.inside}" if start.inside else ""
    return f"{part.name} is {start.offset}:{part.pickle.end - part.pickle.start}{inside}"


def find_in(checkpoint: Checkpoint, path: str) -> tuple[Part, Node]:
    """The node at a path, in the first pickle that has it. Raises the error of the first where none has it."""
    fault: PtzipError | None = None
    for part in checkpoint.parts:
        try:
            return part, find_node(part.root, path).value
        except PtzipError as error:
            fault = fault or error
    raise fault or checkpoint.no_object()


def opcode_lines(part: Part, span: Span | None = None) -> Iterator[OpcodeLine]:
    """The opcodes of a pickle in a span of its bytes, or all, up to where it breaks."""
    if part.source is None:
        return
    stream, start, paths, end = part.source.whole(), position(part.source, 0), object_paths(part.pickle), part.pickle.start
    for step in executed(part):
        opcode = step.opcode
        if span is not None and opcode.start >= span.stop:
            return
        if opcode.start > end and (span is None or opcode.start > span.start):
            meaning, raw = f"{opcode.start - end:,} bytes that only joblib skips", stream[end : end + MOST_BYTES]
            yield OpcodeLine(start.offset + end, SKIPPED, None, meaning, raw, opcode.start - end, inside=start.inside)
        end = opcode.end
        if span is None or end > span.start:
            yield opcode_line(step, paths, start, stream[opcode.start : min(end, opcode.start + MOST_BYTES)])
