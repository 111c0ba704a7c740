"""The verbs that a user calls; each ties the floors below together and returns values.

Rule: the output is planned whole before a byte is written, and it is written beside its place and moved there at the end.
"""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.container import writer
from ptzip.container.archive import Checked
from ptzip.editing.casting import halve
from ptzip.editing.edit import Change, Edit, Finished, Step
from ptzip.editing.modern import modernise
from ptzip.errors import EditError, UnsupportedError
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.recipes import AUTO, choose
from ptzip.target import GZIP, ZSTD, new_file, slim_path
from ptzip.tensors.loss import Loss

DTYPES = ("float16", "keep")
LOCATIONS = ("cpu", "keep")

Progress = Callable[[int, int], None]
"""Called with the bytes that are done and the bytes that there are."""


@dataclass(frozen=True)
class SlimReport:
    """What slimming one file did, or would do; sizes in bytes.

    `saved` is by step, `rest` what the pickle and the zip around the storages take less (or more). `output` is None where
    nothing was written: on a dry run, or where the file is slim already. `loss` is known once the bytes were read.
    """

    path: str
    output: str | None
    recipe: str
    old_size: int
    new_size: int
    saved: dict[Step, int]
    changes: tuple[Change, ...] = ()
    loss: Loss | None = None
    warnings: tuple[str, ...] = ()

    @property
    def already_slim(self) -> bool:
        """Whether there was nothing to gain."""
        return not self.changes

    @property
    def rest(self) -> int:
        return self.old_size - self.new_size - sum(self.saved.values())

    @property
    def saved_share(self) -> float:
        """The part of the old size that is gone, from 0 to 1."""
        return 1 - self.new_size / self.old_size


