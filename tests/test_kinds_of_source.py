"""A path, its bytes and a file object are the same checkpoint to every function."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

import ptzip
from tests.corpus import FIXTURES

FILE = FIXTURES / "training.pt"

Opened = Any
"""Anything that `ptzip.open` takes."""


def buffered() -> BinaryIO:
    return FILE.open("rb")


KINDS: dict[str, Callable[[], Opened]] = {
    "bytes": FILE.read_bytes,
    "a bytearray": lambda: bytearray(FILE.read_bytes()),
    "a memoryview": lambda: memoryview(FILE.read_bytes()),
    "BytesIO": lambda: io.BytesIO(FILE.read_bytes()),
    "an opened file": buffered,
    "an unbuffered file": lambda: io.FileIO(FILE),
}

VERBS: dict[str, Callable[[Opened, Path], object]] = {
    "scan": lambda source, output: ptzip.scan(source),
    "verify": lambda source, output: ptzip.verify(source, values=True),
    "inspect": lambda source, output: ptzip.inspect(source),
    "slim": lambda source, output: ptzip.slim(source, output.with_suffix(".pt"), check=True),
    "plan": lambda source, output: ptzip.slim(source, dry_run=True),
    "convert": lambda source, output: ptzip.convert(source, output.with_suffix(".safetensors")),
    "diff": lambda source, output: ptzip.diff(source, FILE),
    "repair": lambda source, output: ptzip.repair(source, output.with_suffix(".pt")),
}


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest) -> Iterator[Opened]:
    made = KINDS[request.param]()
    yield made
    if isinstance(made, io.IOBase):
        assert not made.closed  # it is its owner's to close
        made.close()


def report(verb: str, source: Opened, folder: Path) -> tuple[object, dict[str, bytes]]:
    """What a function returns but for the names of files, and the files that it writes."""
    folder.mkdir()
    found = VERBS[verb](source, folder / "out").to_dict()  # type: ignore[attr-defined]
    named = {"path", "a", "b", "output", "outputs"}
    return {key: value for key, value in found.items() if key not in named}, {
        path.name: path.read_bytes() for path in folder.iterdir()
    }


@pytest.mark.parametrize("verb", VERBS)
def test_every_function_reports_the_same_of_every_kind(verb: str, source: Opened, tmp_path: Path) -> None:
    assert report(verb, source, tmp_path / "kind") == report(verb, FILE, tmp_path / "path")


def test_an_open_checkpoint_has_the_same_tensors_and_bytes(source: Opened, tmp_path: Path) -> None:
    with ptzip.open(source) as found, ptzip.open(FILE) as expected:
        assert [(name, repr(tensor)) for name, tensor in found.items()] == [
            (name, repr(tensor)) for name, tensor in expected.items()
        ]
        found.save(tmp_path / "copy.pt")
    assert (tmp_path / "copy.pt").read_bytes() == FILE.read_bytes()


def test_bytes_that_change_later_do_not_change_the_checkpoint() -> None:
    data = bytearray(FILE.read_bytes())
    with ptzip.open(data) as found:
        data[:] = bytes(len(data))
        assert found.format == "torch.save zip"
        assert all(tensor.numpy() is not None for tensor in found.values())
