"""Whatever a real loader resolves in a file, `scan` lists or objects to; and no file makes it crash, or costs much.

The inputs are functions of seeds, the same in every run. `python -m tests.bench.fuzzing` tries more of them.
"""

import time
from collections.abc import Iterable, Iterator

import pytest

from tests.fuzz.differences import Difference, Totals, differences, shortest
from tests.fuzz.inputs import made
from tests.fuzz.loaders import NEEDS
from tests.fuzz.regressions import REGRESSIONS
from tests.fuzz.sandbox import Sandbox, sandbox
from tests.fuzz.target import opened

FEW, MANY, FIRST_OF_MANY = 2_000, 20_000, 1_000_000
MOST_SECONDS = 60
MOST_CPU = 2
"""Seconds of processor time of one scan."""

MOST_MEMORY = 256
"""MiB."""


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with sandbox() as opened_box:
        yield opened_box


def check(inputs: Iterable[bytes], box: Sandbox) -> Totals:
    totals = Totals()
    for found in differences(inputs, box, totals):
        pytest.fail(described(found, box))
    assert totals.slowest < MOST_CPU, totals.slowest_input
    assert totals.memory < MOST_MEMORY
    return totals


def described(found: Difference, box: Sandbox) -> str:
    """A short input with the same fault, and what resolves what."""
    short = shortest(found, box)
    return f"{found.kind}, which the scan does not say; the loaders resolve {box.resolved([short])[0]} in {short!r}"


@pytest.mark.parametrize("library", NEEDS)
def test_every_library_is_compared(library: str, box: Sandbox) -> None:
    if not any(loader.startswith(library) for loader in box.loaders):
        pytest.skip(f"{library} is not installed, so its loaders are not compared")


def test_what_was_different_once_is_no_more(box: Sandbox) -> None:
    check(REGRESSIONS, box)


def test_whatever_a_loader_resolves_is_listed_or_objected_to(box: Sandbox) -> None:
    totals = check(map(made, range(FEW)), box)
    assert totals.resolving > FEW / 5
    assert totals.verdicts["clean"] > FEW / 20


@pytest.mark.slow
def test_whatever_a_loader_resolves_in_many_files_is_listed_or_objected_to(box: Sandbox) -> None:
    started = time.monotonic()

    def until_late() -> Iterator[bytes]:
        for seed in range(FIRST_OF_MANY, FIRST_OF_MANY + 10 * MANY):
            if time.monotonic() - started > MOST_SECONDS:
                return
            yield made(seed)

    check(until_late(), box)


@pytest.mark.slow
def test_opening_any_bytes_raises_only_errors_of_ptzip() -> None:
    for seed in range(MANY):
        opened(made(seed))
