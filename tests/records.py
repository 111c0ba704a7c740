"""Checkpoints that are known to be zips of torch.save, their records, and zips of other kinds."""

import io
import zipfile

from ptzip.checkpoint import Checkpoint
from ptzip.formats.torchzip import TorchZip
from ptzip.zip.reader import Entry


def torch_zip(checkpoint: Checkpoint) -> TorchZip:
    """The layout of a checkpoint, as what it must be."""
    assert isinstance(checkpoint.container, TorchZip)
    return checkpoint.container


def storage_record(checkpoint: Checkpoint, key: str) -> Entry:
    """The record of a storage of such a checkpoint."""
    return torch_zip(checkpoint).records[f"data/{key}"]


def zip_of(*names: str) -> bytes:
    """A zip of entries that hold a pickle of None each."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"N.")
    return stream.getvalue()
