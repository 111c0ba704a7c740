"""Whatever call fails, and however: the input stays, and the output is whole or not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.sweep import COMPILER, KILLS, KINDS, Case, Faults, Run, cases, faults_in
from tests.small_checkpoints import save

pytestmark = [
    pytest.mark.skipif(not COMPILER, reason="needs Linux and a C compiler, to make system calls fail"),
    pytest.mark.xdist_group("faults"),
]

NAMES = [case.name for case in cases(b"")]
EVERY_KIND = [pytest.param(kind, marks=pytest.mark.posix(kind)) if kind == "SIGHUP" else kind for kind in KINDS]
GIVES_NAME = ("link", "linkat", "rename")
"""What gives a file its name: Python 3.14 calls the second, Windows has the third."""

EVERY = 13
"""Of so many calls one fails in the quick test; a number that shares no factor with the calls of a file."""


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    made = Faults(tmp_path_factory.mktemp("faults"))
    yield made
    made.close()


@pytest.fixture
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    data = save(tmp_path / "in.pt").read_bytes()
    return next(case for case in cases(data) if case.name == request.param)


def broken_promises(faults: Faults, case: Case, kind: str, step: int) -> list[tuple[str, Run]]:
    whole = faults.run(case)
    assert whole.code in (0, 1)
    assert whole.files.keys() > case.there.keys() or case.there != whole.files
    runs = list(faults.sweep(case, kind, step))
    assert runs
    return [(what, run) for run in runs for what in faults_in(run, whole.files)]


@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("case", ["slim -o", "slim -i"], indirect=True)
def test_a_fault_costs_nothing(faults: Faults, case: Case, kind: str) -> None:
    assert broken_promises(faults, case, kind, EVERY) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", EVERY_KIND)
@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_a_fault_of_any_call_costs_nothing(faults: Faults, case: Case, kind: str) -> None:
    assert broken_promises(faults, case, kind, 1) == []


@pytest.mark.posix("folders can be locked")
@pytest.mark.parametrize("kind", sorted(KILLS))
@pytest.mark.parametrize("case", ["slim -o"], indirect=True)
def test_the_next_run_removes_what_a_killed_one_left(faults: Faults, case: Case, kind: str) -> None:
    left = next(run for run in faults.sweep(case, kind) if run.temporary)
    assert left.files.keys() == case.there.keys()
    assert faults.run(case, keep=True).temporary == 0


@pytest.mark.parametrize("case", ["slim -o .zst"], indirect=True)
def test_a_read_of_nothing_is_no_end_of_the_file(faults: Faults, case: Case) -> None:
    assert broken_promises(faults, case, "zero", 1) == []


@pytest.mark.parametrize("case", ["convert to shards"], indirect=True)
def test_shards_get_their_names_together(faults: Faults, case: Case) -> None:
    whole = faults.run(case)
    links = [run for run in faults.sweep(case, "SIGTERM") if run.call in GIVES_NAME]
    assert len(links) == len(whole.files) - 1 > 3
    assert [run.files for run in links] == [case.there] * len(links)
