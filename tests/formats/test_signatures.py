"""A file that is no checkpoint is called what it is, by its content: the name is never looked at."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ptzip
from ptzip.errors import FormatError
from ptzip.formats.signatures import described
from ptzip.io.sources import BytesSource
from tests.corpus import FIXTURES
from tests.torch_zips import zip_of

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 14808437\n"


def numpy_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    return stream.getvalue()


FILES: dict[str, tuple[bytes, str]] = {
    "git-lfs pointer": (LFS_POINTER, "a git-lfs pointer: the checkpoint itself was not fetched (`git lfs pull`)"),
    "empty": (b"", "an empty file"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24), "a 7z archive: extract it first"),
    "HTML": (b"<!DOCTYPE html><title>404</title>", "a web page or XML: the download may have failed"),
    "JSON": (b'{"error": "Repository not found"}', "JSON text: if it is the index of a sharded checkpoint"),
    "numpy": (numpy_array(), "a numpy array: open it with numpy.load"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(8), "an HDF5 file: open it with h5py"),
    "GGUF": (b"GGUF\x03\x00\x00\x00", "a GGUF file: open it with the gguf package"),
    "program": (b"\x7fELF\x02\x01\x01", "native code: not a checkpoint"),
    "script": (b"#!/bin/sh\n", "a script: not a checkpoint"),
    "lz4": (b"\x04\x22\x4d\x18" + bytes(16), "compressed by lz4: decompress it first"),
    "rar": (b"Rar!\x1a\x07", "a rar archive: extract it first"),
    "truncated zip": (zip_of("a/data.pkl")[:-10], "a zip that is cut off: it has no end of central directory"),
    "other bytes": (b"\x00\x01\x02\x03" * 9, "a file of no known format"),
    "one byte": (b"\x80", "a file of no known format"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_file_is_called_what_it_is(kind: str) -> None:
    data, words = FILES[kind]
    assert described(BytesSource(data)).startswith(words)


@pytest.mark.parametrize("kind", FILES)
def test_opening_it_raises_an_error_that_says_so(kind: str, tmp_path: Path) -> None:
    data, words = FILES[kind]
    path = tmp_path / "last.pt"
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        ptzip.open(path)
    assert str(caught.value).startswith(f"this is {words}")


@pytest.mark.parametrize("front", [b"junk", LFS_POINTER[:9]], ids=["junk", "text"])
def test_a_zip_behind_other_bytes_is_refused_as_torch_does_not_see_it(front: bytes, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(front)
    with zipfile.ZipFile(FIXTURES / "tensors.pt") as source, zipfile.ZipFile(path, "a") as archive:
        for name in source.namelist():
            archive.writestr(name, source.read(name))
    with pytest.raises(FormatError, match="does not begin as one"):
        ptzip.open(path)


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="this is a directory, expected a regular file"):
        ptzip.open(tmp_path)
