"""The report of `ptzip inspect`."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from ptzip.allowlist.needs import Need
from ptzip.allowlist.python_modules import PYTHON_MODULES
from ptzip.errors import Anomaly
from ptzip.inspecting.key_sizes import KeySize, TensorFacts
from ptzip.inspecting.kinds import OTHER, kind_of
from ptzip.inspecting.tensor_summary import DeadBytes, DtypeCount, Duplicates, ParameterCount
from ptzip.inspecting.torch_versions import Versions
from ptzip.json_output import notebook_html, report_dict
from ptzip.tensors.torch_names import Release
from ptzip.text import TOP_LEVEL, as_json


class PickleSize(NamedTuple):
    """One pickle of the file; `size` is in bytes."""

    name: str
    protocol: int | None
    size: int


class ImportedName(NamedTuple):
    """A name that loading imports: how often the pickles import it, and whether it is called."""

    path: str
    times: int
    is_called: bool
    is_harmless: bool

    @property
    def is_of_python(self) -> bool:
        """Whether it belongs to Python itself, like most of what attacks use."""
        return self.path.partition(".")[0] in PYTHON_MODULES


class Slimming(NamedTuple):
    """The bytes that `slim` would save, and its recipe; or the reason why it would not."""

    recipe: str = ""
    saved: int = 0
    refusal: str = ""


class FileSize(NamedTuple):
    """One file of a folder: its path there, and its size in bytes."""

    path: str
    size: int


class UnreadSize(NamedTuple):
    """Bytes of a folder that are not in its object, and what they are for."""

    name: str
    size: int
    role: str


class FolderFacts(NamedTuple):
    """What is known of a folder that is one checkpoint: its files, facts in words such as ("processes", "8"), and what of its
    files is not in the object."""

    files: tuple[FileSize, ...]
    facts: tuple[tuple[str, str], ...]
    unread: tuple[UnreadSize, ...] = ()


class Safety(NamedTuple):
    """The verdict of `scan`, why in a few words, and the words for `--trust` with which it would be clean."""

    verdict: str
    reason: str
    trust: tuple[str, ...] = ()


@dataclass(frozen=True)
class InspectReport:
    """The summary of one file. `size` is in bytes, `unpacked` that of its content if it is compressed.

    `keys` has a row for each top-level key, `tensors` one for each tensor. `faults` are the errors that left something empty.
    `safety` is None where nobody asked for a scan, `folder` for a file.
    """

    path: str
    size: int
    unpacked: int
    format: str
    versions: Versions
    members: int
    streams: tuple[PickleSize, ...]
    big_endian: bool
    keys: tuple[KeySize, ...]
    dtypes: tuple[DtypeCount, ...]
    parameters: tuple[ParameterCount, ...]
    tensors: tuple[TensorFacts, ...]
    dead: DeadBytes
    duplicates: Duplicates
    imports: tuple[ImportedName, ...]
    needs: tuple[Need, ...]
    anomalies: tuple[Anomaly, ...]
    slimming: Slimming
    faults: tuple[str, ...]
    safety: Safety | None = None
    folder: FolderFacts | None = None

    @property
    def rest(self) -> int:
        """The bytes of the container, and of anything that no key has."""
        return self.unpacked - sum(key.size for key in self.keys) - sum(one.size for one in self.unread)

    @property
    def unread(self) -> tuple[UnreadSize, ...]:
        """What of the files of a folder is not in the object."""
        return () if self.folder is None else self.folder.unread

    @property
    def ok(self) -> bool:
        """Whether the objects of the file could be read to their end."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        versions = self.versions
        return report_dict(
            self.ok,
            path=self.path,
            size=self.size,
            format=self.format,
            torch={
                "low": _release(versions.low),
                "high": _release(versions.high),
                "signs": list(versions.signs),
                "otherwise": versions.otherwise,
            },
            records=self.members,
            big_endian=self.big_endian,
            pickles=[stream._asdict() for stream in self.streams],
            keys=[_key(row) for row in self.keys],
            rest=self.rest,
            tensors=len(self.tensors),
            dtypes=[count._asdict() for count in self.dtypes],
            parameters=[count._asdict() for count in self.parameters],
            dead=self.dead._asdict(),
            duplicates=self.duplicates._asdict(),
            imports=[name._asdict() for name in self.imports],
            needs=self.needs,
            anomalies=[anomaly._asdict() for anomaly in self.anomalies],
            faults=list(self.faults),
            slim=self.slimming._asdict(),
            safety=self.safety,
            folder=self.folder
            and {
                "files": [one._asdict() for one in self.folder.files],
                "facts": dict(self.folder.facts),
                "unread": [one._asdict() for one in self.folder.unread],
            },
        )

    _repr_html_ = notebook_html

    def figure(self) -> Any:
        """The bytes of each key as a treemap of plotly. Raises UnsupportedError where plotly is not installed."""
        from ptzip.figures.block_tree import Block  # here and below, since few reports are shown so
        from ptzip.figures.plotly_library import figure  # as above
        from ptzip.figures.treemap import treemap  # as above

        storages = [Block(key.key or TOP_LEVEL, key.storages, kind_of(key.key)) for key in self.keys]
        pickles = [Block(f"(pickle).{key.key}", key.pickle, OTHER) for key in self.keys]
        unread = [Block(one.name, one.size, OTHER) for one in self.unread]
        return figure(treemap(self.path, [*storages, *pickles, *unread, Block("(file)", max(self.rest, 0), OTHER)]))


def _release(found: Release | None) -> str | None:
    return None if found is None else ".".join(map(str, found))


def _key(row: KeySize) -> dict[str, Any]:
    return {
        "key": row.key,
        "kind": row.kind,
        "value": as_json(row.value),
        "below": row.below,
        "storages": row.storages,
        "pickle": row.pickle,
    }
