"""Tars and zips of files, and zips in a row: damage is named with the checkpoint that has it, and cut files are called cut."""

import gzip
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import ptzip
from tests.files_of_checkpoints import nemo_files, sb3_files, several_files, state_dict, tarred, zipped
from tests.small_checkpoints import archive, training_records

PACKED: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {"tar": tarred, "zip": zipped}


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("files", [nemo_files(), several_files()], ids=["one", "several"])
def test_intact_files_are_intact(kind: str, files: dict[str, bytes]) -> None:
    report = ptzip.verify(PACKED[kind](files))
    assert report.ok
    assert report.records >= 8


def test_a_packed_tar_is_verified_with_what_is_in_it() -> None:
    report = ptzip.verify(gzip.compress(tarred(nemo_files())))
    assert report.ok
    assert report.format == "torch.save zip, model_weights.ckpt in a tar"


@pytest.mark.parametrize("kind", PACKED)
def test_a_flipped_bit_is_found_in_the_checkpoint_that_has_it(kind: str) -> None:
    data = bytearray(PACKED[kind](several_files()))
    data[data.index(state_dict()) + state_dict().index(b"data/0") + 200] ^= 1
    report = ptzip.verify(bytes(data))
    assert any(problem.place.startswith("a/b/other.pt::") and problem.kind == "data" for problem in report.problems)
    assert not any(problem.place.startswith("a/last.pt") for problem in report.problems)


def test_one_checkpoint_is_verified_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zipped(sb3_files()))
    assert ptzip.verify(f"{tmp_path}/a.zip::policy.pth").loading is not None


@pytest.mark.parametrize("kind", PACKED)
def test_a_file_that_was_cut_off_is_called_so_wherever_it_ends(kind: str) -> None:
    data = PACKED[kind](sb3_files())
    last = data.rindex(b"- OS: any")
    for end in range(600, last, max(last // 60, 1)):
        report = ptzip.verify(data[:end])
        assert [problem.kind for problem in report.problems][:1] == ["cut"], end
        assert "DCP" not in report.format


def test_a_zip_that_was_cut_off_is_no_shard_for_other_commands() -> None:
    whole = zipped(sb3_files())
    end = whole.index(b"policy.optimizer.pth") + 40
    with pytest.raises(ptzip.FormatError, match="cut off"):
        ptzip.open(whole[:end])


@pytest.mark.parametrize("count", [2, 3])
def test_checkpoints_end_to_end_are_no_shard(count: int) -> None:
    data = b"".join(archive(training_records(64 * number)) for number in range(1, count + 1))
    report = ptzip.verify(data)
    assert [problem.kind for problem in report.problems] == ["layout"]
    assert f"{count} files of torch.save in a row" in report.problems[0].message
    assert report.problems[0].offset == len(archive(training_records(64)))
    with pytest.raises(ptzip.UnsupportedError, match="cut the file at byte"):
        ptzip.slim(data, "never")


def test_names_of_tensors_in_a_row_say_which_zip_has_them() -> None:
    with ptzip.open(state_dict() + state_dict()) as checkpoint:
        assert list(checkpoint) == ["zip 1.net.weight", "zip 1.net.bias", "zip 2.net.weight", "zip 2.net.bias"]
