"""What an index of torch.distributed.checkpoint makes torch load: bytes of the files beside it, wherever they are in them.

A scan of such a file reads the zips in it, or what all of its zstd unpacks to. An index may name other bytes of it, such as
those of a tensor, or a file of any other kind. So each item has to be one of the zips; one that is packed is scanned by itself.
"""

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

from ptzip.allowlist.table import Trust
from ptzip.errors import PtzipError
from ptzip.formats.folders.dcp import MODULE
from ptzip.formats.folders.dcp_index import INDEX, OWN_INDEX, Place, parsed
from ptzip.io.folders import FolderFile
from ptzip.io.sources import FileSource, Source, Window
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.scanning.regions import Budget, Region
from ptzip.scanning.subjects import Note, NoteKind, Subject
from ptzip.scanning.walk import walked
from ptzip.zip.find_archives import zips_in_a_row


def indexed_items(source: Source, limits: Limits, trusted: Trust) -> Iterator[Subject]:
    """What rules judge of the items that an index names; nothing of any other file."""
    path = Path(source.folder.path if isinstance(source, FolderFile) else "", getattr(source, "path", ""))
    if path.name != INDEX and not OWN_INDEX.fullmatch(path.name):
        return
    try:
        places = set(parsed(source, limits._replace(opcodes=max(limits.opcodes, DEFAULT_LIMITS.opcodes))).places.values())
    except PtzipError as error:
        if MODULE in source.read(0, min(source.size, limits.pickle_bytes)):
            yield Note("", NoteKind.STRANGE, f"the items that this index names cannot be checked: {error}")
        return
    for file, items in itertools.groupby(sorted(places), key=lambda place: place.file):
        yield from _of_file(path.parent, file, list(items), limits, trusted)


def _of_file(folder: Path, name: str, items: Sequence[Place], limits: Limits, trusted: Trust) -> Iterator[Subject]:
    if Path(name).name != name or "\\" in name:
        yield Note("", NoteKind.STRANGE, f"torch loads {name!r}, which this index names and which is not beside it")
        return
    if not (folder / name).is_file():
        return  # there is nothing to load
    source = FileSource(folder / name)
    try:
        zips = {(one.offset if isinstance(one, Window) else 0, one.size) for one in zips_in_a_row(source)[0]}
        other = [item for item in items if not item.transforms and (item.offset, item.length) not in zips]
        if other:
            where = f"byte {other[0].offset} of {name}" + (f" and {len(other) - 1} more" if other[1:] else "")
            yield Note("", NoteKind.STRANGE, f"torch loads the item at {where}, which is none of the zips in that file")
        for item in items:
            if item.transforms:
                window = Window(source, item.offset, max(min(item.length, source.size - item.offset), 0))
                budget, where = Budget(limits, source.size), f"item at byte {item.offset} of {name}"
                yield from walked(Region(window, budget, trusted, where, is_optional=True, is_loaded=True))
    finally:
        source.close()
