"""Tars and zips of files: their checkpoints are slimmed, and every other file keeps its bytes."""

import gzip
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

import ptzip
from tests.cli.shell import ptzip as run
from tests.corpus import CORPUS, needs_corpus
from tests.files_of_checkpoints import nemo_files, optimizer, sb3_files, several_files, state_dict, tarred, unpacked, zipped


def slim(tmp_path: Path, data: bytes, name: str, **options: Any) -> tuple[ptzip.SlimReport, dict[str, bytes]]:
    (tmp_path / name).write_bytes(data)
    report = ptzip.slim(tmp_path / name, tmp_path / "out", **options)
    return report, unpacked((tmp_path / "out").read_bytes()) if report.output else {}


def dtypes(data: bytes) -> set[str]:
    with ptzip.open(data) as checkpoint:
        return {tensor.dtype for tensor in checkpoint.values()}


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_the_weights_in_a_tar_are_cast(kind: int, tmp_path: Path) -> None:
    report, files = slim(tmp_path, tarred(nemo_files(), kind), "a.nemo", check=True)
    assert dtypes(files["./model_weights.ckpt"]) == {"float16"}
    assert files["./model_config.yaml"] == nemo_files()["./model_config.yaml"]
    assert report.check is not None
    assert report.check.tensors == 2
    assert (report.old_size, report.new_size) == tuple((tmp_path / name).stat().st_size for name in ("a.nemo", "out"))


def test_inspect_says_what_slim_saves_of_a_tar(tmp_path: Path) -> None:
    report, _ = slim(tmp_path, tarred(nemo_files()), "a.nemo", dry_run=True)
    assert report.old_size - report.new_size == ptzip.inspect(tmp_path / "a.nemo").slimming.saved


def test_the_headers_of_a_tar_stay_but_for_the_size(tmp_path: Path) -> None:
    slim(tmp_path, tarred(nemo_files()), "a.nemo")
    with tarfile.open(tmp_path / "a.nemo") as old, tarfile.open(tmp_path / "out") as new:
        for before, after in zip(old, new, strict=True):
            assert (before.name, before.mode, before.mtime, before.type) == (after.name, after.mode, after.mtime, after.type)


def test_a_checkpoint_in_a_tar_is_slimmed_as_one_beside_it(tmp_path: Path) -> None:
    _, files = slim(tmp_path, tarred(nemo_files()), "a.nemo")
    ptzip.slim(state_dict(), tmp_path / "alone.pt")
    assert files["./model_weights.ckpt"] == (tmp_path / "alone.pt").read_bytes()


