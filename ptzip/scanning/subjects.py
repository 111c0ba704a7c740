"""What rules judge: the pickles of a file, its zips, the member names of other archives, and notes about everything else.

A subject says what was read and where it is in the file, not whether that is good or bad.
"""

import functools
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple

from ptzip.allowlist.table import ALLOWED, NOTHING, RECORD, Name, Trust
from ptzip.formats.container import Part
from ptzip.io.sources import Source, is_distant
from ptzip.pickling.nodes import Atom, Call, Detour, Dict, Global, List, Pickle, Set, Tuple, children
from ptzip.scanning.violations import Violation, violations
from ptzip.zip.extents import Extent, extents
from ptzip.zip.reader import Archive, Entry


class PickleStream:
    """One pickle. `part` has its storages, if any. `is_hidden`: no loader of this kind of file looks for a pickle there;
    `is_doubtful`: the bytes are hardly a pickle; `trailing`: the number of bytes after its STOP, where nothing should follow;
    `is_script`: torch reads it in C++, as part of a TorchScript program. Offsets in it count from the first byte of `source`.
    """

    def __init__(
        self,
        location: str,
        pickle: Pickle,
        part: Part | None = None,
        trusted: Trust = NOTHING,
        is_hidden: bool = False,
        trailing: int = 0,
        is_doubtful: bool = False,
        is_script: bool = False,
        source: Source | None = None,
    ) -> None:
        self.location = location
        self.source = source
        self.pickle = pickle
        self.part = part
        self.trusted = trusted
        self.is_hidden = is_hidden
        self.trailing = trailing
        self.is_doubtful = is_doubtful
        self.own = {_name(node): RECORD for node in pickle.calls if isinstance(node, Global) and is_script and _is_own(node)}
        """The classes of the program, which Python does not import: a loader without torch fails there."""

    @property
    def imported(self) -> Iterator[Global]:
        """Everything that a loader imports by name."""
        return (node for node in self.pickle.calls if isinstance(node, Global) and _name(node) not in self.own)

    @functools.cached_property
    def violations(self) -> tuple[Violation, ...]:
        """The imports and calls that are not allowed."""
        return tuple(violations(self.pickle, {**self.trusted, **self.own} if self.own else self.trusted))

    @functools.cached_property
    def calls(self) -> tuple[tuple[str, Call], ...]:
        """The calls, each with the path of its function."""
        paths = {id(node): node.path for node in self.pickle.calls if isinstance(node, Global)}  # each is joined once
        calls = (node for node in self.pickle.calls if isinstance(node, Call))
        return tuple((paths.get(id(node.parts[0])) or node.path if node.parts else node.path, node) for node in calls)

    @functools.cached_property
    def size(self) -> "ObjectSize":
        copies = {id(call) for path, call in self.calls if path in _COPIES}
        return _measured(self.pickle, copies)


def _name(node: Global) -> Name:
    return node.module, node.name


def _is_own(node: Global) -> bool:
    """Whether a name is one of TorchScript's (`torch/csrc/jit/serialization/import.cpp`)."""
    return node.module == "__torch__" or node.module.startswith("__torch__.")


class ZipSubject:
    """One zip, which begins and ends with `source`. `oddities` say, each with an offset, where some loader sees another
    archive in it; `prefix` is the folder of the records of a torch zip, None for other zips.
    """

    def __init__(
        self, location: str, source: Source, archive: Archive, prefix: str | None, oddities: tuple[tuple[str, int], ...]
    ) -> None:
        self.location = location
        self.source = source
        self.archive = archive
        self.prefix = prefix
        self.oddities = oddities
        self.is_distant = is_distant(source)
        """Whether only some of the local headers are read, and nothing is searched between the entries."""
        self.unread = frozenset[str]()
        """Of a distant zip, the names of the entries that are not read, in lower case."""
        self.wrong_crcs = list[str]()
        """Of the records that were read, the names of those whose CRC does not match their bytes."""

    @property
    def entries_read(self) -> Iterator[Entry]:
        """The entries whose local headers are read."""
        return (entry for entry in self.archive.entries if entry.name.lower() not in self.unread)

    @functools.cached_property
    def extents(self) -> list[Extent]:
        """Where the parts of the zip lie."""
        return extents(self.archive)


