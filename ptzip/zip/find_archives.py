"""Where the zips of a source end and begin.

A zip is read from its end (APPNOTE 4.3.6), and a source may hold several in a row, as the shards of
torch.distributed.checkpoint do: only the end of the last one says where it begins, and so where the one before it ends.
"""

from ptzip.errors import FormatError
from ptzip.io.sources import Source, Window
from ptzip.zip import structs

MOST_ENDS = 16
"""End records that are considered."""

BLOCK, OVERLAP = 4096, 3
"""How miniz looks for the end record: block by block from the end, each sharing some bytes with the one read before it
(third_party/miniz, mz_zip_reader_locate_header_sig)."""

REACH = 17 * BLOCK - 16 * OVERLAP
"""The last bytes of a file in which some loader finds an end record: those that miniz reads. A comment of the longest kind
takes less."""


def is_zip(source: Source) -> bool:
    """Whether there is an end of central directory record; a zip that was cut off has none."""
    return find_end(source) is not None


def zips_in(source: Source) -> tuple[list[Source], int]:
    """The zips that follow one another up to the end of a source, and the number of bytes before the first."""
    zips, end = list[Source](), source.size
    while end:
        window = Window(source, 0, end) if end < source.size else source
        end_offset = find_end(window)
        if end_offset is None:
            break
        start = _start(window, end_offset)
        zips.append(Window(source, start, end - start) if start else window)
        end = start
    return zips[::-1], end


def zips_in_a_row(source: Source) -> tuple[list[Source], int]:
    """The same of zips with nothing in between. What a zip holds may be zips as well, so in one that was cut off others are
    found, and between them its own headers.
    """
    zips, before = zips_in(source)
    for index in range(len(zips) - 1, 0, -1):
        if not _is_exact(zips[index - 1]):
            return zips[index:], before + sum(one.size for one in zips[:index])
    return zips, before


def _is_exact(source: Source) -> bool:
    """Whether a zip ends with its end record and the comment that this announces."""
    at = find_end(source)
    try:
        return at is not None and at + structs.END_SIZE + len(read_end(source, at).comment) == source.size
    except FormatError:
        return False


def find_end(source: Source) -> int | None:
    """The offset of the last end record, which a comment may follow (APPNOTE 4.3.16); None without one.

    The bytes in front of it, which may be those of a storage, are searched only where it is not the last thing in the file.
    """
    last = source.size - structs.END_SIZE
    if last >= 0 and source.read(last, len(structs.END_SIGNATURE)) == structs.END_SIGNATURE:
        return last
    start, tail = _tail(source)
    at = tail.rfind(structs.END_SIGNATURE, 0, max(0, len(tail) - structs.END_SIZE + len(structs.END_SIGNATURE)))
    return None if at < 0 else start + at


def does_miniz_find(end_offset: int, size: int) -> bool:
    """Whether miniz finds the end record at an offset of a file of `size` bytes.

    A block that would begin before the file is not moved to its beginning, since the subtraction is unsigned: reading it fails.
    """
    at = max(size - BLOCK, 0)
    while end_offset < at:
        at -= BLOCK - OVERLAP
    return at >= 0


def all_ends(source: Source) -> list[int]:
    """The offsets of everything that a reader may take for the end record, that of `find_end` first; at most `MOST_ENDS`."""
    start, tail = _tail(source)
    found, at = list[int](), tail.rfind(structs.END_SIGNATURE)
    while at >= 0 and len(found) < MOST_ENDS:
        found.append(start + at)
        at = tail.rfind(structs.END_SIGNATURE, 0, at + len(structs.END_SIGNATURE) - 1)
    first = find_end(source)
    return sorted(found, key=lambda offset: offset != first)


def read_end(source: Source, offset: int) -> structs.End:
    """The end record at an offset. Raises FormatError where its comment is cut off."""
    return structs.read(structs.End, source, offset)


def read_end64(source: Source, end_offset: int) -> structs.End64 | None:
    """The zip64 end record that belongs to an end record; None where no locator precedes that.

    Raises FormatError where the locator does not lead to a zip64 end record in front of itself.
    """
    at = end_offset - structs.LOCATOR64_SIZE
    if at < 0 or source.read(at, len(structs.LOCATOR64_SIGNATURE)) != structs.LOCATOR64_SIGNATURE:
        return None
    locator = structs.read(structs.Locator64, source, at)
    if locator.offset + structs.END64_SIZE > at:
        raise FormatError(f"the zip64 locator points to byte {locator.offset}, past itself", at)
    return structs.read(structs.End64, source, locator.offset)


def _tail(source: Source) -> tuple[int, bytes]:
    """The last bytes of a source, in which its end record must be, and their offset."""
    length = min(source.size, REACH)
    return source.size - length, source.read(source.size - length, length)


def _start(source: Source, end_offset: int) -> int:
    """The offset of the first local header of the zip that ends a source; 0 where its end does not say or is wrong."""
    start = bytes_before(source, end_offset)
    is_start = start > 0 and source.read(start, len(structs.LOCAL_SIGNATURE)) == structs.LOCAL_SIGNATURE
    return start if is_start else 0


def bytes_before(source: Source, end_offset: int) -> int:
    """How many bytes are in front of the zip that ends a source, by its end records; negative where the zip itself lacks bytes.

    The offsets in the records count from the start of their zip, so the directory has to end where its end records begin.
    """
    try:
        facts: structs.End | structs.End64 = read_end(source, end_offset)
    except FormatError:
        return 0
    at = end_offset - structs.LOCATOR64_SIZE - structs.END64_SIZE
    if at >= 0 and source.read(at, len(structs.END64_SIGNATURE)) == structs.END64_SIGNATURE:
        facts, end_offset = structs.read(structs.End64, source, at), at
    return end_offset - facts.directory_size - facts.directory_offset
