"""Clusters of dask: the same results as one process gives, also where workers die; and what a client refuses."""

import sys
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from ptzip.cli.batch.one_file import run_task
from ptzip.cli.batch.pool import NO_BOUNDS, Bounds
from ptzip.cli.batch.task import Task
from ptzip.errors import EditError
from tests.cli.shell import ptzip, shell
from tests.small_checkpoints import save

FILES = 12


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Checkpoints of which the third is broken and the fifth is missing, by absolute paths."""
    monkeypatch.chdir(tmp_path)
    made = [save(tmp_path / f"{number}.pt") for number in range(FILES)]
    made[2].write_bytes(b"PK\x03\x04 broken")
    made[4].unlink()
    return made


@pytest.mark.dask
@pytest.mark.parametrize("command", ["scan", "slim -n --json"])
def test_a_local_cluster_prints_what_one_process_does(command: str, files: list[Path]) -> None:
    runs = [shell(*command.split(), *files, *flags) for flags in (["-j", "1"], ["--scheduler", "local", "-j", "2"])]
    assert (runs[0].code, runs[0].out) == (runs[1].code, runs[1].out)


@pytest.mark.dask
def test_bounds_hold_on_a_cluster(files: list[Path]) -> None:
    one, other = (shell("scan", *files, "--timeout", "60", *flags) for flags in ([], ["--scheduler", "local", "-j", "2"]))
    assert (one.code, one.out) == (other.code, other.out)


@pytest.mark.dask
def test_a_worker_of_another_version_is_an_error_that_names_both() -> None:
    from ptzip.cli.batch import cluster

    with mock.patch("ptzip.__version__", "0.0.9"):
        assert cluster.run_together("9.9.9", [{"of": "another version"}], None, None) == ("0.0.9", [])
    future = mock.Mock(exception=lambda: None, result=lambda: ("0.0.9", []))
    with mock.patch.object(cluster, "_has_memory", return_value=False):
        run = cluster._Run(mock.Mock(), [], NO_BOUNDS)
    with pytest.raises(EditError, match=r"a worker has ptzip 0\.0\.9, but this is"):
        run._taken(future, [0])


@pytest.mark.dask
def test_of_files_that_kill_every_worker_only_those_are_lost(files: list[Path]) -> None:
    """A stand-in for a cluster, since a real one takes half a minute to give a task up."""
    from concurrent.futures import Future as Local

    from ptzip.cli.batch import cluster

    class KilledWorker(Exception):
        pass

    def submit(work: object, version: str, tasks: list[dict[str, object]], *_: object, **__: object) -> "Local[object]":
        future = Local[object]()
        if any(str(task["path"]).endswith("/7.pt") for task in tasks):
            future.set_exception(KilledWorker())
        else:
            future.set_result(cluster.run_together(version, tasks, None, None))
        return future

    class Ended(list["Local[object]"]):
        update = list.extend

    client = mock.Mock(submit=submit, nthreads=lambda: {"one": 1})
    tasks = [Task("verify", str(path), {}, {}) for path in files]
    with mock.patch.object(cluster, "ROUNDS", 3), mock.patch("distributed.as_completed", Ended):
        found = dict(cluster._Run(client, tasks, NO_BOUNDS).results())
    assert sorted(found) == list(range(FILES))
    assert [number for number, result in found.items() if result.outcome == "killed"] == [7]
    assert found[7].error == "every worker that read it died"


@pytest.mark.dask
def test_a_task_that_is_done_twice_writes_its_output_twice_but_overwrites_no_other(files: list[Path]) -> None:
    from ptzip.cli.batch.cluster import _repeatable

    options: dict[str, Any] = {"overwrite": False, "dry_run": False, "output": None, "limits": {}, "sync": False}
    task = _repeatable(Task("slim", str(files[0]), options, {}))
    assert [run_task(task).outcome for _ in range(2)] == ["slimmed", "slimmed"]
    again = run_task(_repeatable(Task("slim", str(files[0]), options, {})))
    assert again.error == f"{files[0].with_suffix('.slim.pt')} already exists (use -f to overwrite)"


@pytest.mark.dask
def test_only_absolute_paths_go_to_other_machines() -> None:
    from ptzip.cli.batch.cluster import cluster_results

    with pytest.raises(EditError, match=r"0\.pt is relative"):
        next(cluster_results([Task("scan", "0.pt", {}, {})], "tcp://127.0.0.1:1", 1, Bounds()))


def test_without_dask_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    run = ptzip("scan", "0.pt", "1.pt", "--scheduler", "local")
    assert run.code == 2
    assert run.err == "ptzip: error: --scheduler needs dask.distributed: pip install 'ptzip[dask]'\n"
