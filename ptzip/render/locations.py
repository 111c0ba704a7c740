"""The bytes that `inspect --at` explains, as text: a line for the byte, then one for each step of the way to it."""

from collections.abc import Iterable, Iterator

from ptzip.mapping.builds import Built
from ptzip.mapping.elements import Element
from ptzip.mapping.locate import Location
from ptzip.mapping.parts import FilePart
from ptzip.render.words import cut, filled, printable, value


def at_lines(name: str, locations: Iterable[Location], width: int) -> Iterator[str]:
    """The way to each of some bytes, below a line with the name of the file."""
    yield f"{printable(name)}:"
    for one in locations:
        yield from location_lines(one, width)


def location_lines(found: Location, width: int) -> Iterator[str]:
    """The way to one byte, in lines of at most `width` characters."""
    inside = f" in {found.inside}" if found.inside else ""
    shown = "the end" if found.byte is None else f"{found.byte:02x}"
    shown += f" {chr(found.byte)!r}" if found.byte is not None and 0x20 <= found.byte < 0x7F else ""
    yield cut(f"  byte {found.offset} (0x{found.offset:x}){inside}: {shown}", width)
    for part in found.parts:
        yield cut(f"    {_part(part, found.offset)}", width)
    for words in (*_fields(found), *(_opcode(found.built) if found.built else ()), *_element(found.element)):
        yield cut(f"    {words}", width)
    if found.built:
        yield from _built(found.built, width)


def _part(part: FilePart, at: int) -> str:
    of = f" of {part.owner}" if part.owner else ""
    remark = f" ({part.remark})" if part.remark else ""
    return f"{part.kind}{of}{remark}: {_byte(at - part.offset, part.length)}"


def _byte(index: int, size: int) -> str:
    return f"byte {index + 1:,} of {size:,}"


def _fields(found: Location) -> Iterator[str]:
    """The fields, from the outermost one inwards."""
    for field in found.fields:
        shown = "" if field.value is None else f" = {value(field.value)}"
        meaning = f" ({field.meaning})" if field.meaning else ""
        yield f"{field.name}{shown}{meaning}: {_byte(found.offset - field.offset, field.length)}"


def _opcode(found: Built) -> Iterator[str]:
    line = found.opcode
    argument = line.argument if not isinstance(line.argument, tuple) else " ".join(line.argument)
    shown = "" if argument is None else f" {value(argument)}"
    meaning = f"  # {line.meaning}" if line.meaning else ""
    where = f"{_byte(found.byte, line.length)} from {line.offset}, stack {line.before}>{line.after}"
    yield f"{line.op}{shown}: {where}{meaning}"


def _built(found: Built, width: int) -> Iterator[str]:
    """What the opcode builds, what that is a part of, and the path where that is."""
    if found.value:
        uses = [f"builds {found.value}", *(f"in {use}" for use in found.uses)]
        yield from filled((cut(use, width - 6) for use in uses), "    ", width - 1)
    if found.path is None and found.value:
        yield "    it is no part of the object"
    if found.path is not None:
        place = f"{'the key' if found.is_key else 'at'} {found.path}" if found.path else "the whole object"
        yield cut(f"    {place}", width)


def _element(found: Element | None) -> Iterator[str]:
    if found is None:
        return
    kind = f"{found.dtype}, {found.location}"
    yield f"storage {found.storage} ({kind}): element {found.element:,}, {_byte(found.byte, found.size)}"
    for tensor in found.tensors:
        index = f"[{', '.join(map(str, tensor.position))}]" if tensor.position else ""
        number = tensor.value
        shown = "" if number is None else f" = {number:.9g}" if isinstance(number, float | complex) else f" = {number}"
        kind = "" if tensor.dtype == found.dtype else f" ({tensor.dtype}): {_byte(tensor.byte, tensor.size)}"
        yield f"{tensor.name}{index}{shown}{kind}"
