"""`average`: the weighted mean of the weights of checkpoints of one layout, as a file like the first.

The tree of the first file is written with other bytes for its floats; a block of each file is in memory at a time.
"""

import contextlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ptzip.arguments import Integers, Precision, check_choice
from ptzip.averaging.inputs import Input, errors_about, input_of
from ptzip.averaging.layout import check_layouts
from ptzip.averaging.plan import Plan, Planner
from ptzip.averaging.report import AverageReport, LeftOut, Weighted
from ptzip.checkpoint import Checkpoint, open_checkpoint
from ptzip.editing.new_file import check_target, content_name, laid_out
from ptzip.formats.safetensors import SafeTensors
from ptzip.io.atomic_output import check_not_input, new_files
from ptzip.io.payloads import ByteCounter, Progress
from ptzip.io.sources import Openable, unchanged
from ptzip.limits import DEFAULT_LIMITS, Limits
from ptzip.zip.crc_messages import crc_lines

STATISTICS = ("running_mean", "running_var")
"""The buffers of BatchNorm (`torch/nn/modules/batchnorm.py`)."""

BATCH_NORM = "statistics of BatchNorm are averaged too: torch.optim.swa_utils.update_bn computes those of the averaged weights"

MOST_EXPONENT = 32
"""Weights whose sum is below 2 to this power, and above its inverse, are used as they are."""


class AverageOptions(NamedTuple):
    """What `ptzip.average` documents, field by field; `warn` finds what the report says about the first file."""

    weights: tuple[float, ...] | None = None
    precision: Precision = "float32"
    integers: Integers = "agree"
    overwrite: bool = False
    sync: bool = True
    warn: Callable[[Checkpoint], tuple[str, ...]] = lambda _: ()


def average(
    sources: Sequence[Openable],
    output: Path,
    options: AverageOptions,
    *,
    progress: Progress | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> AverageReport:
    """Write the average of some checkpoints; see `ptzip.average`. Raises PtzipError, OSError, or ValueError for options."""
    check_choice("precision", options.precision, Precision)
    check_choice("integers", options.integers, Integers)
    weights = checked_weights(options.weights, len(sources))
    _check_file_objects(sources)
    with contextlib.ExitStack() as opened:
        checkpoints = [opened.enter_context(_opened(source, number, limits)) for number, source in enumerate(sources, start=1)]
        for one in checkpoints:
            check_not_input(output, one.source.name)
            opened.enter_context(unchanged(one.source, is_replaced=True))  # `new_files` checks at its end
        first = checkpoints[0]
        check_target(output, first.source, content_name(isinstance(first.container, SafeTensors)), options.overwrite)
        warnings = options.warn(first)
        inputs = [_input(one, is_written=one is first) for one in checkpoints]
        check_layouts(inputs)
        plan = Planner(inputs, weights, options.precision).plan(is_first=options.integers == "first")
        report = _report(inputs, weights, plan, options.precision)
        size, more = _write(inputs, output, options, progress)
        nan = tuple(name for one in plan.averaged if one.mean.nans for name in one.names)
        return replace(report, output=str(output), size=size, nan=nan, warnings=(*warnings, *report.warnings, *more))


def checked_weights(given: tuple[float, ...] | None, count: int) -> tuple[float, ...]:
    """The weight of each of `count` files, 1 unless they are given. Raises ValueError unless each has a positive number.

    Very large or small ones are scaled by a power of two, which changes no digit: they may be summed in float32.
    """
    if count < 2:
        raise ValueError(f"average needs at least 2 checkpoints, and got {count}")
    weights = (1.0,) * count if given is None else given
    if len(weights) != count:
        raise ValueError(f"there are {len(weights)} weights for {count} checkpoints: give one for each")
    whole = sum(weights) if all(one > 0 for one in weights) else math.nan
    if not 0 < whole < math.inf:
        raise ValueError(f"the weights are {', '.join(map(str, weights))}, expected positive numbers")
    _, exponent = math.frexp(whole)
    return weights if abs(exponent) < MOST_EXPONENT else tuple(math.ldexp(one, -exponent) for one in weights)


def _check_file_objects(sources: Sequence[Openable]) -> None:
    """Raise ValueError where one file object is read for two files: threads would move each other's position."""
    objects = [id(source) for source in sources if hasattr(source, "seek")]
    if len(set(objects)) < len(objects):
        raise ValueError("sources has one file object twice: give its path or its bytes")


def _opened(source: Openable, number: int, limits: Limits) -> Checkpoint:
    with errors_about(os.fspath(source) if isinstance(source, str | os.PathLike) else f"checkpoint {number}"):
        return open_checkpoint(source, limits)


def _input(checkpoint: Checkpoint, is_written: bool) -> Input:
    with errors_about(checkpoint.source.name):
        return input_of(checkpoint, is_written)


def _report(inputs: Sequence[Input], weights: tuple[float, ...], plan: Plan, precision: Precision) -> AverageReport:
    """The report before anything is written."""
    whole = math.fsum(weights)
    account, averaged = inputs[0].edit.account, [name for one in plan.averaged for name in one.names]
    return AverageReport(
        inputs=tuple(Weighted(one.name, weight / whole) for one, weight in zip(inputs, weights, strict=True)),
        output="",
        size=0,
        tensors=len(inputs[0].tensors),
        averaged=len(averaged),
        precision=precision,
        kept=plan.kept,
        recipe=inputs[0].recipe,
        removed=tuple(LeftOut(change.path, change.what) for change in account.changes if change.is_of_tensors),
        notes=(BATCH_NORM,) if any(name.rpartition(".")[2] in STATISTICS for name in averaged) else (),
        warnings=tuple(account.warnings),
    )


def _write(
    inputs: Sequence[Input], output: Path, options: AverageOptions, progress: Progress | None
) -> tuple[int, tuple[str, ...]]:
    """Write the first file with its new payloads. Returns the size of the output, and warnings."""
    edit, source, *others = inputs[0].edit, *(one.checkpoint.source for one in inputs)
    with errors_about(inputs[0].name):
        _, file = laid_out(edit, inputs[0].container)
    edit.release()
    counter = ByteCounter(progress, sum(payload.length for payload in file.payloads))
    with new_files([output], source, others=others, overwrite=options.overwrite, sync=options.sync) as files:
        files.outputs[0].write(file, counter.add)
        size = files.outputs[0].size
    return size, (*crc_lines(record for one in inputs for record in one.edit.read), *files.warnings)