class NoteKind(StrEnum):
    """What a note is about; each kind has its rule, except UNREAD, which makes a file unreadable."""

    UNREAD = "unread"
    LIMIT = "limit"
    STRANGE = "strange"
    SEVERAL = "several"
    BOMB = "bomb"
    CODE = "code"
    TORCHSCRIPT = "torchscript"
    FILES_CODE = "files"
    DISTANT = "distant"


class Note(NamedTuple):
    """Anything else worth a word: `kind` decides which rule reports it. The offset counts from the first byte of `source`."""

    location: str
    kind: NoteKind
    message: str
    offset: int | None = None
    source: Source | None = None


class MemberNames(NamedTuple):
    """The names of the members of an archive other than a zip."""

    location: str
    names: list[str]
    source: Source | None = None


class Data(NamedTuple):
    """Bytes that no loader interprets: every reading of them is refused."""

    location: str
    source: Source | None = None


Subject = PickleStream | ZipSubject | Note | MemberNames | Data


NUMBERS = frozenset(("LONG4", "LONG", "INT"))
"""The opcodes whose numbers may be of any length."""

_BYTES = frozenset(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"))
_TEXTS = frozenset(("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE", "STRING", "BINSTRING", "SHORT_BINSTRING"))
_KEPT = NUMBERS | {"LONG1"} | _BYTES | _TEXTS
_SHORTEST_KEPT = 6
"""Shorter arguments are neither large, nor are they a pickle that imports something."""

_CONTAINERS = frozenset((Dict, List, Tuple, Set))
_KINDS = ("list", "tuple", "dict", "set", "frozenset", "deque")
_COPIES = frozenset(f"{module}.{name}" for (module, name), row in ALLOWED.items() if row.returns in _KINDS or name == "slice")
"""Functions that return a container of what they are given."""

_MOST_COUNTED = 1 << 62
_ALONE, _NO_CONTAINER = (1, 1), (1, 0)
"""The depth and count of nodes with nothing but atoms below them, which all share."""


class ObjectSize(NamedTuple):
    """The size of an object: `depth` of nested nodes, `references` from one node to another, and `walked`, the number of
    containers that a program visits if it does not recognise shared ones. `atoms` may be large numbers, bytes and texts.
    """

    depth: int
    references: int
    walked: int
    atoms: tuple[Atom, ...]


def _measured(pickle: Pickle, copies: set[int]) -> ObjectSize:
    """One pass over an object and everything created on the way to it, each node once, so that no bomb goes off.

    `copies` are the calls that return a container of what they are given. `sizes` are the depth and count of every node by
    identity, (0, 0) while it is open. It is one loop without calls because it takes a tenth of the time of a scan.
    """
    sizes, atoms, references = dict[int, tuple[int, int]](), dict[int, Atom](), 0
    pending: list[Any] = [*([pickle.root] if pickle.root is not None else []), *pickle.calls, *pickle.discarded]
    while pending:
        node = pending.pop()
        if type(node) is tuple:  # a node, after its parts
            node, below = node
            depth = total = 0
            for part in below:
                deep, count = sizes[id(part)]
                depth = deep if deep > depth else depth
                total += count
            if type(node) is Detour:
                sizes[id(node)] = sizes.get(id(node.parts[-1]), (0, 0))
            else:
                is_counted = type(node) in _CONTAINERS or id(node) in copies
                sizes[id(node)] = depth + 1, min(total + 1, _MOST_COUNTED) if is_counted else 0
        elif type(node) is Atom:
            _keep(node, atoms)
        elif id(node) not in sizes:
            below = []
            for part in children(node) if node.steps else node.parts:
                if type(part) is not Atom:
                    below.append(part)
                elif part.op in _KEPT:
                    _keep(part, atoms)
            references += len(below)
            if below or type(node) is Detour:
                sizes[id(node)] = (0, 0)
                pending.append((node, below))
                pending += below
            else:
                sizes[id(node)] = _ALONE if type(node) in _CONTAINERS or id(node) in copies else _NO_CONTAINER
    most = [max((one[column] for one in sizes.values()), default=0) for column in (0, 1)]
    return ObjectSize(most[0], references, most[1], tuple(atoms.values()))


def _keep(node: Atom, atoms: dict[int, Atom]) -> None:
    if node.op in _KEPT and len(node.arg) >= _SHORTEST_KEPT:
        atoms[id(node)] = node
