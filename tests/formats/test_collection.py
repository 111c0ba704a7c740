"""Tars and zips of files: the checkpoints in them are found by content, opened by name, and replaced among the others."""

import gzip
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.io.sources import BytesSource
from tests.files_of_checkpoints import (
    CONFIG,
    nemo_files,
    sb3_files,
    several_files,
    state_dict,
    tarred,
    unpacked,
    zipped,
)

NAMES = ["net.weight", "net.bias"]
PACKED: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "tar": tarred,
    "old tar": lambda files: tarred(files, tarfile.USTAR_FORMAT),
    "GNU tar": lambda files: tarred(files, tarfile.GNU_FORMAT),
    "zip": zipped,
    "deflated zip": lambda files: zipped(files, zipfile.ZIP_DEFLATED),
    "tar.gz": lambda files: gzip.compress(tarred(files)),
    "tar.zst": lambda files: zstandard.compress(tarred(files)),
}


@pytest.mark.parametrize("kind", PACKED)
def test_the_only_checkpoint_is_opened(kind: str) -> None:
    with ptzip.open(PACKED[kind](nemo_files())) as checkpoint:
        assert list(checkpoint) == NAMES
        assert checkpoint["net.bias"].tobytes()
        assert checkpoint.format.startswith("torch.save zip, ")
        assert "model_weights.ckpt in a " in checkpoint.format


@pytest.mark.parametrize("kind", PACKED)
def test_several_checkpoints_are_named_in_front_of_their_tensors(kind: str) -> None:
    with ptzip.open(PACKED[kind](several_files())) as checkpoint:
        assert {name.partition(".pt.")[0] for name in checkpoint} == {"a/last", "a/b/other"}
        assert "a/b/other.pt.net.weight" in checkpoint
        with pytest.raises(ptzip.UnsupportedError, match=r"open one in it as FILE::NAME \(a/last.pt, a/b/other.pt\)"):
            _ = checkpoint.root


@pytest.mark.parametrize("kind", PACKED)
def test_one_of_several_is_opened_by_its_name(kind: str, tmp_path: Path) -> None:
    (tmp_path / "files").write_bytes(PACKED[kind](several_files()))
    with ptzip.open(f"{tmp_path}/files::a/b/other.pt") as checkpoint:
        assert list(checkpoint) == NAMES
        assert checkpoint.content.read(0, checkpoint.content.size) == state_dict()
    with pytest.raises(ptzip.FormatError, match=r"there is no checkpoint b.pt in this .* \(did you mean a/b/other.pt\?\)"):
        ptzip.open(f"{tmp_path}/files::b.pt")
    with pytest.raises(ptzip.FormatError, match=r"there is no checkpoint model in this .*, expected one of a/last.pt"):
        ptzip.open(f"{tmp_path}/files::model")


def test_a_name_behind_a_checkpoint_that_is_no_tar_or_zip_of_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "last.pt").write_bytes(state_dict())
    with pytest.raises(ptzip.UnsupportedError, match=r"not a tar or zip of files, so there is no a.pt in it"):
        ptzip.open(f"{tmp_path}/last.pt::a.pt")


def test_a_file_whose_name_has_the_mark_is_opened_itself(tmp_path: Path) -> None:
    (tmp_path / "a::b.pt").write_bytes(state_dict())
    with ptzip.open(tmp_path / "a::b.pt") as checkpoint:
        assert list(checkpoint) == NAMES


@pytest.mark.parametrize("pack", [tarred, zipped])
def test_files_without_a_checkpoint_are_what_they_were(pack: object) -> None:
    files = {"a.txt": CONFIG, "b.bin": bytes(1000)}
    if pack is tarred:
        with pytest.raises(ptzip.FormatError, match="there is no checkpoint in it"):
            ptzip.open(tarred(files))
    else:
        assert ptzip.open(zipped(files)).format == "zip of another program"


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (sb3_files(), "Stable-Baselines3 zip"),
        ({"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": state_dict()}, "exported program (.pt2)"),
        ({"a.pt": state_dict()}, "zip"),
    ],
)
def test_kinds_of_zips_are_told_apart(files: dict[str, bytes], name: str) -> None:
    with ptzip.open(zipped(files)) as checkpoint:
        assert checkpoint.collection is not None
        assert checkpoint.collection.name == name
        assert bool(checkpoint.collection.only) == (name == "zip")


OTHERS = st.dictionaries(
    st.text(
        st.characters(codec="utf-8", exclude_characters="\0/\\", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=130
    ),
    st.binary(max_size=1500),
    max_size=4,
)


@given(
    OTHERS, st.integers(0, 4), st.sampled_from(["tar", "old tar", "GNU tar", "zip", "deflated zip"]), st.binary(max_size=3000)
)
def test_replacing_one_file_keeps_all_others(others: dict[str, bytes], at: int, kind: str, new: bytes) -> None:
    if kind == "old tar":
        others = {name: data for name, data in others.items() if len(name.encode()) < 100}
    files = list(others.items())
    files.insert(at, ("weights.ckpt", state_dict()))
    data = PACKED[kind](dict(files))
    with Checkpoint(BytesSource(data), is_whole=True) as checkpoint:
        collection = checkpoint.collection
        assert collection is not None
        planned = collection.with_files({"weights.ckpt": BytesSource(new)})
        with tempfile.TemporaryFile() as target:
            planned.write(target.fileno())
            target.seek(0)
            written = target.read()
    assert list(unpacked(written).items()) == [(name, new if name == "weights.ckpt" else old) for name, old in files]
