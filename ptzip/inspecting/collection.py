"""The summary of a tar or zip of several checkpoints: one row for each of them, and what they hold together."""

from collections.abc import Iterable, Iterator

from ptzip.allowlist.needs import joined_needs
from ptzip.checkpoint import Checkpoint
from ptzip.formats.collection import Collection
from ptzip.inspecting.key_sizes import KeySize, TensorFacts
from ptzip.inspecting.report import InspectReport, Slimming
from ptzip.inspecting.summary import Foretell, merged, summary
from ptzip.inspecting.tensor_summary import DeadBytes, Duplicates, dtype_counts, parameter_counts
from ptzip.inspecting.torch_versions import Versions
from ptzip.io.urls import MEMBER_MARK


def summary_of_all(checkpoint: Checkpoint, collection: Collection, foretell: Foretell) -> InspectReport:
    """The summary; that of one checkpoint is that of `FILE::NAME`."""
    found = dict(_summaries(checkpoint, collection, foretell))
    keys = tuple(KeySize(name, report.format, None, len(report.tensors), report.size, 0) for name, report in found.items())
    tensors = tuple(one for name, report in found.items() for one in _tensors(name, report))
    return InspectReport(
        path=checkpoint.source.name,
        size=checkpoint.source.size,
        unpacked=checkpoint.content.size,
        format=checkpoint.format,
        versions=Versions(),
        members=len(collection.members),
        streams=(),
        big_endian=any(report.big_endian for report in found.values()),
        keys=keys,
        dtypes=dtype_counts(tensors),
        parameters=parameter_counts(tensors, keys),
        tensors=tensors,
        dead=DeadBytes(*map(sum, zip(*(report.dead for report in found.values()), strict=True))),
        duplicates=Duplicates(*map(sum, zip(*(report.duplicates for report in found.values()), strict=True))),
        imports=tuple(merged(name for report in found.values() for name in report.imports)),
        needs=joined_needs(need for report in found.values() for need in report.needs),
        anomalies=tuple(
            one._replace(message=f"{name}{MEMBER_MARK}{one.message}")
            for name, report in found.items()
            for one in report.anomalies
        ),
        slimming=_slimming(collection, [report.slimming for report in found.values()]),
        faults=tuple(f"{name}{MEMBER_MARK}{fault}" for name, report in found.items() for fault in report.faults),
    )


def _summaries(checkpoint: Checkpoint, collection: Collection, foretell: Foretell) -> Iterator[tuple[str, InspectReport]]:
    for name in collection.checkpoints:
        with checkpoint.member(name) as inner:
            yield name, summary(inner, foretell)


def _tensors(name: str, report: InspectReport) -> Iterator[TensorFacts]:
    """The tensors of a checkpoint, as those of its row."""
    for one in report.tensors:
        yield one._replace(key=name, storage=None if one.storage is None else f"{name}{MEMBER_MARK}{one.storage}")


def _slimming(collection: Collection, found: Iterable[Slimming]) -> Slimming:
    """What slimming saves in all checkpoints, or why none is slimmed."""
    gains = [one for one in found if one.saved]
    if collection.refusal or not gains:
        return Slimming(refusal=collection.refusal or next(iter(found)).refusal)
    return Slimming(", ".join(dict.fromkeys(one.recipe for one in gains)), sum(one.saved for one in gains))
