"""Repairing a zip of torch.save: what can be saved of it in a new file, and a list of what cannot.

Rule: the old file is never touched, and what is not as it was saved is named in the report.
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from ptzip.errors import EditError, UnsupportedError
from ptzip.formats.signatures import described
from ptzip.io.atomic_output import new_file
from ptzip.io.compression import compression_named
from ptzip.io.sources import FileSource, Source
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.repairing.candidates import places
from ptzip.repairing.rebuild import rebuilt
from ptzip.repairing.record_search import State
from ptzip.repairing.report import RepairReport
from ptzip.repairing.salvage import Salvage, salvage
from ptzip.tensors.tensor import Tensor
from ptzip.values.builder import build
from ptzip.values.tensor_names import named_tensors
from ptzip.verifying.truncation import storage_keys
from ptzip.verifying.verify import verify
from ptzip.zip import writer
from ptzip.zip.ends import is_zip
from ptzip.zip.header_search import read_headers
from ptzip.zip.structs import LOCAL_SIGNATURE


def repair(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> RepairReport:
    """Write what can be saved of a cut or damaged zip of torch.save to `target`, as a zip that torch loads.

    What was lost, is damaged or cannot be verified is in the report, and so are the entries that were dropped. Nothing is
    written where the file is whole already. A target that is there is replaced only with `overwrite` (FileExistsError).

    Raises EditError where the target is the source, UnsupportedError for what is no zip of torch.save, FormatError where its
    pickle is lost, LimitError, or OSError.
    """
    path, place = Path(source), Path(target)
    _check(path, place, overwrite)
    opened = FileSource(path)
    try:
        return _repaired(opened, path, place, limits)
    finally:
        opened.close()


def _check(path: Path, place: Path, overwrite: bool) -> None:
    """Raise unless the output can go where it shall."""
    if path.exists() and place.exists() and place.samefile(path):
        raise EditError(f"the output {place} is the input itself, which a repair never touches")
    if compression_named(place):
        raise EditError(f"the output {place} would be compressed, and a repaired file is a plain zip")
    if not overwrite and os.path.lexists(place):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))


def _repaired(source: FileSource, path: Path, place: Path, limits: Limits) -> RepairReport:
    _check_zip(source)
    headers = read_headers(source)
    found = salvage(source, headers, places(source, headers), limits)
    before = verify(path, limits=limits)
    tensors = named_tensors(build(found.part, unknown="keep", limits=limits))
    report = RepairReport(str(path), "", source.size, source.size, problems=before.problems)
    new = rebuilt(found, _dtypes(tensors))
    report = _sorted(report, found, tensors)._replace(doubt=new.doubt)
    if before.is_whole:
        return report
    planned = writer.plan(new.records, new.alignment)
    with new_file(place, like=path) as descriptor:
        writer.write(planned, descriptor)
    return report._replace(output=str(place), new_size=planned.size, dropped=new.dropped)


def _check_zip(source: Source) -> None:
    head = source.read(0, min(source.size, len(LOCAL_SIGNATURE)))
    if head != LOCAL_SIGNATURE and not is_zip(source):
        raise UnsupportedError(f"this is {described(source)}: only zips of torch.save are repaired")


def _dtypes(tensors: dict[str, Tensor]) -> dict[str, str]:
    """The dtype of the tensors by the key of their storage: an untyped one does not say it."""
    every = [one for tensor in tensors.values() for one in _with_parts(tensor)]
    return {one.storage.key: one.dtype for one in reversed(every) if one.storage is not None}


def _with_parts(tensor: Tensor) -> Iterator[Tensor]:
    yield tensor
    for part in tensor.components.values():
        yield from _with_parts(part)


LOST = "lost"
RANKS = (State.WHOLE.value, State.UNVERIFIABLE.value, State.DAMAGED.value, LOST)
"""What may become of a storage, from the best to the worst."""


def _sorted(report: RepairReport, found: Salvage, tensors: dict[str, Tensor]) -> RepairReport:
    """The report with every tensor by the worst that befell a storage of its own; a storage without any stands for itself."""
    states = {key: found.storages[key].state.value if key in found.storages else LOST for key in found.part.storages}
    using = {name: storage_keys(tensor) & states.keys() for name, tensor in tensors.items()}
    bare = states.keys() - set().union(*using.values())
    using |= {f"storage {key}": {key} for key in states if key in bare}
    worst = {name: max((states[key] for key in keys), key=RANKS.index, default=RANKS[0]) for name, keys in using.items()}
    whole, unverifiable, damaged, lost = (tuple(name for name, state in worst.items() if state == rank) for rank in RANKS)
    return report._replace(whole=whole, unverifiable=unverifiable, damaged=damaged, lost=lost)
