"""Recovers the parts of a damaged checkpoint: its pickle, and the record of each storage.

The pickle comes first, since only the pickle says which storages there are and how long they are.
"""

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.container import Part, broken, nothing_stored
from ptzip.formats.torchzip import BYTEORDER, FORMAT_VERSION, PICKLE, STORAGE_ALIGNMENT, STORAGES, VERSION, prefix_of
from ptzip.formats.torchzip_layout import expected_layout
from ptzip.formats.zips import SHARD, TORCHSCRIPT, is_compiled, kind_of
from ptzip.io.payloads import read_all
from ptzip.io.sources import Source
from ptzip.limits import Limits
from ptzip.pickling.reader import raise_limit, read_pickle, read_seen
from ptzip.repairing.candidates import Candidate, Candidates, RecordExtent
from ptzip.repairing.record_search import ENOUGH, FoundRecord, RecordSearch, RecordState
from ptzip.zip.header_search import Headers, read_some
from ptzip.zip.structs import LOCAL_SIZE, encode_name

SMALL = (BYTEORDER, FORMAT_VERSION, STORAGE_ALIGNMENT, VERSION)
"""The records that torch reads besides the pickle and the storages."""

UNKNOWN = "which storages the file had cannot be determined"


class Salvage(NamedTuple):
    """What was found: `storages` by key, `small` records by name below `prefix`; `others` are the names of all other
    entries."""

    prefix: str
    pickle: FoundRecord
    part: Part
    storages: dict[str, FoundRecord]
    small: dict[str, FoundRecord]
    others: list[str]


def salvage(source: Source, headers: Headers, candidates: Candidates, limits: Limits) -> Salvage:
    """Find the pickle, then every record that it refers to.

    Raises FormatError where there is no pickle, UnsupportedError for a zip that torch.save did not write.
    """
    prefix = _prefix(candidates)
    _check_kind(_foreign_kind(candidates, prefix) or (SHARD if headers.is_shard else ""))
    pickle = _find_pickle(source, candidates, prefix + PICKLE, limits)
    part = Part(f"record {PICKLE}", read_pickle(read_all(pickle.payload), 0, limits), nothing_stored)
    if part.pickle.root is None:
        raise broken(part.name, part.pickle)
    _check_kind(TORCHSCRIPT.name if is_compiled(part.pickle) else "")
    if pickle.state is RecordState.WHOLE:
        _add_layout(source, candidates, prefix + PICKLE, pickle, part)
    wanted: dict[str, int | None] = {f"{prefix}{STORAGES}{key}": storage.size for key, storage in part.storages.items()}
    wanted |= {prefix + name: None for name in SMALL}
    found = RecordSearch(source, candidates).find(wanted)
    storages = {key: found[name] for key in part.storages if (name := f"{prefix}{STORAGES}{key}") in found}
    small = {name: found[prefix + name] for name in SMALL if prefix + name in found}
    used = {pickle.at, *(record.at for record in found.values())}
    return Salvage(prefix, pickle, part, storages, small, list(_others(candidates, used)))


def _prefix(candidates: Candidates) -> str:
    """The folder of the archive: of the folders with a pickle, the one with most names."""
    names = [name for candidate in candidates.values() for name in candidate.names.values()]
    folders, lower = Counter(map(prefix_of, names)), {name.lower() for name in names}
    with_pickle = [folder for folder in folders if (folder + PICKLE).lower() in lower]
    if not with_pickle:
        _check_kind(_foreign_kind(candidates))
        raise FormatError(f"there is no record {PICKLE} in the remains of this zip, so {UNKNOWN}")
    return max(with_pickle, key=lambda folder: folders[folder] if folder else 1)


def _foreign_kind(candidates: Candidates, folder: str | None = None) -> str:
    """The kind of zip that a record in a folder, or in any folder, is characteristic of; "" for torch.save."""
    names = {name for candidate in candidates.values() for name in candidate.all_names}
    inner = {name.partition("/")[2] if folder is None else name.removeprefix(folder.lower()) for name in names}
    kind = kind_of(inner)
    return kind.name if kind else ""


def _check_kind(kind: str) -> None:
    if kind:
        raise UnsupportedError(f"this is a {kind}: only files of torch.save are repaired")


def _find_pickle(source: Source, candidates: Candidates, name: str, limits: Limits) -> FoundRecord:
    """The pickle. Where its length is unknown it ends at its STOP opcode; that it is a pickle is evidence for its name.

    Raises LimitError where all that may be pickles have more opcodes than one may have.
    """
    spent = 0
    for at, candidate in candidates.items():
        votes = candidate.votes(name)
        if votes and (not candidate.extents or votes < ENOUGH):
            read = read_seen(source.whole(), at, limits, spent=spent)
            raise_limit(read)
            spent += read.cost
            if read.root is not None:
                candidate.add("contents", name, None if candidate.extents else RecordExtent(read.end - at, read.end - at))
    found = RecordSearch(source, candidates).find({name: None}).get(name)
    if found is None:
        raise FormatError(f"the record {PICKLE} is cut off or cannot be found, so {UNKNOWN}")
    return found


def _add_layout(source: Source, candidates: Candidates, name: str, pickle: FoundRecord, part: Part) -> None:
    """Add the layout that torch computes as evidence, at offsets that are candidates or follow a header with the record's
    name."""
    layout = expected_layout(source, name, pickle.at, pickle.at + pickle.payload.length, part)
    for placed in layout.placed:
        encoded = encode_name(placed.record.name)
        is_named = read_some(source, placed.offset + LOCAL_SIZE, len(encoded)) == encoded
        if is_named or placed.data_offset in candidates:
            length = placed.record.payload.length
            candidate = candidates.setdefault(placed.data_offset, Candidate())
            candidate.add("layout", placed.record.name, RecordExtent(length, length))
            if is_named:
                candidate.add(f"header {placed.offset}", placed.record.name)


def _others(candidates: Candidates, used: set[int]) -> Iterator[str]:
    """The names of the entries at offsets that are not used, where the evidence agrees on one."""
    for at, candidate in sorted(candidates.items()):
        name = max(candidate.names.values(), key=candidate.votes)
        if at not in used and (candidate.votes(name) >= ENOUGH or len(candidate.all_names) == 1):
            yield name
