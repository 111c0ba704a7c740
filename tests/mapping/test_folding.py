"""Folding a map: what is hidden follows the pattern of what is shown, and nothing unusual is hidden."""

from hypothesis import given
from hypothesis import strategies as st

from ptzip.mapping.folding import FOLDED_FROM, Fold, folded
from ptzip.mapping.parts import FilePart


def laid_out(rows: list[tuple[str, str, str]]) -> list[FilePart]:
    """Parts of 10 bytes each, of which kind, owner and remark are given."""
    return [FilePart(10 * index, 10, *row) for index, row in enumerate(rows)]


def groups(count: int, remark: str = "") -> list[tuple[str, str, str]]:
    return [
        (kind, f"data/{index}", remark) for index in range(count) for kind in ("local header", "storage", "data descriptor")
    ]


def test_groups_of_the_same_pattern_are_one_row_after_the_first() -> None:
    rows = list(folded(laid_out(groups(20))))
    assert rows[:3] == laid_out(groups(1))
    assert rows[3:] == [Fold(30, 570, ("local header", "storage", "data descriptor"), 19, "data/1", "data/19")]


def test_few_groups_are_shown() -> None:
    parts = laid_out(groups(FOLDED_FROM - 1))
    assert list(folded(parts)) == parts


def test_a_part_with_a_remark_is_always_shown() -> None:
    parts = laid_out([*groups(10), *groups(1, "odd"), *groups(10)])
    assert [row for row in folded(parts) if isinstance(row, FilePart) and row.remark] == parts[30:33]


def test_a_pattern_begins_where_its_owner_does() -> None:
    parts = laid_out([("data descriptor", "version", ""), *groups(10)])
    assert list(folded(parts))[:2] == parts[:2]


row = st.tuples(st.sampled_from(("a", "b")), st.sampled_from(("x", "y")), st.sampled_from(("", "", "", "odd")))


@given(st.lists(row, max_size=60))
def test_the_lengths_still_add_up(rows: list[tuple[str, str, str]]) -> None:
    parts = laid_out(rows)
    shown = list(folded(parts))
    assert [one.offset for one in shown] == [sum(one.length for one in shown[:index]) for index in range(len(shown))]
    assert sum(one.length for one in shown) == 10 * len(parts)
    assert sum(len(one.kinds) * one.times if isinstance(one, Fold) else 1 for one in shown) == len(parts)
