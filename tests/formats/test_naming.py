"""A file that is no checkpoint is called what it is, by its content: the name is never looked at."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard

import ptzip
from ptzip.errors import FormatError, UnsupportedError
from ptzip.formats.naming import described
from ptzip.source import BytesSource
from tests.corpus import CORPUS, FIXTURES, manifest, needs_corpus

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 14808437\n"

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
"""The first object of a legacy stream."""


def tar() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return stream.getvalue()


def safetensors(header_length: int) -> bytes:
    header = json.dumps({"a": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}}).encode()
    return struct.pack("<Q", header_length) + header.ljust(header_length)


def numpy_array() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.arange(3))
    return stream.getvalue()


def legacy(protocol: int) -> bytes:
    return pickle.dumps(MAGIC_NUMBER, protocol) + pickle.dumps(1001, protocol)


def zip_of(*names: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"1")
    return stream.getvalue()


FILES: dict[str, tuple[bytes, str]] = {
    "git-lfs pointer": (LFS_POINTER, "a git-lfs pointer: the checkpoint itself was not fetched (`git lfs pull`)"),
    "empty": (b"", "an empty file"),
    "gzip": (gzip.compress(b"x"), "compressed by gzip: decompress it first"),
    "zstd": (zstandard.compress(b"x"), "compressed by zstd: decompress it first"),
    "bzip2": (bz2.compress(b"x"), "compressed by bzip2: decompress it first"),
    "xz": (lzma.compress(b"x"), "compressed by xz: decompress it first"),
    "7z": (b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24), "a 7z archive, not a checkpoint"),
    "tar": (tar(), "a tar file, as torch 0.1 wrote checkpoints, which this version does not open yet"),
    "safetensors": (safetensors(64), "a safetensors file, which holds weights only: there is nothing to strip"),
    "safetensors that begins like HTML": (
        safetensors(ord("<")),
        "a safetensors file, which holds weights only: there is nothing",
    ),
    "safetensors that begins like JSON": (
        safetensors(ord("{")),
        "a safetensors file, which holds weights only: there is nothing",
    ),
    "HTML": (b"<!DOCTYPE html><title>404</title>", "a web page or XML, not a checkpoint: the download may have failed"),
    "JSON": (b'{"error": "Repository not found"}', "JSON text, not a checkpoint"),
    "numpy": (numpy_array(), "a numpy array, not a checkpoint"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(8), "an HDF5 file, not a torch checkpoint"),
    "GGUF": (b"GGUF\x03\x00\x00\x00", "a GGUF file, not a torch checkpoint"),
    "program": (b"\x7fELF\x02\x01\x01", "native code, not a checkpoint"),
    "truncated zip": (zip_of("a/data.pkl")[:-10], "a zip that is cut off: it has no end of central directory"),
    "other bytes": (b"\x00\x01\x02\x03" * 9, "not a zip: it has no end of central directory"),
    "one byte": (b"\x80", "not a zip: it has no end of central directory"),
    **{
        f"bare pickle of protocol {protocol}": (pickle.dumps({"a": 1}, protocol), "a bare pickle, which this version does not")
        for protocol in (2, 3, 4, 5)
    },
    **{
        f"legacy of protocol {protocol}": (legacy(protocol), "a checkpoint of the legacy format (before torch 1.6), which this")
        for protocol in (0, 1, 2, 3, 4, 5)
    },
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


OTHER_ZIPS: dict[str, tuple[tuple[str, ...], type[Exception], str]] = {
    "TorchScript": (("m/data.pkl", "m/constants.pkl"), UnsupportedError, "this is a TorchScript archive"),
    "TorchScript in capitals": (("m/DATA.PKL", "m/CONSTANTS.PKL"), UnsupportedError, "this is a TorchScript archive"),
    "torch.package": (("p/.data/extern_modules", "p/model/model.pkl"), UnsupportedError, "this is a torch.package"),
    "exported program": (("e/archive_format", "e/models/model.json"), UnsupportedError, "this is an exported program (.pt2)"),
    "another zip": (("word/document.xml",), FormatError, "this is a zip, but not one of torch.save: it has no record data.pkl"),
    "empty zip": ((), FormatError, "this is an empty zip"),
}


@pytest.mark.parametrize("kind", OTHER_ZIPS)
def test_a_zip_of_another_kind_is_refused_by_its_name(kind: str, tmp_path: Path) -> None:
    names, error, words = OTHER_ZIPS[kind]
    path = tmp_path / "last.pt"
    path.write_bytes(zip_of(*names))
    with pytest.raises(error) as caught:
        ptzip.open(path)
    assert str(caught.value).startswith(words)


@pytest.mark.parametrize("front", [b"junk", legacy(2)], ids=["junk", "legacy stream"])
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


def wrong_files() -> list[Any]:
    """The files of the corpus that are legacy checkpoints, pickles, and so on, with what they must be called."""
    words = {"legacy": "legacy format", "pickle": "bare pickle", "safetensors": "safetensors", "torchscript": "TorchScript"}
    entries = manifest("format")["files"] if CORPUS.is_dir() else []
    chosen = [pytest.param(each["file"], words[each["kind"]], id=each["file"]) for each in entries if each["kind"] in words]
    return chosen or [pytest.param("missing", "missing", marks=needs_corpus)]


@pytest.mark.parametrize(("name", "words"), wrong_files())
def test_a_file_of_the_corpus_is_called_what_it_is(name: str, words: str) -> None:
    with pytest.raises((FormatError, UnsupportedError), match=words):
        ptzip.open(CORPUS / "format" / name)