def test_a_packed_tar_is_slimmed_unpacked_or_as_zstd(tmp_path: Path) -> None:
    _, files = slim(tmp_path, gzip.compress(tarred(nemo_files())), "a.tar.gz")
    (tmp_path / "b.tar").write_bytes(tarred(nemo_files()))
    ptzip.slim(tmp_path / "b.tar", tmp_path / "b.tar.zst")
    with ptzip.open(tmp_path / "b.tar.zst") as checkpoint:
        assert "in a tar in zstd" in checkpoint.format
        assert checkpoint.content.read(0, checkpoint.content.size) == files["./model_weights.ckpt"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_every_checkpoint_of_several_is_slimmed(method: int, tmp_path: Path) -> None:
    report, files = slim(tmp_path, zipped(several_files(), method), "a.zip")
    assert dtypes(files["a/last.pt"]) == {"float16", "int64"}
    assert dtypes(files["a/b/other.pt"]) == {"float16"}
    assert {name: files[name] for name in ("config.json", "z.txt")} == {
        name: several_files()[name] for name in ("config.json", "z.txt")
    }
    assert {"a/last.pt.optimizer", "a/b/other.pt"} <= {change.path for change in report.changes}
    assert report.new_size == (tmp_path / "out").stat().st_size
    assert any("larger than the input" in note for note in report.notes) == (report.new_size > report.old_size)


def test_a_zip_of_stable_baselines_keeps_the_keys_of_its_optimizers(tmp_path: Path) -> None:
    report, files = slim(tmp_path, zipped(sb3_files()), "a.zip")
    assert report.recipe == "sb3"
    assert list(files) == list(sb3_files())
    changed = {name for name in files if files[name] != sb3_files()[name]}
    assert changed == {"policy.pth", "policy.optimizer.pth"}
    assert dtypes(files["policy.pth"]) == {"float16"}
    assert ptzip.load(files["policy.optimizer.pth"]) == {"state": {}, "param_groups": [{"lr": 0.01, "params": [0]}]}
    assert any(note.startswith("pytorch_variables.pth: ") for note in report.notes)


def test_a_zip_of_stable_baselines_is_slim_once(tmp_path: Path) -> None:
    slim(tmp_path, zipped(sb3_files()), "a.zip")
    report = ptzip.slim(tmp_path / "out", tmp_path / "again")
    assert report.already_slim
    assert (tmp_path / "again").read_bytes() == (tmp_path / "out").read_bytes()


@pytest.mark.torch
def test_torch_loads_what_stable_baselines_asks_for(tmp_path: Path) -> None:
    import io

    import torch

    _, files = slim(tmp_path, zipped(sb3_files()), "a.zip")
    linear = torch.nn.Linear(1024, 1)
    adam = torch.optim.Adam([linear.weight])
    adam.load_state_dict(torch.load(io.BytesIO(files["policy.optimizer.pth"]), weights_only=True))
    assert adam.state_dict()["state"] == {}
    old, new = (torch.load(io.BytesIO(data["policy.pth"]), weights_only=True) for data in (sb3_files(), files))
    assert all(torch.equal(old[name], new[name].float()) for name in old)


@needs_corpus
def test_a_real_zip_of_stable_baselines_loses_more_than_half(tmp_path: Path) -> None:
    report = ptzip.slim(CORPUS / "frameworks" / "sb3" / "ppo.zip", tmp_path / "out.zip", check=True)
    assert report.new_size < report.old_size / 2
    assert ptzip.verify(tmp_path / "out.zip").ok


def test_a_checkpoint_that_cannot_be_slimmed_keeps_its_bytes(tmp_path: Path) -> None:
    files = {"model.pt": state_dict(), "optimizer.pt": optimizer()}
    report, after = slim(tmp_path, tarred(files), "a.tar")
    assert after["optimizer.pt"] == files["optimizer.pt"]
    assert any(note.startswith("optimizer.pt: it stays as it is: this file holds the state of") for note in report.notes)


def test_where_none_can_be_slimmed_the_reason_is_that_of_the_first(tmp_path: Path) -> None:
    with pytest.raises(ptzip.EditError, match="the state of an optimizer and no weights"):
        slim(tmp_path, tarred({"optimizer.pt": optimizer()}), "a.tar")
    assert not (tmp_path / "out").exists()


def test_an_exported_program_is_refused(tmp_path: Path) -> None:
    files = {"serialized_exported_program.json": b"{}", "serialized_state_dict.pt": state_dict(), "version": b"5.3"}
    with pytest.raises(ptzip.UnsupportedError, match="whose graph fixes the dtypes"):
        slim(tmp_path, zipped(files), "a.pt2")


def test_a_dry_run_says_what_a_run_does_and_writes_nothing(tmp_path: Path) -> None:
    planned, _ = slim(tmp_path, tarred(several_files()), "a.tar", dry_run=True)
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    done, _ = slim(tmp_path, tarred(several_files()), "a.tar")
    assert (planned.changes, planned.saved) == (done.changes, done.saved)
    assert abs(planned.new_size - done.new_size) < 1024  # each file in a tar is padded


def test_a_damaged_checkpoint_is_named_and_nothing_is_left_behind(tmp_path: Path) -> None:
    broken = state_dict().replace(b"net.weight", b"net.weig\xff\xff", 1)
    with pytest.raises(ptzip.FormatError, match=r"^broken\.pt: "):
        slim(tmp_path, tarred({"a.pt": state_dict(), "broken.pt": broken}), "a.tar")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_one_checkpoint_is_taken_out_slimmed(tmp_path: Path) -> None:
    (tmp_path / "a.nemo").write_bytes(tarred(nemo_files()))
    (tmp_path / "alone.pt").write_bytes(state_dict())
    assert run("slim", f"{tmp_path}/a.nemo::model_weights.ckpt").code == 0
    ptzip.slim(tmp_path / "alone.pt", tmp_path / "slim.pt")
    assert (tmp_path / "model_weights.slim.ckpt").read_bytes() == (tmp_path / "slim.pt").read_bytes()


def test_in_place_the_whole_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.nemo").write_bytes(tarred(nemo_files()))
    refused = run("slim", "-i", f"{tmp_path}/a.nemo::model_weights.ckpt")
    assert refused.code == 2
    assert "only whole files are overwritten" in refused.err
    assert run("slim", "-i", tmp_path / "a.nemo").code == 0
    assert dtypes((tmp_path / "a.nemo").read_bytes()) == {"float16"}
    assert [path.name for path in tmp_path.iterdir()] == ["a.nemo"]


@pytest.mark.parametrize("suffix", [".pt", ".ckpt", ".safetensors", ".npz", ".pt.zst"])
def test_a_tar_is_not_written_under_the_name_of_a_checkpoint(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "model.nemo").write_bytes(tarred(nemo_files()))
    with pytest.raises(ptzip.EditError, match=rf"the output would be a tar, which .*{suffix} does not say: FILE::NAME is one"):
        ptzip.slim(tmp_path / "model.nemo", tmp_path / f"out{suffix}")
    assert not (tmp_path / f"out{suffix}").exists()


def test_a_tar_may_keep_the_suffix_that_it_has(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(tarred(nemo_files()))
    assert ptzip.slim(tmp_path / "model.ckpt").output == str(tmp_path / "model.slim.ckpt")
