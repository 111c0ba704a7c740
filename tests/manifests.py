"""The three manifests of the corpus in one form: tensors by dotted name, arrays and storages by the path from the root.

The manifests write object paths in three ways:

    format   $["key"][int:3][repr:(1, 'a')][0].attribute.method()
    real     /key/0/@attribute/@args/0
    yolo     key/0/attribute

Nothing is derived from a result of ptzip.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptzip import Opaque
from tests.corpus import CORPUS, manifest

UNNAMED = ("_modules", "_parameters", "_buffers")
"""Steps that are not part of a name in a state dict."""

STEPS = re.compile(
    r"""\["(?P<key>(?:[^"\\]|\\.)*)"\] | \[int:(?P<int>-?\d+)\] | \[repr:(?P<repr>.*?)\](?=[\[.]|$) | \[(?P<index>\d+)\]
    | \.key\((?P<place>\d+)\) | \.(?P<method>\w+)\(\) | \.(?P<attribute>\w+)""",
    re.VERBOSE | re.DOTALL,
)

TENSOR_KEYS = ("Parameter containing", "tensor(")
"""Prefixes of the repr of a tensor that is a dict key."""


@dataclass(frozen=True)
class ManifestEntry:
    """One tensor, array or storage of a manifest: `steps` lead to it, `facts` is its entry."""

    steps: tuple[str, ...]
    facts: dict[str, Any]

    @property
    def name(self) -> str:
        """The dotted name that `Checkpoint.tensors` gives it."""
        return ".".join(step for step in self.steps if step not in UNNAMED)


@dataclass(frozen=True)
class FileManifest:
    """Everything in a manifest about one file."""

    path: Path
    format: str
    tensors: tuple[ManifestEntry, ...]
    arrays: tuple[ManifestEntry, ...] = ()
    storages: tuple[ManifestEntry, ...] = ()
    is_moved: bool = False
    """Whether the tensors were moved to the CPU, so their devices are not those in the file."""
    is_detached: bool = False
    """Whether they were read from `state_dict()`, whose tensors lack `requires_grad`."""


def file_manifests() -> Iterator[FileManifest]:
    """Every file with tensors, arrays or storages in a manifest; none if the corpus is missing."""
    if not CORPUS.is_dir():
        return
    for file in (*_format(), *_real(), *_yolo()):
        if file.tensors or file.arrays or file.storages:
            yield file


def _format() -> Iterator[FileManifest]:
    for entry in manifest("format")["files"]:
        tensors, arrays, storages = (_spelled(entry.get(kind) or []) for kind in ("tensors", "arrays", "storages"))
        is_moved = bool(entry["load_kwargs"])
        yield FileManifest(CORPUS / "format" / entry["file"], entry["kind"], tensors, arrays, storages, is_moved)


def _spelled(entries: list[dict[str, Any]]) -> tuple[ManifestEntry, ...]:
    numbers: dict[tuple[str, str], str] = {}
    return tuple(ManifestEntry(tuple(_steps(entry["path"], numbers)), entry) for entry in entries)


def _steps(path: str, numbers: dict[tuple[str, str], str]) -> Iterator[str]:
    """The steps of a path; keys that are tensors are numbered, as in tensor names."""
    for match in STEPS.finditer(path.removeprefix("$")):
        kind, text = str(match.lastgroup), match[str(match.lastgroup)]
        if kind == "place" or (kind == "repr" and text.startswith(TENSOR_KEYS)):
            yield numbers.setdefault((kind, text), str(sum(known == kind for known, _ in numbers)))
        elif kind == "key":
            yield json.loads(f'"{text}"')
        else:
            yield text.lstrip("_") if kind == "method" else text


def _real() -> Iterator[FileManifest]:
    for entry in manifest("real")["files"]:
        tensors, arrays = (_slashed(entry.get(kind) or []) for kind in ("tensors", "numpy_arrays"))
        is_detached = str(entry.get("loaded_by")).endswith("state_dict")
        yield FileManifest(CORPUS / "real" / entry["dest"], entry["format"], tensors, arrays, is_detached=is_detached)


def _yolo() -> Iterator[FileManifest]:
    for name, entry in manifest("yolo")["files"].items():
        path = CORPUS / "yolo" / name
        if path.exists():
            yield FileManifest(path, "zip", _slashed(entry["tensors"]))


def _slashed(entries: list[dict[str, Any]]) -> tuple[ManifestEntry, ...]:
    return tuple(
        ManifestEntry(tuple(step.removeprefix("@") for step in entry["path"].split("/") if step), entry) for entry in entries
    )


def follow(root: Any, steps: tuple[str, ...]) -> Any:
    """The value at a path in the result of `ptzip.load`."""
    for step in steps:
        root = _into(root, step)
    return root


def _into(value: Any, step: str) -> Any:
    if isinstance(value, Opaque):
        return value.args if step == "args" else value.attributes[step]
    if isinstance(value, np.random.RandomState):
        return value.get_state(legacy=False)[step]
    if isinstance(value, dict):
        return value[step] if step in value else value[int(step)]
    return value[int(step)] if isinstance(value, list | tuple) else getattr(value, step)
