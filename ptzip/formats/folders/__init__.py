"""Checkpoints that are folders: their tensors are assembled from pieces in several files."""

import contextlib
import os
from collections.abc import Iterator

from ptzip.errors import UnsupportedError
from ptzip.io.open_source import open_source
from ptzip.io.sources import Openable, Source, unchanged
from ptzip.io.urls import is_url

INDEX_ENDS = (".metadata", ".json", "latest", "latest_universal")
"""How the names of the files end that may say what a folder has."""


def open_any(source: Openable, by_index: bool = True, masters: bool = False) -> Source:
    """The same as `open_source`, also for a folder that is a checkpoint and, `by_index`, for the index of one.

    `masters` asks for float32 weights where there are others too. Raises FormatError for any other folder, UnsupportedError
    where no folder has such weights, and as `open_source` does.
    """
    ends = INDEX_ENDS if by_index else ()
    if (
        isinstance(source, str | os.PathLike)
        and not is_url(source)
        and (os.fspath(source).endswith(ends) or os.path.isdir(source))
    ):
        from ptzip.formats.folders.detect import folder_source  # most checkpoints are files

        if (found := folder_source(os.fspath(source))) is not None:
            found.masters = masters
            return found
    if masters:
        raise UnsupportedError("this is a file: only folders of DeepSpeed have float32 masters beside the weights")
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
