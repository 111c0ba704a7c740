"""Copies of bytes as sources: few are in memory, more in a temporary file that has no name."""

import os
from collections.abc import Iterable

from ptzip.io.sources import START, BytesSource, DescriptorSource, Position, Source

IN_MEMORY = 64 << 20
"""Bytes that are kept in memory."""


def copied(pieces: Iterable[bytes], name: str, origin: Position = START, in_memory: int = IN_MEMORY) -> Source:
    """Pieces, one after the other, as a source that the caller closes; more than `in_memory` bytes are in a temporary file."""
    kept, size, rest = list[bytes](), 0, iter(pieces)
    for piece in rest:
        kept.append(piece)
        size += len(piece)
        if size > in_memory:
            break
    else:
        return BytesSource(b"".join(kept), name, origin)
    import tempfile  # few copies are that large

    with tempfile.TemporaryFile() as file:
        file.writelines(kept)
        kept.clear()
        file.writelines(rest)
        file.flush()
        return DescriptorSource(os.dup(file.fileno()), name, origin)
