"""A checkpoint in a screenful: what it is, where its bytes go, what it would import, and what slimming it would save.

Rule: what cannot be told is left empty and its reason kept as a fault; it does not stop the rest.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ptzip.checkpoint import Checkpoint
from ptzip.errors import Anomaly, PtzipError
from ptzip.formats.torchzip import TorchZip
from ptzip.formats.torchzip_records import PICKLE, STORAGES
from ptzip.inspecting.imports import Imported, imported
from ptzip.inspecting.key_sizes import NOTHING, Holdings, Seen, Share, Sizes, all_seen, holdings
from ptzip.inspecting.records import Row, records
from ptzip.inspecting.tensor_summary import Dead, Parameters, Twins, Use, dead, parameters, twins, uses
from ptzip.inspecting.torch_versions import Versions, versions
from ptzip.recipes.forecast import forecast
from ptzip.tensors.torch_names import may_hide_storages

BROKEN = "broken storage"
"""The kind of the anomalies with which nothing is slimmed."""


class Stream(NamedTuple):
    """One pickle of the file; `size` is in bytes."""

    name: str
    protocol: int | None
    size: int


class Slimming(NamedTuple):
    """What `slim` would save, in bytes, by which recipe; or the reason why it would not."""

    recipe: str = ""
    saved: int = 0
    refusal: str = ""


class Summary(NamedTuple):
    """One file. `size` is in bytes, `unpacked` that of what is inside a compressed one.

    `faults` are the errors that left something empty.
    """

    path: str
    size: int
    unpacked: int
    format: str
    versions: Versions
    members: int
    streams: tuple[Stream, ...]
    big_endian: bool
    shares: tuple[Share, ...]
    uses: tuple[Use, ...]
    parameters: tuple[Parameters, ...]
    tensors: tuple[Seen, ...]
    dead: Dead
    twins: Twins
    imports: tuple[Imported, ...]
    anomalies: tuple[Anomaly, ...]
    slimming: Slimming
    faults: tuple[str, ...]

    @property
    def rest(self) -> int:
        """What the container takes, and whatever no key holds; in bytes."""
        return self.unpacked - sum(share.size for share in self.shares)


def summary(checkpoint: Checkpoint) -> Summary:
    """Everything that a screenful shows."""
    faults: list[str] = []
    parts = checkpoint.parts
    names = imported(parts)
    sizes = Sizes(parts[0]) if parts else {}
    found = _holdings(checkpoint, names, sizes, faults)
    rows = tuple(records(checkpoint))
    odd = tuple(_odd_storages(checkpoint, sizes))
    return Summary(
        path=checkpoint.source.name,
        size=checkpoint.source.size,
        unpacked=checkpoint.content.size,
        format=checkpoint.format,
        versions=versions(checkpoint),
        members=len(rows),
        streams=tuple(Stream(part.name, part.pickle.protocol, part.pickle.end - part.pickle.start) for part in parts),
        big_endian=any(part.big_endian for part in parts),
        shares=found.shares,
        uses=uses(found.tensors),
        parameters=parameters(found.tensors, found.shares),
        tensors=found.tensors,
        dead=dead(found.tensors),
        twins=twins(checkpoint.main) if found.tensors and checkpoint.parts else Twins(0, 0),
        imports=names,
        anomalies=(*checkpoint.anomalies, *_odd_records(rows), *odd),
        slimming=Slimming(refusal=str(odd[0])) if any(one.kind == BROKEN for one in odd) else _slimming(checkpoint),
        faults=tuple(dict.fromkeys(faults)),
    )


def _holdings(checkpoint: Checkpoint, names: tuple[Imported, ...], sizes: Mapping[str, int], faults: list[str]) -> Holdings:
    """What the keys hold. Where a tensor may be more than a view of a storage, all objects are built, which takes longer."""
    is_simple = not any(may_hide_storages(name.path) for name in names if name.is_called)
    try:
        found = holdings(checkpoint.main, sizes) if checkpoint.parts else NOTHING
        if checkpoint.parts and is_simple and not checkpoint.main.tensors:
            return found
        return found._replace(tensors=all_seen(checkpoint.tensors(), {share.key: share for share in found.shares}))
    except PtzipError as error:
        faults.append(str(error))
        return NOTHING


def _odd_records(rows: tuple[Row, ...]) -> Iterator[Anomaly]:
    """What is odd about the container: names that stand twice, headers that differ, storages of another length."""
    names = Counter(row.name.lower() for row in rows if row.header is not None)
    yield from (Anomaly("double record", f"record {name} is there {count} times") for name, count in names.items() if count > 1)
    for row in rows:
        fields = ", ".join(difference.field for difference in row.differences)
        if fields:
            yield Anomaly("headers differ", f"the headers of record {row.name} differ in {fields}", row.header)
        if row.header is not None and row.note:
            yield Anomaly("no header", row.note, row.header)


def _odd_storages(checkpoint: Checkpoint, sizes: Mapping[str, int]) -> Iterator[Anomaly]:
    layout = checkpoint.container
    if not isinstance(layout, TorchZip) or checkpoint.main.pickle.root is None:
        return
    try:
        known = checkpoint.storages
    except PtzipError as error:
        yield Anomaly(BROKEN, str(error))
        return
    for storage in known.values():
        if sizes[storage.key] != storage.size:
            yield Anomaly(BROKEN, f"storage {storage.key} is {sizes[storage.key]} bytes long, expected {storage.size}")
    wanted = {(STORAGES + key).lower() for key in known}
    spare = [name for name in layout.records if name.startswith(STORAGES) and name != STORAGES and name not in wanted]
    if spare:
        yield Anomaly("unused storage", f"storages that nothing uses: {len(spare)}, {spare[0]} the first")
    others = [name for name in layout.records if name.endswith(".pkl") and name != PICKLE]
    if others:
        yield Anomaly("other pickle", f"there are pickles that torch does not read here: {', '.join(others)}")


def _slimming(checkpoint: Checkpoint) -> Slimming:
    try:
        found = forecast(checkpoint)
    except PtzipError as error:
        return Slimming(refusal=str(error))
    return Slimming(found.recipe, found.saved, "" if found.saved else "it is slim already")
