"""Several files in several processes: the same bytes, reports and order as one after the other."""

from pathlib import Path

import pytest

from tests.cli.shell import shell
from tests.small_checkpoints import module_records, save, training_records


@pytest.fixture
def files() -> list[Path]:
    """Nine checkpoints, of which the third is broken and the fifth is missing."""
    made = [save(Path(f"{number}.pt"), (module_records if number % 2 else training_records)()) for number in range(9)]
    made[2].write_bytes(b"PK\x03\x04 broken")
    made[4].unlink()
    return made


def test_several_processes_write_and_print_what_one_does(files: list[Path]) -> None:
    runs = {jobs: shell("slim", *files, "-o", f"out{jobs}/", "-j", jobs) for jobs in ("1", "2")}
    one, two = runs.values()
    assert one.code == two.code == 2
    assert two.err == one.err
    assert two.out == one.out.replace("out1", "out2")
    written = {path.name: path.read_bytes() for path in Path("out1").iterdir()}
    assert {path.name: path.read_bytes() for path in Path("out2").iterdir()} == written
    assert len(written) == 7


def test_many_files_are_slimmed_together_unless_asked_otherwise(files: list[Path]) -> None:
    assert shell("slim", *files, "-o", "out/").code == 2
    assert len(list(Path("out").iterdir())) == 7


def test_two_inputs_never_get_one_output() -> None:
    for folder in ("a", "b"):
        Path(folder).mkdir()
    run = shell("slim", save(Path("a/last.pt")), save(Path("b/last.pt")), "-o", "out/", "-j", "2")
    assert run.code == 2
    assert "was written for another input of this run" in run.err
