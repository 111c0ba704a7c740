"""Takes bytes out of a file: a record, a stretch, or the values of a tensor as a `.npy`."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ptzip.checkpoint import Checkpoint, open_checkpoint, opened_bytes
from ptzip.errors import EditError, PtzipError, UnsupportedError
from ptzip.formats import npy
from ptzip.io.payloads import CheckedPayload, Payload, SequentialFile, SourcePayload
from ptzip.io.sources import Openable, Source
from ptzip.limits import Limits
from ptzip.mapping.hexdump import stretch
from ptzip.mapping.parts import file_parts
from ptzip.mapping.where import Where
from ptzip.tensors.strides import check_repeats
from ptzip.zip.find_archives import zips_in_a_row
from ptzip.zip.reader import Entry, read_archive

if TYPE_CHECKING:
    from ptzip.tensors.tensor import Tensor


@contextlib.contextmanager
def extracted(file: Openable, where: Where, limits: Limits, is_raw: bool = False) -> Iterator[tuple[Source, Payload]]:
    """A file, and the bytes of a stretch of it, of a record in it, or of a tensor as a `.npy`, to be read inside the block.

    A record is inflated, and its CRC computed, unless it `is_raw`. Raises EditError where nothing has the name,
    UnsupportedError where a record cannot be inflated or numpy lacks the dtype of a tensor.
    """
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(opened_bytes(file, limits))
        try:
            found = _record(source, where, limits, is_raw)
        except EditError:
            checkpoint = stack.enter_context(open_checkpoint(source, limits))
            found = _of_checkpoint(checkpoint, where, limits, is_raw)
        yield source, found


def _of_checkpoint(checkpoint: Checkpoint, where: Where, limits: Limits, is_raw: bool) -> Payload:
    """A tensor, or a record of what is compressed. Raises EditError where there is none."""
    found = _tensor(checkpoint, where.inside)
    if found is not None:
        return found
    if checkpoint.compression:
        return _record(checkpoint.content, where, limits, is_raw)
    raise EditError(f"there is no record or tensor {where.inside}: `--records` and `--tensors --all` list them")


def crc_fault(payload: Payload) -> str:
    """What a user should know of a record that was read; "" where its CRC matches or there is none."""
    if isinstance(payload, CheckedPayload) and payload.is_wrong():
        return f"the CRC of {payload.name} does not match its bytes"
    return ""


def write_extracted(source: Source, payload: Payload, output: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Write a payload of a source to a new file, atomically.

    Raises FileExistsError unless with `overwrite`, EditError where the output is the source.
    """
    from ptzip.io.atomic_output import check_not_input, local_path, new_files  # most views write nothing

    with local_path(output, overwrite) as path:
        check_not_input(path, source.name)
        with new_files([path], source, overwrite=overwrite) as files:
            files.outputs[0].write(SequentialFile([payload]))


def _record(source: Source, where: Where, limits: Limits, is_raw: bool) -> Payload:
    """The bytes of a record, or of a stretch. Raises EditError where there is no such record."""
    entry = _entry(source, where.inside, limits) if where.offset is None else None
    if entry is not None:
        return entry.stored if is_raw else entry.checked
    start, stop = stretch(list(file_parts(source, limits)), where)
    return SourcePayload(source, start, stop - start)


def _entry(source: Source, name: str, limits: Limits) -> Entry | None:
    """The first record of a name in a zip, or in zips in a row; the folder of the archive may be left out."""
    try:
        zips, _ = zips_in_a_row(source)
        entries = [entry for one in zips for entry in read_archive(one, limits).entries]
    except PtzipError:
        return None
    named = [entry for entry in entries if entry.name == name]
    return next(iter(named or (entry for entry in entries if entry.name.partition("/")[2] == name)), None)


def _tensor(tensors: "Mapping[str, Tensor]", name: str) -> Payload | None:
    """The values of a tensor as a `.npy`; None where there is none of that name."""
    from ptzip.tensors.to_numpy import span, storage_of  # here, since records are taken out without numpy

    if name not in tensors:
        return None
    tensor = tensors[name]
    storage = storage_of(tensor)
    if tensor.dtype not in npy.NATIVE_DTYPES:
        raise UnsupportedError(f"numpy has no dtype {tensor.dtype}: extract the bytes of its storage, {storage.root[0].key}")
    first, last = span(tensor)
    check_repeats(tensor.nbytes, last - first)
    return npy.written(tensor)
