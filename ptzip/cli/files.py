"""The files that a command works on: those that are named, and of folders the checkpoints in them and below."""

import os
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ptzip.errors import EditError

MODEL_SUFFIXES = frozenset(
    (
        *(".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".safetensors", ".ptl", ".pt2", ".tar", ".npy", ".npz", ".joblib"),
        *(".model", ".gz", ".zst", ".zip", ".7z", ".h5"),
    )
)
"""The suffixes by which files in folders are taken for checkpoints."""


class File(NamedTuple):
    """A file to work on: `folder` is the folder that was named and walked, "" where the file itself was named."""

    path: str
    folder: str = ""

    @property
    def is_named(self) -> bool:
        return not self.folder

    @property
    def has_model_suffix(self) -> bool:
        return os.path.splitext(self.path)[1].lower() in MODEL_SUFFIXES


def walk(paths: Iterable[str]) -> Iterator[File]:
    """All files; a folder that cannot be listed is one, so that it is reported."""
    for path in paths:
        if not os.path.isdir(path):
            yield File(path)
            continue
        unlisted = list[OSError]()
        for folder, folders, names in os.walk(path, onerror=unlisted.append):
            folders.sort()
            yield from (File(os.path.normpath(os.path.join(folder, name)), path) for name in sorted(names))
        yield from (File(str(error.filename)) for error in unlisted)


def checkpoints(paths: list[str]) -> list[File]:
    """The files that are named, and in folders those with the suffix of a checkpoint. Raises EditError where there are none."""
    found = [file for file in walk(paths) if file.is_named or file.has_model_suffix]
    if not found:
        raise EditError(f"no file in {', '.join(paths)} has the suffix of a checkpoint: name the files themselves")
    return found
