"""Checkpoints that are folders: their tensors are assembled from pieces in several files."""

import contextlib
import os
from collections.abc import Iterator

from ptzip.io.sources import Openable, Source, open_source, unchanged

INDEX_ENDS = (".metadata", ".index.json", "latest")
"""How the names of the files end that say what a folder has."""


def open_any(source: Openable, by_index: bool = True) -> Source:
    """The same as `open_source`, also for a folder that is a checkpoint and, `by_index`, for the index of one.

    Raises FormatError for any other folder, and as `open_source` does.
    """
    ends = INDEX_ENDS if by_index else ()
    if isinstance(source, str | os.PathLike) and (os.fspath(source).endswith(ends) or os.path.isdir(source)):
        from ptzip.formats.folders.detect import folder_source  # most checkpoints are files

        if (found := folder_source(os.fspath(source))) is not None:
            return found
    return open_source(source)


@contextlib.contextmanager
def opened_any(source: Openable, by_index: bool = True) -> Iterator[Source]:
    """The same, closed after the block, at whose end it is `unchanged`."""
    opened = open_any(source, by_index)
    try:
        with unchanged(opened):
            yield opened
    finally:
        opened.close()
