"""Every format is told by the content of the file, opened, and named; what cannot be slimmed says why."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

import ptzip
from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.limits import Limits
from tests.corpus import CORPUS, FIXTURES, files, manifest, needs_corpus
from tests.torch_zips import zip_of

FORMAT_OF = {
    "zip": "torch.save zip",
    "legacy": "legacy torch.save stream",
    "pickle": "bare pickle",
    "safetensors": "safetensors",
    "torchscript": "TorchScript archive",
    "package": "torch.package",
    "dcp": "DCP shard",
}
"""The kinds of the corpus's manifest, as ptzip names them."""


def entries() -> list[Any]:
    found = manifest("format")["files"] if CORPUS.is_dir() else []
    chosen = [pytest.param(each, id=each["file"]) for each in found if not each["file"].endswith("truncated.pt")]
    return chosen or [pytest.param({}, marks=needs_corpus)]


@pytest.mark.parametrize("entry", entries())
def test_a_file_of_the_corpus_opens_as_what_it_is(entry: dict[str, Any]) -> None:
    with ptzip.open(CORPUS / "format" / entry["file"]) as checkpoint:
        assert checkpoint.format == FORMAT_OF[entry["kind"]]
        assert sum(member.size for member in checkpoint.container.members) <= entry["size"] * 1000


REFUSED_FILES = {"truncated.pt", "RFB-320.bin", "bad_pytorch.pt", "not_a_pickle.bin", "gh__pytorch__serve/model.pt"}
"""Files that are no checkpoints: cut off, weights of another program, text, and two of a scanner's own tests."""


@pytest.mark.parametrize("path", files("format", "real") or [CORPUS / "missing"], ids=lambda path: path.name)
def test_saving_gives_the_same_bytes(path: Path, tmp_path: Path) -> None:
    if not path.exists():
        pytest.skip("needs ../shared/corpus, which is not here")
    if path.name in REFUSED_FILES or f"{path.parent.name}/{path.name}" in REFUSED_FILES:
        with pytest.raises(FormatError, match="this is"):
            ptzip.open(path)
        return
    with ptzip.open(path) as checkpoint:
        checkpoint.save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


REFUSED: dict[str, tuple[bytes, str]] = {
    "TorchScript": (zip_of("m/data.pkl", "m/constants.pkl"), "a TorchScript archive"),
    "TorchScript in capitals": (zip_of("m/DATA.PKL", "m/CONSTANTS.PKL"), "a TorchScript archive"),
    "torch.package": (zip_of("p/.data/extern_modules", "p/model/model.pkl"), "a torch.package"),
    "exported program": (zip_of("e/archive_format", "e/models/model.json"), r"an exported program \(.pt2\)"),
    "another zip": (zip_of("word/document.xml"), "a zip, but not one of torch.save: it has no record data.pkl"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_opens_but_cannot_be_slimmed_says_why(kind: str, tmp_path: Path) -> None:
    data, words = REFUSED[kind]
    (tmp_path / "last.pt").write_bytes(data)
    ptzip.open(tmp_path / "last.pt").close()
    with pytest.raises(UnsupportedError, match=f"this is {words}"):
        ptzip.slim(tmp_path / "last.pt")


def test_an_empty_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(zip_of())
    with pytest.raises(FormatError, match="this is an empty zip"):
        ptzip.open(tmp_path / "last.pt")


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zlib": zlib.compress,
}


@pytest.mark.parametrize("kind", PACKERS)
@pytest.mark.parametrize("name", ["training.pt", "tensors.pt"])
def test_a_compressed_checkpoint_is_slimmed_as_the_plain_one(kind: str, name: str, tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.pt", tmp_path / "packed.pt"
    plain.write_bytes((FIXTURES / name).read_bytes())
    packed.write_bytes(PACKERS[kind](plain.read_bytes()))
    ptzip.slim(plain, tmp_path / "a.pt")
    ptzip.slim(packed, tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()
    with ptzip.open(packed) as checkpoint:
        assert checkpoint.format == f"torch.save zip in {kind}"
        checkpoint.save(tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == packed.read_bytes()


def test_a_target_in_zst_holds_what_the_plain_one_would(tmp_path: Path) -> None:
    ptzip.slim(FIXTURES / "training.pt", tmp_path / "a.pt")
    report = ptzip.slim(FIXTURES / "training.pt", tmp_path / "a.pt.zst")
    packed = (tmp_path / "a.pt.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == (tmp_path / "a.pt").read_bytes()
    assert report.new_size == len(packed)


def test_a_target_in_gzip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ptzip.EditError, match="gzip output is not supported"):
        ptzip.slim(FIXTURES / "training.pt", tmp_path / "a.pt.gz")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", PACKERS)
def test_compression_that_is_cut_off_is_said_so(kind: str, tmp_path: Path) -> None:
    data = PACKERS[kind]((FIXTURES / "training.pt").read_bytes())
    (tmp_path / "last.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(FormatError):
        ptzip.open(tmp_path / "last.pt")


@pytest.mark.parametrize("kind", PACKERS)
def test_a_bomb_is_stopped_while_it_grows(kind: str, tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(PACKERS[kind](bytes(1 << 24)))
    with pytest.raises(LimitError, match="holds more bytes than"):
        ptzip.open(tmp_path / "last.pt", Limits(unpacked_bytes=1 << 20))
