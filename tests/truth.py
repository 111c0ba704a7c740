"""What the corpus's manifests say of a file, in one form: tensors by dotted name, arrays and storages by steps from the root.

The three manifests spell object paths in three ways:

    format   $["key"][int:3][repr:(1, 'a')][0].attribute.method()
    real     /key/0/@attribute/@args/0
    yolo     key/0/attribute

Rule: what torch read is compared as it stands there; nothing is worked out from ptzip's own result.
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
"""The steps that are no part of a name in a state dict."""

STEPS = re.compile(
    r"""\["(?P<key>(?:[^"\\]|\\.)*)"\] | \[int:(?P<int>-?\d+)\] | \[repr:(?P<repr>.*?)\](?=[\[.]|$) | \[(?P<index>\d+)\]
    | \.key\((?P<place>\d+)\) | \.(?P<method>\w+)\(\) | \.(?P<attribute>\w+)""",
    re.VERBOSE | re.DOTALL,
)

TENSOR_KEYS = ("Parameter containing", "tensor(")
"""How the repr of a tensor begins that is the key of a dict."""


@dataclass(frozen=True)
class Found:
    """One tensor, array or storage of a manifest: `steps` lead to it, `said` is what the manifest says of it."""

    steps: tuple[str, ...]
    said: dict[str, Any]

    @property
    def name(self) -> str:
        """The dotted name that `Checkpoint.tensors` gives it."""
        return ".".join(step for step in self.steps if step not in UNNAMED)


@dataclass(frozen=True)
class Truth:
    """All that a manifest says of one file."""

    path: Path
    format: str
    tensors: tuple[Found, ...]
    arrays: tuple[Found, ...] = ()
    storages: tuple[Found, ...] = ()
    is_moved: bool = False
    """Whether the tensors were moved to the CPU, so that their devices are not those of the file."""
    is_detached: bool = False
    """Whether they were read from `state_dict()`, which hands out tensors without `requires_grad`."""


def truths() -> Iterator[Truth]:
    """The truth of every file that a manifest lists something of; none where the corpus is missing."""
    if not CORPUS.is_dir():
        return
    for told in (*_format(), *_real(), *_yolo()):
        if told.tensors or told.arrays or told.storages:
            yield told


def _format() -> Iterator[Truth]:
    for entry in manifest("format")["files"]:
        tensors, arrays, storages = (_spelled(entry.get(kind) or []) for kind in ("tensors", "arrays", "storages"))
        is_moved = bool(entry["load_kwargs"])
        yield Truth(CORPUS / "format" / entry["file"], entry["kind"], tensors, arrays, storages, is_moved)


def _spelled(entries: list[dict[str, Any]]) -> tuple[Found, ...]:
    numbers: dict[tuple[str, str], str] = {}
    return tuple(Found(tuple(_steps(entry["path"], numbers)), entry) for entry in entries)


def _steps(path: str, numbers: dict[tuple[str, str], str]) -> Iterator[str]:
    """The steps of a path; keys that are tensors are told by their place among such keys, as they are in names."""
    for match in STEPS.finditer(path.removeprefix("$")):
        kind, text = str(match.lastgroup), match[str(match.lastgroup)]
        if kind == "place" or (kind == "repr" and text.startswith(TENSOR_KEYS)):
            yield numbers.setdefault((kind, text), str(sum(known == kind for known, _ in numbers)))
        elif kind == "key":
            yield json.loads(f'"{text}"')
        else:
            yield text.lstrip("_") if kind == "method" else text


def _real() -> Iterator[Truth]:
    for entry in manifest("real")["files"]:
        tensors, arrays = (_slashed(entry.get(kind) or []) for kind in ("tensors", "numpy_arrays"))
        is_detached = str(entry.get("loaded_by")).endswith("state_dict")
        yield Truth(CORPUS / "real" / entry["dest"], entry["format"], tensors, arrays, is_detached=is_detached)


def _yolo() -> Iterator[Truth]:
    for name, entry in manifest("yolo")["files"].items():
        path = CORPUS / "yolo" / name
        if path.exists():
            yield Truth(path, "zip", _slashed(entry["tensors"]))


def _slashed(entries: list[dict[str, Any]]) -> tuple[Found, ...]:
    return tuple(Found(tuple(step.removeprefix("@") for step in entry["path"].split("/") if step), entry) for entry in entries)


def follow(root: Any, steps: tuple[str, ...]) -> Any:
    """The value that some steps lead to, from what `ptzip.load` gave."""
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
