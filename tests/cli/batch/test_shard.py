"""Parts of many files: each file is in exactly one, on every machine the same, and the parts are about equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.cli.batch.shard import Shard, shard


@given(st.text(), st.integers(1, 50))
def test_a_path_is_in_exactly_one_part(path: str, parts: int) -> None:
    assert sum(Shard(number, parts).has(path) for number in range(1, parts + 1)) == 1


def test_the_part_of_a_path_never_changes() -> None:
    assert Shard(6, 10).has("a.pt")
    assert Shard(3, 10).has("runs/last.pt")
    assert all(Shard(number, 7).has("runs\\last.pt") == Shard(number, 7).has("runs/last.pt") for number in range(1, 8))


def test_parts_are_about_equal() -> None:
    sizes = [sum(Shard(number, 4).has(f"runs/{one}.pt") for one in range(4000)) for number in range(1, 5)]
    assert sum(sizes) == 4000
    assert all(900 < size < 1100 for size in sizes)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "1/0", "a/b", "-1/4", "1/4/2", "", "\N{ARABIC-INDIC DIGIT ONE}/4"])
def test_what_is_no_part_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="expected I/N"):
        shard(text)
