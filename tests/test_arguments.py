"""Arguments are checked before a file is opened, and an error lists the right values."""

from typing import Any

import pytest

from ptzip.arguments import WeightDtype, byte_count, check_choice, strings


@pytest.mark.parametrize(
    ("size", "count"),
    [(1, 1), ("7", 7), ("5GB", 5 * 10**9), ("1.5 kb", 1500), ("2GiB", 2 << 30), ("3m", 3 * 10**6), ("1T", 10**12)],
)
def test_a_size_is_a_number_of_bytes_or_a_text_with_a_unit(size: int | str, count: int) -> None:
    assert byte_count(size) == count


@pytest.mark.parametrize("size", [0, -1, "0", "", "5 bananas", "GB", "1e9", "0.1B", "9" * 400, 1.5, None])
def test_what_is_not_a_positive_size_is_refused(size: Any) -> None:
    with pytest.raises(ValueError, match="invalid size"):
        byte_count(size)


def test_a_bare_string_is_a_sequence_of_one() -> None:
    assert strings("model.*") == ("model.*",)
    assert strings(["a", "b"]) == ("a", "b")
    assert strings(()) == ()


def test_a_wrong_choice_is_refused_with_the_right_ones() -> None:
    check_choice("dtype", "keep", WeightDtype)
    with pytest.raises(ValueError, match="dtype is 'float8', expected one of auto, float16, bfloat16, keep"):
        check_choice("dtype", "float8", WeightDtype)
