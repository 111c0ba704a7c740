"""No output is larger than its input unless the report says why, and what shared a storage still shares one."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import ptzip
from tests import corpus

FILES = [
    *corpus.parameters("format", "frameworks", "real"),
    *(pytest.param(path, id=str(path.relative_to(corpus.FIXTURES))) for path in sorted(corpus.FIXTURES.rglob("*.pt"))),
]


@pytest.mark.parametrize("options", [{}, {"plain": True}, {"format": "legacy"}, {"dtype": "bfloat16"}], ids=str)
@pytest.mark.parametrize("path", FILES)
def test_a_slim_file_is_smaller_or_the_report_says_why(path: Path, options: Any, tmp_path: Path) -> None:
    try:
        report = ptzip.slim(path, tmp_path / "out.pt", **options)
    except ptzip.PtzipError as error:
        pytest.skip(str(error))
    if report.already_slim:
        assert path.suffix == ".gz" or (tmp_path / "out.pt").read_bytes() == path.read_bytes()
    elif (tmp_path / "out.pt").stat().st_size >= path.stat().st_size:
        assert any(note.startswith("not smaller than the input: ") for note in report.notes)


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pt"])
@pytest.mark.parametrize("path", FILES)
def test_a_converted_file_is_no_larger_or_the_report_says_why(path: Path, suffix: str, tmp_path: Path) -> None:
    try:
        report = ptzip.convert(path, tmp_path / f"out.{suffix}")
    except ptzip.PtzipError as error:
        pytest.skip(str(error))
    assert bool(report.larger) == (report.size > path.stat().st_size)


def sharing(names: Mapping[str, ptzip.Tensor]) -> dict[str, set[str]]:
    """The names of the tensors on each storage."""
    found = defaultdict[str, set[str]](set)
    for name, tensor in names.items():
        if tensor.storage is not None:
            found[tensor.storage.key].add(name)
    return found


@pytest.mark.parametrize("path", FILES)
def test_what_shared_a_storage_still_shares_one(path: Path, tmp_path: Path) -> None:
    try:
        report = ptzip.slim(path, tmp_path / "out.pt", recipe="generic")
    except ptzip.PtzipError as error:
        pytest.skip(str(error))
    if report.already_slim:
        return
    with ptzip.open(path) as before, ptzip.open(tmp_path / "out.pt") as after:
        new = sharing(after)
        for names in sharing(before).values():
            remaining = names & after.keys()
            assert not remaining or any(remaining <= together for together in new.values())
