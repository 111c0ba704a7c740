"""The view of a file that is shown where no other is asked for: what the others need is not loaded for it."""

from collections.abc import Iterator
from typing import Any

from ptzip.checkpoint import Checkpoint
from ptzip.inspecting.key_sizes import KeySize
from ptzip.inspecting.summary import Summary, summary
from ptzip.render.inspect_summary import screen
from ptzip.tensors.torch_names import Release
from ptzip.text import as_json


def lines(checkpoint: Checkpoint) -> Iterator[str]:
    """The screenful. Raises FormatError behind it where the object of the file could not be read to its end."""
    yield from screen(summary(checkpoint))
    if checkpoint.parts:
        _ = checkpoint.root


def answer(checkpoint: Checkpoint) -> dict[str, Any]:
    """The same as plain data."""
    return summary_data(summary(checkpoint))


def summary_data(found: Summary) -> dict[str, Any]:
    """One file's screenful."""
    return {
        "path": found.path,
        "size": found.size,
        "format": found.format,
        "torch": {
            "low": _release(found.versions.low),
            "high": _release(found.versions.high),
            "signs": list(found.versions.signs),
            "otherwise": found.versions.otherwise,
        },
        "records": found.members,
        "big_endian": found.big_endian,
        "pickles": [stream._asdict() for stream in found.streams],
        "keys": [_key(row) for row in found.keys],
        "rest": found.rest,
        "tensors": len(found.tensors),
        "dtypes": [use._asdict() for use in found.dtypes],
        "parameters": [one._asdict() for one in found.parameters],
        "dead": found.dead._asdict(),
        "twins": found.duplicates._asdict(),
        "imports": [name._asdict() for name in found.imports],
        "anomalies": [{"kind": one.kind, "message": one.message, "offset": one.offset} for one in found.anomalies],
        "faults": list(found.faults),
        "slim": found.slimming._asdict(),
    }


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
