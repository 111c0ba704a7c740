"""The same input and the same options give the same bytes, whoever else is at work.

Every comparison is of whole files.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ptzip
from ptzip.errors import ChangedError
from ptzip.io import workers as pool
from tests.cli.shell import shell
from tests.small_checkpoints import Records, module_records, save, training_records

LARGE = 6 << 20
"""The numbers of a weight that several workers write at once: as float16 12 MiB, which are two stripes."""

SAMPLES: dict[str, Callable[[], Records]] = {
    "dict": training_records,
    "module": module_records,
    "large": lambda: training_records(count=LARGE),
}


def slimmed(source: Path, target: str = "slim.pt", **options: str) -> bytes:
    ptzip.slim(source, target, overwrite=True, **options)  # type: ignore[arg-type]
    return Path(target).read_bytes()


@pytest.mark.parametrize("sample", SAMPLES)
def test_twice_the_same_input_gives_twice_the_same_bytes(sample: str) -> None:
    source = save(Path("last.pt"), SAMPLES[sample]())
    assert slimmed(source) == slimmed(source)


@pytest.mark.parametrize("options", [{"dtype": "keep"}, {"recipe": "basic"}, {"location": "keep"}])
def test_twice_the_same_options_give_twice_the_same_bytes(options: dict[str, str]) -> None:
    source = save(Path("last.pt"), module_records())
    assert slimmed(source, **options) == slimmed(source, **options)


def test_neither_the_name_nor_the_time_nor_the_place_of_a_file_is_in_the_output() -> None:
    source = save(Path("last.pt"))
    expected = slimmed(source)
    Path("else").mkdir()
    other = source.rename("else/best.pt")
    os.utime(other, (1, 1))
    assert slimmed(other, "else/small.bin") == expected


def test_in_place_gives_the_same_bytes_as_beside() -> None:
    source = save(Path("last.pt"))
    expected = slimmed(source)
    assert slimmed(source, "last.pt") == expected


def test_a_process_of_its_own_gives_the_same_bytes() -> None:
    source = save(Path("last.pt"), module_records())
    assert shell("slim", source, "-o", "process.pt", PYTHONHASHSEED="7").code == 0
    assert Path("process.pt").read_bytes() == slimmed(source)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_the_number_of_workers_changes_nothing(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = save(Path("last.pt"), training_records(count=LARGE))
    expected = slimmed(source)
    monkeypatch.setattr(pool, "worker_count", lambda: workers)
    assert slimmed(source) == expected


def test_two_threads_with_two_files_give_the_bytes_of_one_after_the_other() -> None:
    sources = [save(Path(f"{name}.pt"), make()) for name, make in SAMPLES.items()] * 3
    expected = [slimmed(source) for source in sources]
    targets = [f"{number}.slim.pt" for number in range(len(sources))]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(slimmed, sources, targets))
    assert done == expected


def test_two_threads_with_one_file_and_one_output_leave_a_whole_one() -> None:
    source = save(Path("last.pt"), module_records())
    expected = slimmed(source)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(slimmed, [source] * 20, ["same.pt"] * 20))
    assert Path("same.pt").read_bytes() == expected
    assert {path.name for path in Path().iterdir()} == {"last.pt", "slim.pt", "same.pt"}


def test_two_threads_in_place_on_one_file_leave_a_whole_one() -> None:
    source = save(Path("last.pt"), module_records())
    before, expected = source.read_bytes(), slimmed(source)
    for _ in range(10):
        source.write_bytes(before)
        with ThreadPoolExecutor(2) as pool:
            done = [pool.submit(ptzip.slim, source, source, overwrite=True) for _ in range(2)]
        assert {type(one.exception()) for one in done} <= {type(None), ChangedError}  # the second reads what the first replaces
        assert None in [one.exception() for one in done]
        assert source.read_bytes() == expected


@pytest.mark.posix("a file can be replaced while it is open")
def test_an_open_checkpoint_still_reads_the_old_file_when_it_is_replaced() -> None:
    source = save(Path("last.pt"))
    before = source.read_bytes()
    with ptzip.open(source) as checkpoint:
        ptzip.slim(source, source, overwrite=True)
        checkpoint.save("copy.pt")
    assert Path("copy.pt").read_bytes() == before
    assert source.read_bytes() != before
