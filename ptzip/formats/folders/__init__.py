"""Checkpoints that are folders: their tensors are assembled from pieces in several files."""

import os

from ptzip.io.sources import Openable, Source, open_source

INDEX_ENDS = (".metadata", ".index.json", "latest")
"""How the names of the files end that say what a folder has."""


def open_any(source: Openable) -> Source:
    """The same as `open_source`, also for a folder that is a checkpoint, and for its index.

    Raises FormatError for any other folder, and as `open_source` does.
    """
    if isinstance(source, str | os.PathLike) and (os.path.isdir(source) or os.fspath(source).endswith(INDEX_ENDS)):
        from ptzip.formats.folders.detect import folder_source  # most checkpoints are files

        if (found := folder_source(os.fspath(source))) is not None:
            return found
    return open_source(source)
