"""Names that are chosen by globs and given other beginnings."""

import pytest

from ptzip.globs import Patterns, Rename, renamed, renames


def test_a_glob_matches_dots_too() -> None:
    found = Patterns(["model.*.weight", "nothing"])
    assert [found.match(name) for name in ("model.0.weight", "model.0.conv.weight", "model.0.bias")] == [True, True, False]
    assert found.unused == {"nothing"}


@pytest.mark.parametrize(
    ("name", "old", "new", "expected"),
    [
        ("model.0.weight", "model", "net", "net.0.weight"),
        ("model.0.weight", "model.", "net.", "net.0.weight"),
        ("model.0.weight", "model", "", "0.weight"),
        ("model.0.weight", "model.0", "", "weight"),
        ("model_ema.0.weight", "model", "net", "model_ema.0.weight"),
        ("model", "model", "net", "net"),
        ("model.0.weight", "", "net", "net.model.0.weight"),
        ("", "", "net", "net"),
    ],
)
def test_a_beginning_is_whole_parts_of_a_name(name: str, old: str, new: str, expected: str) -> None:
    assert renamed(name, renames({old: new})) == expected


def test_the_first_rule_that_fits_counts() -> None:
    assert renamed("a.b", [Rename("a", "b"), Rename("b", "c")]) == "b.b"
