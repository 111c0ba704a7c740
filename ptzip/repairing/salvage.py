"""What is left of a damaged checkpoint: its pickle, and the record of each storage.

Rule: the pickle comes first, since it alone says which storages there are and how long they are.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.container import Part, broken, nothing_stored
from ptzip.formats.torchzip import PICKLE, STORAGES
from ptzip.formats.zips import MARKS, SHARD, TORCHSCRIPT
from ptzip.io.payloads import read_all
from ptzip.io.sources import Source
from ptzip.limits import Limits
from ptzip.pickling.nodes import Global
from ptzip.pickling.reader import read_pickle, read_seen
from ptzip.repairing.candidates import Form, Place, Places
from ptzip.repairing.record_search import WITNESSES, Found, Search, State
from ptzip.verifying.truncation import layout
from ptzip.zip.header_search import Headers, read_some
from ptzip.zip.structs import LOCAL_SIZE, encode_name

BESIDE = ("byteorder", ".format_version", ".storage_alignment", "version")
"""The records that torch reads beside the pickle and the storages."""

COMPILED = "__torch__."
"""The module of all classes of a TorchScript archive (`torch/jit`)."""

SHORT = 16
"""They are shorter than that."""


class Salvage(NamedTuple):
    """What was found: `storages` by key, `beside` by record name; `others` are the names of all other entries by place."""

    prefix: str
    pickle: Found
    part: Part
    storages: dict[str, Found]
    beside: dict[str, Found]
    others: dict[int, str]


def salvage(source: Source, headers: Headers, places: Places, limits: Limits) -> Salvage:
    """Find the pickle, then all that it speaks of. Raises FormatError where there is no pickle, UnsupportedError for a zip of
    another kind."""
    prefix = _prefix(places)
    _refuse(_kind(places, prefix) or (SHARD if headers.is_shard else None))
    pickle = _pickle(source, places, prefix + PICKLE, limits)
    parsed = read_pickle(read_all(pickle.payload), 0, limits)
    part = Part(f"record {PICKLE}", parsed, nothing_stored)
    if parsed.root is None:
        raise broken(part.name, parsed)
    _refuse(TORCHSCRIPT if any(isinstance(node, Global) and node.path.startswith(COMPILED) for node in parsed.calls) else None)
    _say_layout(source, places, prefix + PICKLE, pickle, part)
    wanted: dict[str, int | None] = {f"{prefix}{STORAGES}{key}": storage.size for key, storage in part.storages.items()}
    wanted |= {prefix + name: None for name in BESIDE}
    found = Search(source, places).all(wanted)
    storages = {key: found[name] for key in part.storages if (name := f"{prefix}{STORAGES}{key}") in found}
    beside = {name: found[prefix + name] for name in BESIDE if prefix + name in found}
    used = {pickle.at, *(record.at for record in found.values())}
    return Salvage(prefix, pickle, part, storages, beside, dict(_others(places, used)))


def _prefix(places: Places) -> str:
    """The folder of the archive: of those in which somebody knows a pickle, the one of most names."""
    names = [name for place in places.values() for name in place.names.values()]
    folders = {name[: name.find("/") + 1]: None for name in names}
    lower = {name.lower() for name in names}
    having = [folder for folder in folders if (folder + PICKLE).lower() in lower]
    if not having:
        _refuse(_kind(places))
        raise FormatError(f"there is no record {PICKLE} in what is left of this zip, so nobody can tell what its storages are")
    return max(having, key=lambda folder: sum(name.startswith(folder) for name in names) if folder else 1)


def _kind(places: Places, folder: str | None = None) -> str | None:
    """The kind of a zip that torch.save did not write, told by a record of it in a folder, or in any."""
    names = {name.lower() for place in places.values() for name in place.names.values()}
    inner = (
        {name.partition("/")[2] for name in names} if folder is None else {name.removeprefix(folder.lower()) for name in names}
    )
    return next((kind for name, kind in MARKS if name in inner), None)


def _refuse(kind: str | None) -> None:
    if kind:
        raise UnsupportedError(f"this is a {kind}: only zips of torch.save are repaired")


def _pickle(source: Source, places: Places, name: str, limits: Limits) -> Found:
    """The pickle; where nobody says how long it is, it goes to its STOP. That it is one is a witness to its name."""
    for at, place in places.items():
        if place.votes(name) and (not place.forms or place.votes(name) < WITNESSES):
            read = read_seen(source.whole(), at, limits)
            if read.root is not None:
                place.say("contents", name, None if place.forms else Form(read.end - at, read.end - at))
    found = Search(source, places).all({name: None}).get(name)
    if found is None:
        raise FormatError(f"the record {PICKLE} is cut off or cannot be found, so nobody can tell what the storages are")
    return found


def _say_layout(source: Source, places: Places, name: str, pickle: Found, part: Part) -> None:
    """Let the layout that torch computes be a witness, where there is a place already, or a header of that name."""
    if pickle.state is not State.WHOLE:
        return
    planned = layout(source, name, pickle.at, pickle.at + pickle.payload.length, part)
    for placed in planned.placed:
        said = encode_name(placed.record.name)
        is_named = read_some(source, placed.offset + LOCAL_SIZE, len(said)) == said
        if is_named or placed.data_offset in places:
            place = places.setdefault(placed.data_offset, Place())
            place.say("layout", placed.record.name, Form(placed.record.payload.length, placed.record.payload.length))
            if is_named:
                place.say(f"header {placed.offset}", placed.record.name)


def _others(places: Places, used: set[int]) -> Iterator[tuple[int, str]]:
    """The names of the entries at other places, where witnesses agree on one."""
    for at, place in sorted(places.items()):
        name = max(place.names.values(), key=place.votes)
        if at not in used and (place.votes(name) >= WITNESSES or len(place.called) == 1):
            yield at, name
