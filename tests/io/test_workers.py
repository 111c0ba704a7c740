"""Workers: all jobs are done, each worker has memory of its own, and the first failure is raised once all have stopped."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ptzip.io import workers
from ptzip.io.buffers import BLOCK, Buffers
from ptzip.io.workers import Workers, cpu_count, share


@pytest.fixture(params=[1, 2, 7])
def count(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(workers, "worker_count", lambda: request.param)
    number: int = request.param
    return number


def test_every_job_is_done_once(count: int) -> None:
    done = list[int]()
    share(lambda job, _: done.append(job), range(1000))
    assert sorted(done) == list(range(1000))


def test_a_worker_keeps_its_memory_and_shares_it_with_nobody(count: int) -> None:
    seen = dict[int, set[int]]()
    share(lambda _, buffers: seen.setdefault(threading.get_ident(), set()).add(id(buffers)), range(500))
    assert all(len(ids) == 1 for ids in seen.values())
    assert len(set().union(*seen.values())) == len(seen) <= count


def test_the_first_failure_is_raised_and_nothing_runs_any_more(count: int) -> None:
    def fail(job: int, _: Buffers) -> None:
        if job >= 20:
            raise ValueError(f"job {job}")

    before = threading.active_count()
    with pytest.raises(ValueError, match=r"job \d+"):
        share(fail, iter(range(10**9)))
    assert threading.active_count() == before


def test_a_failure_of_the_jobs_themselves_is_raised(count: int) -> None:
    def jobs() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        share(lambda job, buffers: None, jobs())


def test_leaving_early_stops_the_threads(count: int) -> None:
    before = threading.active_count()
    with Workers(lambda job, buffers: None, iter(range(10**9))):
        pass
    assert threading.active_count() == before


def test_a_buffer_is_used_again() -> None:
    buffers = Buffers()
    first = buffers.get("read", 100)
    first[:] = b"x" * 100
    assert bytes(buffers.get("read", 50)) == b"x" * 50
    assert len(buffers.get("read", 3 * BLOCK)) == 3 * BLOCK
    assert bytes(buffers.get("other", 10)) == bytes(10)


@pytest.mark.parametrize(
    ("limits", "processors"),
    [
        pytest.param({}, 64, id="none"),
        pytest.param({"cpu.max": "max 100000"}, 64, id="no quota"),
        pytest.param({"cpu.max": "150000 100000"}, 2, id="one and a half"),
        pytest.param({"cpu.max": "max 100000", "a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3, id="of a parent"),
        pytest.param({"a/b/cpu.max": "10000 100000"}, 1, id="a tenth"),
        pytest.param({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64, id="no quota of version 1"),
        pytest.param({"cpu/old/cpu.cfs_quota_us": "250000", "cpu/old/cpu.cfs_period_us": "100000"}, 3, id="version 1"),
        pytest.param({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 1, id="version 1 in a container"),
    ],
)
def test_no_more_processors_are_used_than_the_container_has(
    limits: dict[str, str], processors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in limits.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    (tmp_path / "groups").write_text("4:memory:/c:d\n3:cpu,cpuacct:/old\n0::/a/b\n")
    monkeypatch.setattr(workers, "CGROUP", str(tmp_path))
    monkeypatch.setattr(workers, "OWN_GROUPS", str(tmp_path / "groups"))
    monkeypatch.setattr("os.process_cpu_count", lambda: 64, raising=False)
    assert cpu_count() == processors


def test_a_count_of_processors_is_never_zero() -> None:
    assert cpu_count() >= 1
