"""safetensors: a header, which is checked, and tensors, which are numbers.

Loaders that trust the header without checking it read other bytes, or write files of the names; so each fault is a finding.
"""

from collections.abc import Generator, Iterator

from ptzip.formats.safetensors_header import Header, read_header
from ptzip.formats.signatures import SAFETENSORS_LENGTH
from ptzip.io.sources import BytesSource, Position, Window, position
from ptzip.scanning.regions import Item, Outcome, Read, Reading, Region
from ptzip.scanning.subjects import MemberNames, NoteKind

MOST_FAULTS = 20
"""Faults that are reported one by one."""


def safetensors(region: Region) -> Generator[Item, None, Outcome]:
    """The header and its texts, and the data of each tensor."""
    header = read_header(region.source)
    yield MemberNames(region.location, header.names)
    for fault in header.faults[:MOST_FAULTS]:
        yield region.note(NoteKind.STRANGE, fault)
    if len(header.faults) > MOST_FAULTS:
        yield region.note(NoteKind.STRANGE, f"the header has {len(header.faults) - MOST_FAULTS:,} more faults")
    yield from _texts(region, header)
    end = header.start
    for span in header.spans:
        start, stop = header.start + span.start, header.start + span.end
        if stop > region.source.size:
            message = f"tensor {span.name} ends at byte {stop:,}, but the file at byte {region.source.size:,}"
            yield region.note(NoteKind.STRANGE, message)
            return Read(region.source.size)
        if start > end:
            yield region.inner(Window(region.source, end, start - end), "before a tensor", Reading.LEFTOVER)
        if stop > start:
            yield region.inner(Window(region.source, start, stop - start), f"tensor {span.name}", Reading.STORAGE)
        end = max(end, stop)
    if end < region.source.size:
        message = f"{region.source.size - end:,} bytes follow the last tensor, which safetensors refuses"
        yield region.note(NoteKind.STRANGE, message, end)
    return Read(end)


def _texts(region: Region, header: Header) -> Iterator[Item]:
    """The header as a text, which may hold files in base64 and the like; and the metadata where JSON escapes their letters."""
    length = header.start - SAFETENSORS_LENGTH.size
    window = Window(region.source, SAFETENSORS_LENGTH.size, length)
    raw = window.read(0, length)
    yield region.inner(BytesSource(raw, "the header", position(window, 0)), "the header", is_optional=True)
    if b"\\u" in raw or b"\\/" in raw:
        for number, text in enumerate(header.texts):
            data = text.encode("utf-8", "surrogatepass")
            what = f"text {number} of the metadata"
            yield region.inner(BytesSource(data, what, Position(0, what)), what, is_optional=True)
