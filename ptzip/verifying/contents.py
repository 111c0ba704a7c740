"""What a file says once it is opened as whoever loads it does: its pickle, its storages, its values.

Rule: a problem is a value here; only what is no fault of the file is raised.
"""

import contextlib
from collections.abc import Iterator

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.errors import CutError, FormatError, PickleError, PtzipError
from ptzip.formats.bare import Bare
from ptzip.formats.safetensors import SafeTensors
from ptzip.formats.signatures import SAFETENSORS_LENGTH
from ptzip.formats.torchzip import TorchZip
from ptzip.limits import Limits
from ptzip.verifying.loadability import broken_promises, loading, strays
from ptzip.verifying.report import CUT, HEADER, LAYOUT, PICKLE, Numbers, Problem, VerifyReport

HEADER_AT = SAFETENSORS_LENGTH.size


def opened(report: VerifyReport, values: bool, limits: Limits) -> VerifyReport:
    """What the file says once it is opened as whoever loads it does."""
    try:
        with open_checkpoint(report.path, limits) as checkpoint:
            problems = tuple(_fit(checkpoint))
            found = report._replace(format=checkpoint.format, problems=problems)
            if problems:
                return found
            numbers = tuple(_numbers(checkpoint)) if values else ()
            return found._replace(loading=loading(checkpoint) if checkpoint.parts else None, numbers=numbers)
    except FormatError as error:
        return report._replace(problems=(_unreadable(error),))


def _unreadable(error: FormatError) -> Problem:
    kind = CUT if isinstance(error, CutError) else PICKLE if isinstance(error, PickleError) else HEADER
    return Problem(kind, "", error.message, error.offset)


def _fit(checkpoint: Checkpoint) -> Iterator[Problem]:
    """Pickles that break off, storages of another length, and offsets that are not kept."""
    for part in checkpoint.parts if checkpoint.container.refusal == "" else checkpoint.parts[:1]:
        try:
            part.check_storages()
        except FormatError as error:
            yield Problem(CUT if isinstance(error, CutError) else PICKLE, part.name, error.message, error.offset)
    if isinstance(checkpoint.container, Bare):
        yield from _unread(checkpoint.container)
    if not checkpoint.parts:
        yield from _of_arrays(checkpoint)
    if isinstance(checkpoint.container, TorchZip):
        yield from strays(checkpoint.container)
        yield from broken_promises(checkpoint.container)


def _unread(container: Bare) -> Iterator[Problem]:
    """Bytes behind the last pickle of a file of pickles, as where the first of a legacy stream lost its magic number."""
    end = container.parts[-1].pickle.end
    size = sum(member.size for member in container.members if member.offset >= end)
    if size:
        yield Problem(LAYOUT, "", f"{size:,} bytes follow the last pickle, and are none", end)


def _of_arrays(checkpoint: Checkpoint) -> Iterator[Problem]:
    """What is wrong with a file that holds tensors alone: what reads their headers looks for faults."""
    found = list(_uncovered(checkpoint.container)) if isinstance(checkpoint.container, SafeTensors) else []
    yield from found
    if not found:
        checkpoint.tensors()


def _uncovered(container: SafeTensors) -> Iterator[Problem]:
    """Bytes that a safetensors file has too few or too many, by the offsets in its header, as far as it can be read."""
    import json  # here, since few files have such a header

    size = container.source.size
    with contextlib.suppress(ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, FormatError):
        told = json.loads(container.source.read(HEADER_AT, container.start - HEADER_AT))
        stops = [int(tensor["data_offsets"][1]) for name, tensor in told.items() if name != "__metadata__"]
        whole = container.start + max(stops, default=0)
        if size < whole:
            yield Problem(CUT, "", f"it is cut off: {whole - size:,} of {whole:,} bytes are missing", size)
        if size > whole:
            yield Problem(LAYOUT, "", f"{size - whole:,} bytes follow the last tensor, which safetensors refuses", whole)


def _numbers(checkpoint: Checkpoint) -> Iterator[Numbers]:
    """The tensors with values that are no numbers."""
    from ptzip.tensors.statistics import statistics  # here, since few ask for it, and it needs numpy

    for name, tensor in checkpoint.tensors().items():
        try:
            found = statistics(tensor)
        except PtzipError:  # quantized and packed values are never NaN
            continue
        if found.nans or found.infinities:
            yield Numbers(name, found.nans, found.infinities)
