"""Recovers the first object of a legacy stream that was cut off, as a zip of torch.save.

Such a stream has no checksums, and its storages follow the object one after the other: those before the end of the file are
complete, the others are lost.
"""

from typing import NamedTuple

from ptzip.editing.edit import Edit
from ptzip.editing.modernise import modernise
from ptzip.formats.legacy import read_cut
from ptzip.formats.torchzip import fresh_records
from ptzip.io.sources import Source
from ptzip.limits import Limits
from ptzip.repairing.rebuild import filler
from ptzip.repairing.report import DroppedEntry
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from ptzip.values.tensor_names import named_tensors
from ptzip.zip.writer import Record


class Recovered(NamedTuple):
    """The records of the new file, the tensors of the old one, whether each storage of it is complete, and what is left out;
    so many bytes are `filled`."""

    records: list[Record]
    tensors: dict[str, Tensor]
    storages: dict[str, bool]
    dropped: tuple[DroppedEntry, ...]
    filled: int


def recovered(source: Source, limits: Limits) -> Recovered:
    """Read what is there, and fill what is lost. Raises FormatError where the object itself is cut off."""
    remains = read_cut(source, limits)
    tensors = named_tensors(build(remains.part, unknown="keep", limits=limits), limits.paths)
    dtypes = dtypes_of(tensors)
    edit, storages = Edit(remains.part), remains.part.storages
    for key, storage in storages.items():
        if key not in remains.storages:
            edit.payloads[key] = filler(dtypes.get(key, storage.dtype.name), storage.size)
    modernise(edit, is_zip=False)
    finished = edit.finish()
    further = () if remains.missing else (DroppedEntry("further objects", "a zip of torch.save holds one"),)
    complete = {key: key in remains.storages for key in storages}
    filled = sum(storage.size for key, storage in storages.items() if not complete[key])
    return Recovered(fresh_records(finished.pickle, finished.storages), tensors, complete, further, filled)


def dtypes_of(tensors: dict[str, Tensor]) -> dict[str, str]:
    """The dtype of the first tensor on each storage, by key: an untyped storage does not say it."""
    with_components = [one for tensor in tensors.values() for one in tensor.with_components]
    return {one.storage.key: one.dtype for one in reversed(with_components) if one.storage is not None}
