"""What a file promises by how it is laid out, and what will load it.

Rule: a file with the record `.format_version` says that offsets can be computed; torch then reads storages where the writer of
torch would have put them, whatever the directory says (`torch/serialization.py`, `_get_offset`).
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.allowlist.table import WEIGHTS_ONLY_NAMES, WEIGHTS_ONLY_OPCODES
from ptzip.checkpoint import Checkpoint
from ptzip.formats.legacy import Legacy
from ptzip.formats.torchzip import TorchZip
from ptzip.pickling.nodes import Atom, Global, walk_unordered
from ptzip.tensors.torch_names import DATED
from ptzip.verifying.report import LAYOUT, Loading, Problem
from ptzip.zip import writer
from ptzip.zip.structs import STORED
from ptzip.zip.writer import Record

ZIP_SINCE = (1, 6)


class Blank(NamedTuple):
    """A payload of which only the length is known."""

    length: int
    seekable: bool = True

    def chunks(self, start: int, stop: int) -> Iterator[bytes]:
        raise NotImplementedError("only the length of these bytes is known")


def broken_promises(layout: TorchZip) -> Iterator[Problem]:
    """The storages that are not where torch would compute them to be."""
    if ".format_version" not in layout.records:
        return
    records = [Record(entry.name, Blank(entry.compressed_size), entry.method, entry.size) for entry in layout.archive.entries]
    planned = writer.plan(records, layout.alignment)
    for entry, placed in zip(layout.archive.entries, planned.placed, strict=True):
        if entry.data_offset != placed.data_offset:
            message = f"it begins at byte {entry.data_offset:,}, and torch computes {placed.data_offset:,}"
            yield Problem(LAYOUT, entry.name, f"{message} (calculate_storage_offsets reads other bytes)", entry.data_offset)
            return


def strays(layout: TorchZip) -> Iterator[Problem]:
    """Entries outside the archive's folder, and records that stand twice."""
    seen = set[str]()
    for entry in layout.archive.entries:
        name = entry.name.lower()
        if not entry.name.startswith(layout.prefix):
            yield Problem(
                LAYOUT, entry.name, f"it lies outside the folder {layout.prefix}, which torch refuses", entry.header_offset
            )
        elif name in seen:
            yield Problem(
                LAYOUT, entry.name, "there are two records of this name, and nobody knows which is read", entry.header_offset
            )
        seen.add(name)


def loading(checkpoint: Checkpoint) -> Loading | None:
    """What loads a file whose pickle is whole; None where it is no file of torch.save."""
    layout = checkpoint.container
    if not isinstance(layout, TorchZip | Legacy):
        return None
    names = {node.path for node in checkpoint.pickle.calls if isinstance(node, Global)}
    blocked = tuple(sorted(names - WEIGHTS_ONLY_NAMES))
    odd = any(isinstance(node, Atom) and node.op not in WEIGHTS_ONLY_OPCODES for node in walk_unordered(checkpoint.root))
    is_zip = isinstance(layout, TorchZip)
    needed = [row.since for row in DATED if row.path in names and row.since]
    low = max([*needed, *([ZIP_SINCE] if is_zip else [])], default=None)
    return Loading(low, is_zip and _is_mappable(layout), not blocked and not odd, blocked)


def _is_mappable(layout: object) -> bool:
    return isinstance(layout, TorchZip) and all(entry.method == STORED for entry in layout.archive.entries)
