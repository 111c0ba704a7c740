"""The fields of a part of a map; the declarations are loaded with the first one that has any."""

from typing import TYPE_CHECKING

from ptzip.errors import FormatError
from ptzip.io.sources import Source
from ptzip.mapping.parts import FilePart

if TYPE_CHECKING:
    from ptzip.mapping.fields import Field

MOST_UNFOLDED = 1 << 22
"""Bytes of a structure whose fields are listed, which are copied for each level of them. Honest headers are shorter."""


def part_fields(source: Source, part: FilePart, base: int = 0) -> "list[Field]":
    """The fields of a part that has a declaration, and is not too long; none of any other. The source begins at byte `base`."""
    if not part.structure or part.length > MOST_UNFOLDED:
        return []
    from ptzip.mapping.declarations import fields  # here, since construct takes longer to load than most maps to be made

    try:
        return fields(part.structure, source.read(part.offset, part.length), base + part.offset)
    except FormatError:
        return []
