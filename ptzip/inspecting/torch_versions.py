"""Which versions of torch may have written a file, by its records and by the names in its pickles.

Source: `format.md` 2.3 and 3.2, measured on files of torch 1.4, 1.6, 1.13 and 2.13 and read in the sources of 2.0 to 2.7.
The records of the zip set the range; names in the pickle narrow it, and are ignored where they contradict it, since any program
may have rewritten the file.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.formats.torchzip import TorchZip
from ptzip.formats.zips import ForeignZip
from ptzip.pickling.nodes import Global
from ptzip.tensors.torch_names import DATED, Release


class ReleaseSpan(NamedTuple):
    """Releases from `low` to `high`, both included; None where there is no bound. `sign` is the evidence."""

    low: Release | None
    high: Release | None
    sign: str


class Versions(NamedTuple):
    """The possible releases and the evidence for them; with the option `otherwise`, later releases write the same."""

    low: Release | None = None
    high: Release | None = None
    signs: tuple[str, ...] = ()
    otherwise: str = ""


LEGACY_FLAG = "_use_new_zipfile_serialization=False"
POINTER = re.compile(r"data/\d{6,}")
"""A storage key that is an address in memory; numbers in order of appearance are shorter."""


def versions(checkpoint: Checkpoint) -> Versions:
    """The releases that may have written a checkpoint; empty where there is no evidence."""
    found = _by_container(checkpoint)
    if found is None:
        return Versions()
    names = {call.path for part in checkpoint.parts for call in part.pickle.calls if isinstance(call, Global)}
    spans = _narrowed([found], [ReleaseSpan(row.since, row.until, row.path) for row in DATED if row.path in names])
    low = max((span.low for span in spans if span.low), default=None)
    high = min((span.high for span in spans if span.high), default=None)
    is_legacy = found.sign == "legacy stream"
    if is_legacy and (high is None or high > (1, 5)) and (low is None or low <= (1, 5)):
        high = (1, 5)
    return Versions(low, high, tuple(span.sign for span in spans), LEGACY_FLAG if is_legacy else "")


def _by_container(checkpoint: Checkpoint) -> ReleaseSpan | None:
    container = checkpoint.container
    if isinstance(container, TorchZip):
        return _by_records(container)
    if isinstance(container, ForeignZip):
        has_id = any(entry.name.endswith("/.data/serialization_id") for entry in container.archive.entries)
        return ReleaseSpan((2, 1), None, "record .data/serialization_id") if has_id else None
    named = {
        "legacy torch.save stream": ReleaseSpan((0, 1), None, "legacy stream"),
        "tar of torch 0.1": ReleaseSpan((0, 1), (0, 1), "tar"),
    }
    return named.get(checkpoint.format)


def _by_records(container: TorchZip) -> ReleaseSpan:
    records = container.records
    if any(name.startswith("tensors/") for name in records):
        return ReleaseSpan((1, 4), (1, 4), "records tensors/")
    if ".format_version" in records or ".storage_alignment" in records:
        return ReleaseSpan((2, 7), None, "record .format_version or .storage_alignment")
    if "byteorder" in records or ".data/serialization_id" in records:
        return ReleaseSpan((2, 1), (2, 6), "record byteorder or serialization_id without .format_version")
    if container.prefix == "archive/" and any(map(POINTER.fullmatch, records)):
        return ReleaseSpan((1, 6), (1, 6), "storage keys are addresses")
    if container.prefix == "archive/" and not any(name.startswith("data/") for name in records):
        return ReleaseSpan((1, 6), (2, 0), "no record byteorder, and no storages")
    return ReleaseSpan((1, 7), (2, 0), "no record byteorder")


def _narrowed(spans: list[ReleaseSpan], more: Iterable[ReleaseSpan]) -> list[ReleaseSpan]:
    """The spans, and of `more` those that do not contradict them."""
    for span in more:
        together = [*spans, span]
        low = max((one.low for one in together if one.low), default=(0, 0))
        high = min((one.high for one in together if one.high), default=(99, 0))
        if low <= high:
            spans = together
    return spans
