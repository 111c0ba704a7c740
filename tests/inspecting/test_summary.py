"""The names that a loader would import, those to be looked at first in front."""

from pathlib import Path

import pytest

import ptzip
from ptzip.checkpoint import Checkpoint
from ptzip.inspecting.report import ImportedName
from ptzip.inspecting.summary import imported_names
from ptzip.io.sources import BytesSource
from tests.small_checkpoints import Saving, archive, called, training_records, weights


def names(data: bytes) -> tuple[ImportedName, ...]:
    with Checkpoint(BytesSource(data)) as checkpoint:
        return imported_names(checkpoint.parts)


def test_a_plain_checkpoint_imports_nothing_but_the_harmless() -> None:
    assert all(name.is_harmless for name in names(archive(training_records())))


def test_names_of_python_itself_come_first_and_the_harmless_last() -> None:
    saving = Saving()
    evil = called("posix", "system", saving.node(("true",)))
    root = saving.node({"model": saving.module("models.Net", {"weight": weights(4)}), "evil": evil})
    found = names(archive(saving.records(root)))
    assert [name.path for name in found[:2]] == ["posix.system", "models.Net"]
    assert found[0] == ImportedName("posix.system", 1, is_called=True, is_harmless=False)
    assert all(name.is_harmless for name in found[2:])


def test_a_name_that_is_thrown_away_is_listed_too() -> None:
    assert [name.path for name in names(b"\x80\x02cposix\nsystem\n0N.")] == ["posix.system"]


@pytest.mark.parametrize("path", ["builtins.eval", "builtins.getattr", "torch.load", "models.Net", "os.system"])
def test_what_is_not_on_the_allow_list_is_not_harmless(path: str) -> None:
    module, _, name = path.rpartition(".")
    (found,) = names(f"c{module}\n{name}\n.".encode())
    assert not found.is_harmless


@pytest.mark.parametrize("count", [4, 16, 64, 256, 1024])
def test_the_forecast_says_slim_already_where_slim_does(count: int, tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    path.write_bytes(archive(training_records(count)))
    ptzip.slim(path, tmp_path / "legacy.pt", dtype="keep", keep="*", set_values={"epoch": 1}, format="legacy")
    for source in (path, tmp_path / "legacy.pt"):
        report = ptzip.slim(source, dry_run=True)
        assert (ptzip.inspect(source).slimming.refusal == "already slim") == (report.new_size == report.old_size)
