"""A checkpoint in a screenful: what it is, where its bytes go, what loading imports, and what slimming would save.

What cannot be found out is left empty, with its reason among the `faults`; it does not stop the rest.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from ptzip.allowlist.needs import needs_of
from ptzip.allowlist.table import is_allowed
from ptzip.checkpoint import Checkpoint
from ptzip.errors import Anomaly, PtzipError
from ptzip.formats.container import Container, Part
from ptzip.formats.folders.assembly import Folder
from ptzip.formats.torchzip import PICKLE, STORAGES, TorchZip
from ptzip.inspecting.key_sizes import NOTHING, Holdings, StorageSizes, all_tensor_facts, holdings, of_further
from ptzip.inspecting.records import RecordRow, record_rows
from ptzip.inspecting.report import FileSize, FolderFacts, ImportedName, InspectReport, PickleSize, Slimming, UnreadSize
from ptzip.inspecting.tensor_summary import (
    Duplicates,
    dead_bytes,
    dtype_counts,
    duplicates,
    parameter_counts,
)
from ptzip.inspecting.torch_versions import versions
from ptzip.io.sources import is_distant, place_of
from ptzip.pickling.nodes import Call, Global
from ptzip.tensors.torch_names import may_hide_storages

BROKEN = "broken storage"
"""The kind of the anomalies with which a file is not slimmed."""


Foretell = Callable[[Checkpoint], Slimming]
"""Says what slimming would save, once nothing else is asked of the checkpoint."""


def summary(checkpoint: Checkpoint, foretell: Foretell) -> InspectReport:
    """Everything that a screenful shows."""
    faults: list[str] = []
    parts = checkpoint.parts
    names = imported_names(parts)
    sizes = StorageSizes(parts[0]) if parts else {}
    found = _holdings(checkpoint, names, sizes, faults)
    if isinstance(checkpoint.container, Folder):  # whose pickle is in none of its files
        found = found._replace(keys=tuple(key._replace(pickle=0) for key in found.keys))
    rows = tuple(record_rows(checkpoint, is_brief=is_distant(checkpoint.content)))
    odd = tuple(_unusual_storages(checkpoint, sizes))
    return InspectReport(
        path=checkpoint.source.name,
        size=checkpoint.source.size,
        unpacked=checkpoint.content.size,
        format=checkpoint.format,
        versions=versions(checkpoint),
        members=len(rows),
        streams=tuple(PickleSize(part.name, part.pickle.protocol, part.pickle.end - part.pickle.start) for part in parts),
        big_endian=any(part.big_endian for part in parts),
        keys=found.keys,
        dtypes=dtype_counts(found.tensors),
        parameters=parameter_counts(found.tensors, found.keys),
        tensors=found.tensors,
        dead=dead_bytes(found.tensors),
        duplicates=duplicates(checkpoint.main) if found.tensors and checkpoint.parts else Duplicates(0, 0),
        imports=names,
        needs=needs_of(parts[0].pickle) if parts else (),
        anomalies=(*checkpoint.anomalies, *_unusual_records(checkpoint, rows), *odd),
        faults=tuple(dict.fromkeys(faults)),
        folder=_folder_facts(checkpoint.container),
        # last, since the tree is the plan's then, and would be read again for anything else
        slimming=Slimming(refusal=str(odd[0])) if any(one.kind == BROKEN for one in odd) else foretell(checkpoint),
    )


def _folder_facts(container: Container) -> FolderFacts | None:
    if not isinstance(container, Folder):
        return None
    files = tuple(FileSize(file.path, file.size) for file in container.source.files.values())
    unread = tuple(UnreadSize(*one) for one in container.unread)
    return FolderFacts(files, tuple((fact.name, fact.value) for fact in container.facts), unread)


def imported_names(parts: Iterable[Part]) -> tuple[ImportedName, ...]:
    """All names that pickles import: those that are not allowed first, and of these Python's own."""
    calls = [call for part in parts for call in part.pickle.calls]
    counts = Counter((call.module, call.name) for call in calls if isinstance(call, Global))
    called = {call.path for call in calls if isinstance(call, Call)}
    found = (
        ImportedName(path, count, path in called, is_allowed(module, name))
        for (module, name), count in counts.items()
        if (path := f"{module}.{name}")
    )
    return merged(found)


def merged(names: Iterable[ImportedName]) -> tuple[ImportedName, ...]:
    """Names in the order of a summary, each once."""
    found = dict[str, ImportedName]()
    for name in names:
        known = found.get(name.path, name._replace(times=0))
        found[name.path] = known._replace(times=known.times + name.times, is_called=known.is_called or name.is_called)
    return tuple(sorted(found.values(), key=lambda name: (name.is_harmless, not name.is_of_python, name.path)))


def _holdings(checkpoint: Checkpoint, names: tuple[ImportedName, ...], sizes: Mapping[str, int], faults: list[str]) -> Holdings:
    """The keys and tensors. Where a tensor may be more than a view of a storage, all values are built, which takes longer."""
    is_simple = not any(may_hide_storages(name.path) for name in names if name.is_called)
    try:
        found = holdings(checkpoint.main, sizes) if checkpoint.parts else NOTHING
        found = found.joined(of_further(checkpoint.parts))
        if checkpoint.parts and is_simple and not checkpoint.main.tensors:
            return found
        return found._replace(tensors=all_tensor_facts(checkpoint.tensors(), {key.key: key for key in found.keys}))
    except PtzipError as error:
        faults.append(str(error))
        return NOTHING


def _unusual_records(checkpoint: Checkpoint, rows: tuple[RecordRow, ...]) -> Iterator[Anomaly]:
    """What is unusual about the container: duplicate names, and local headers that are missing or differ from the directory."""
    names = Counter(row.name.lower() for row in rows if row.header is not None)
    yield from (
        Anomaly("double record", f"there are {count} records named {name}") for name, count in names.items() if count > 1
    )
    for row in rows:
        if row.header is None:
            continue
        at = place_of(checkpoint.content, row.header)
        fields = ", ".join(difference.field for difference in row.differences)
        if fields:
            message = f"the local header of record {row.name} differs from the central directory in {fields}"
            yield Anomaly("headers differ", message, *at)
        if row.note:
            yield Anomaly("no header", row.note, *at)


def _unusual_storages(checkpoint: Checkpoint, sizes: Mapping[str, int]) -> Iterator[Anomaly]:
    container = checkpoint.container
    if not isinstance(container, TorchZip) or checkpoint.main.pickle.root is None:
        return
    try:
        known = checkpoint.storages
    except PtzipError as error:
        yield Anomaly(BROKEN, str(error))
        return
    for storage in known.values():
        if sizes[storage.key] != storage.size:
            yield Anomaly(BROKEN, f"storage {storage.key} is {sizes[storage.key]} bytes long, expected {storage.size}")
    used = {(STORAGES + key).lower() for key in known}
    unused = [name for name in container.records if name.startswith(STORAGES) and name != STORAGES and name not in used]
    if unused:
        more = f" and {len(unused) - 1} more" if unused[1:] else ""
        yield Anomaly("unused storage", f"no tensor uses record {unused[0]}{more}")
    others = [name for name in container.records if name.endswith(".pkl") and name != PICKLE]
    if others:
        yield Anomaly("other pickle", f"torch does not read the pickles {', '.join(others)}")
