"""The verbs that a user calls; each ties the floors below together and returns values.

Rule: the output is planned whole before a byte is written, and it is written beside its place and moved there at the end.
"""

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.editing.drop_and_set import Value
from ptzip.errors import EditError, UnsupportedError
from ptzip.globs import strings
from ptzip.io.atomic_output import slim_path
from ptzip.io.compression import compression_named
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.recipes import AUTO
from ptzip.slimming.options import Location, OnOverflow, Options, OutputFormat, WeightDtype
from ptzip.slimming.outcome import foretold, written
from ptzip.slimming.plan import plan
from ptzip.slimming.report import SlimReport
from ptzip.slimming.write import Progress


def slim(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    recipe: str = AUTO,
    dtype: WeightDtype = "float16",
    on_overflow: OnOverflow = "keep",
    location: Location = "cpu",
    drop: str | Iterable[str] = (),
    keep: str | Iterable[str] = (),
    keep_float32: str | Iterable[str] = (),
    values: Mapping[str, Value] = MappingProxyType({}),
    ema: bool = True,
    trim: bool = True,
    dedupe: bool = False,
    plain: bool = False,
    format: OutputFormat | None = None,
    dry_run: bool = False,
    overwrite: bool = True,
    make_folder: bool = False,
    scan: bool = True,
    with_tensors: bool = False,
    check: bool = False,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> SlimReport:
    """Write what is left of a training checkpoint when all that only training needs is gone.

    `target` is by default `slim_path(source)`, and may be `source` itself: a file that is there is replaced when the new
    one is whole, or not at all without `overwrite` (FileExistsError). Its folder must be there, unless `make_folder` has
    it made. Nothing is written on a dry run, or where the file is slim already. What is malicious in the pickles of the input
    is a warning, unless `scan` is False.

    `dtype` is "float16", "bfloat16" or "keep"; tensors with finite values beyond its range stay as they are, unless
    `on_overflow` is "saturate", "inf" or "error". `drop`, `keep` and `keep_float32` are globs of dotted paths, `values` what
    to set at such paths. `ema` takes averaged weights for the model where there are any, `trim` cuts storages to what tensors
    use of them, `dedupe` writes storages with the same bytes once. `plain` leaves nothing that `weights_only` refuses. `format`
    is "zip", "legacy" or "same". `with_tensors` has every cast in the report, `check` how far the tensors are from those of
    the input, once the new file was read back, before it is moved into its place. Raises PtzipError or OSError.
    """
    options = Options(
        recipe=recipe,
        dtype=dtype,
        location=location,
        on_overflow=on_overflow,
        drop=strings(drop),
        keep=strings(keep),
        keep_float32=strings(keep_float32),
        values=tuple(values.items()),
        ema=ema,
        trim=trim,
        dedupe=dedupe,
        plain=plain,
        format=format,
    )
    path = Path(source)
    with open_checkpoint(path, limits) as checkpoint:
        malice = _malice(checkpoint) if scan else ()
        planned = plan(checkpoint, options)
        report = foretold(checkpoint, planned, options)
        if report.already_slim:
            pass
        elif dry_run:
            from ptzip.slimming.keys import keys  # here, since only a dry run shows them

            report = replace(report, keys=keys(checkpoint, report.changes))
        else:
            place = _place(Path(target) if target else slim_path(path), overwrite, make_folder)
            report = written(checkpoint, planned, options, place, progress, with_tensors, check)
        return replace(report, warnings=malice + report.warnings)


def _place(place: Path, overwrite: bool, make_folder: bool) -> Path:
    """Where the output goes, once it is known that it can."""
    if (kind := compression_named(place)) and not kind.is_written:
        raise EditError(f"the output {place} would be {kind.name}, which is not written: use .zst, or no compression")
    if not overwrite and os.path.lexists(place):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place))
    if make_folder:
        place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _malice(checkpoint: Checkpoint) -> tuple[str, ...]:
    """One line where the input is malicious: nothing of it was run, and what is kept may still do harm to whoever loads it."""
    from ptzip.scanning.refusal import malice

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
    from ptzip.values.load import loaded  # here, so that slimming does not wait for what builds values

    with open_checkpoint(path, limits) as checkpoint:
        if unknown == "error":
            _refuse(checkpoint)
        return loaded(checkpoint.container, unknown=unknown, mapped=mmap, limits=limits)


def _refuse(checkpoint: Checkpoint) -> None:
    """Raise UnsupportedError where the pickle of the object has something that `scan` does not allow."""
    from ptzip.scanning.refusal import refusal

    reason = refusal(checkpoint.pickle) if checkpoint.parts else ""
    if reason:
        raise UnsupportedError(reason)