def slim(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    recipe: str = AUTO,
    dtype: str = "float16",
    location: str = "cpu",
    dry_run: bool = False,
    overwrite: bool = True,
    make_folder: bool = False,
    scan: bool = True,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> SlimReport:
    """Write what is left of a training checkpoint when all that only training needs is gone.

    `target` is by default `slim_path(source)`, and may be `source` itself: a file that is there is replaced when the new
    one is whole, or not at all without `overwrite` (FileExistsError). Its folder must be there, unless `make_folder` has
    it made. Nothing is written on a dry run, or where the file is slim already. What is malicious in the pickles of the input
    is a warning, unless `scan` is False. Raises PtzipError or OSError.
    """
    _known("dtype", dtype, DTYPES)
    _known("location", location, LOCATIONS)
    path = Path(source)
    with open_checkpoint(path, limits) as checkpoint:
        warnings = _malice(checkpoint) if scan else ()
        planned, finished, report = _planned(checkpoint, recipe, dtype, location)
        if dry_run or report.already_slim:
            return replace(report, warnings=warnings + report.warnings)
        place = Path(target) if target else slim_path(path)
        if place.suffix == GZIP:
            raise EditError(f"the output {place} would be gzip, which is not written: use .zst, or no compression")
        if not overwrite and os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
        if make_folder:
            place.parent.mkdir(parents=True, exist_ok=True)
        done = _write(planned, finished, report, place, progress)
        return replace(done, warnings=warnings + done.warnings)


def _malice(checkpoint: Checkpoint) -> tuple[str, ...]:
    """One line where the input is malicious: nothing of it was run, and what is kept may still do harm to whoever loads it."""
    from ptzip.security.refusing import malice

    found = list(malice(checkpoint.parts))
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return (f"this file is malicious, see ptzip scan: {found[0]}{more}",) if found else ()


def load(
    path: str | os.PathLike[str], *, unknown: str = "error", mmap: bool = False, limits: Limits = DEFAULT_LIMITS
) -> object:
    """The object in a checkpoint as plain Python and numpy; nothing of the file is executed.

    Tensors are arrays (bfloat16, float8 and float4 are types of ml_dtypes), those on one storage views of one array; with
    `mmap` they are read-only views of the file where the storage lies in it uncompressed. What is not known to be harmless
    raises UnsupportedError, which names it, as does a tensor that has no numpy form; with unknown="keep" the first comes back
    as an inert `Opaque`, the second as a lazy `Tensor`. Raises PtzipError or OSError.
    """
    from ptzip.objects.loaded import loaded  # here, so that slimming does not wait for what builds values

    with open_checkpoint(path, limits) as checkpoint:
        if unknown == "error":
            _refuse(checkpoint)
        return loaded(checkpoint.layout, unknown=unknown, mapped=mmap, limits=limits)


def _refuse(checkpoint: Checkpoint) -> None:
    """Raise UnsupportedError where the pickle of the object has something that `scan` does not allow."""
    from ptzip.security.refusing import refusal

    reason = refusal(checkpoint.pickle) if checkpoint.parts else ""
    if reason:
        raise UnsupportedError(reason)


@dataclass(frozen=True)
class Forecast:
    """What slimming a file would save of its storages and texts, in bytes; 0 where it is slim already."""

    recipe: str
    saved: int


def slim_forecast(checkpoint: Checkpoint) -> Forecast:
    """What slimming an open checkpoint by default would save. Raises PtzipError where it cannot be done.

    The checkpoint's own tree is edited for it, so that nothing is read twice: whoever asks is done with the tree. Whether
    the storages have the bytes that they should have is not asked here.
    """
    edit, recipe = _edited(checkpoint, AUTO, DTYPES[0])
    return Forecast(recipe, sum(edit.outlook().values()) if edit.has_gain else 0)


def _edited(checkpoint: Checkpoint, recipe: str, dtype: str) -> tuple[Edit, str]:
    """The edit of a checkpoint, and the name of the recipe that did it."""
    if checkpoint.layout.refusal:
        raise UnsupportedError(checkpoint.layout.refusal)
    edit = Edit(checkpoint)
    chosen = choose(checkpoint.root, recipe)
    modernise(edit)
    chosen.drop(edit)
    if dtype != "keep":
        halve(edit)
    return edit, chosen.name


def _planned(checkpoint: Checkpoint, recipe: str, dtype: str, location: str) -> tuple[writer.Plan, Finished, SlimReport]:
    """The edit of a checkpoint, spelled, and the file that comes of it."""
    if not checkpoint.layout.refusal:
        checkpoint.main.check_storages()
    edit, name = _edited(checkpoint, recipe, dtype)
    finished = edit.finish(None if location == "keep" else location)
    records = checkpoint.layout.rewritten(finished.pickle, finished.storages)
    planned = writer.plan(records, checkpoint.layout.alignment)
    return planned, finished, _report(checkpoint, edit, finished, planned, name)


def _known(what: str, value: str, values: tuple[str, ...]) -> None:
    if value not in values:
        raise EditError(f"{what} is {value!r}, expected one of {', '.join(values)}")


def _report(checkpoint: Checkpoint, edit: Edit, finished: Finished, planned: writer.Plan, recipe: str) -> SlimReport:
    size = checkpoint.source.size
    return SlimReport(
        path=checkpoint.source.name,
        output=None,
        recipe=recipe,
        old_size=size,
        new_size=planned.size if edit.has_gain else size,
        saved=finished.saved if edit.has_gain else {},
        changes=tuple(edit.changes) if edit.has_gain else (),
        warnings=_crc_warnings([checkpoint.main.record] if checkpoint.main.record else []),
    )


def _write(planned: writer.Plan, finished: Finished, report: SlimReport, target: Path, progress: Progress | None) -> SlimReport:
    source, done = Path(report.path), 0
    total = sum(placed.record.payload.length for placed in planned.placed)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress:
            progress(done, total)

    in_place = target.exists() and target.samefile(source)
    with new_file(target, like=source, sync=in_place) as descriptor:
        if target.suffix == ZSTD:
            _write_packed(planned, descriptor, target.parent, advance)
        else:
            writer.write(planned, descriptor, advance)
        new_size = os.fstat(descriptor).st_size
    return replace(
        report,
        output=str(target),
        new_size=new_size,
        loss=sum((cast.loss for cast in finished.casts), Loss()),
        warnings=_crc_warnings(finished.read + _copied(planned, finished)),
    )


def _write_packed(planned: writer.Plan, descriptor: int, folder: Path, advance: Callable[[int], None]) -> None:
    """A zip is written at any place, zstd only from the start to the end: so the one first, beside the other."""
    import tempfile  # here and below, since few files are written so

    from ptzip.formats import wrapped

    with tempfile.TemporaryFile(dir=folder) as plain:
        writer.write(planned, plain.fileno(), advance)
        wrapped.pack(plain.fileno(), descriptor)


def _copied(planned: writer.Plan, finished: Finished) -> list[Checked]:
    """The records that were copied and are no storages."""
    storages = set(map(id, finished.storages))
    payloads = [placed.record.payload for placed in planned.placed]
    return [payload for payload in payloads if isinstance(payload, Checked) and id(payload) not in storages]


def _crc_warnings(records: list[Checked]) -> tuple[str, ...]:
    """One line for each record whose bytes do not have its CRC, and one for all that have none (0, as some savers write)."""
    wrong = [record for record in records if record.is_wrong()]
    missing = [record.name for record in wrong if not record.expected]
    lines = [f"the CRC of record {record.name} is wrong: its bytes may be damaged" for record in wrong if record.expected]
    if missing:
        lines.append(f"{len(missing)} records were saved without a CRC and could not be checked, {missing[0]} the first")
    return tuple(lines)
