"""Checkpoints that are known to be zips of torch.save, their records, and small zips of pickles."""

import io
import zipfile
from pathlib import Path

from ptzip.checkpoint import Checkpoint
from ptzip.formats.torchzip import TorchZip
from ptzip.zip.reader import Entry


def torch_zip(checkpoint: Checkpoint) -> TorchZip:
    """The layout of a checkpoint, as what it must be."""
    assert isinstance(checkpoint.container, TorchZip)
    return checkpoint.container


def storage_record(checkpoint: Checkpoint, key: str) -> Entry:
    """The record of a storage."""
    return torch_zip(checkpoint).records[f"data/{key}"]


def zip_of(*names: str) -> bytes:
    """A zip in which every entry holds a pickle of None."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"N.")
    return stream.getvalue()


def replace_in(path: Path, old: bytes, new: bytes, record: str = "data.pkl") -> None:
    """Replace bytes, which have to be there, in a record of a file of torch.save."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in records if name.endswith(f"/{record}"))
    assert old in records[name]
    records[name] = records[name].replace(old, new)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in records.items():
            archive.writestr(name, data)
