"""The small words of the views: what comes out of a file can neither break a line nor fill a screen."""

import unicodedata

import pytest

from ptzip.inspecting.torch_versions import LEGACY_FLAG, Versions
from ptzip.render.words import WIDTH, count, cut, filled, fitted, printable, releases, share, table, value
from ptzip.text import as_json


def test_a_text_of_a_file_cannot_break_a_line() -> None:
    assert cut("a\nb\x1b[31m") == "a\\nb\\x1b[31m"
    assert value("a\nb") == "'a\\nb'"


def test_a_long_text_is_cut_and_tells_its_length() -> None:
    assert len(cut("x" * 1000)) == 60
    assert cut("\n" * 59, 60) == ("\\n" * 30)[:57] + "..."
    assert value("x" * 1000).endswith("... (1,000 characters)")
    assert value(b"x" * 1000).endswith("... (1,000 bytes)")


def test_a_number_of_a_million_bits_is_not_spelled() -> None:
    assert value(1 << 1_000_000) == "a number of 1,000,001 bits"
    assert value((1 << 1_000_000,)) == "(a number of 1,000,001 bits,)"
    assert value([[1 << 20], (1, "a")]) == "[[1048576], (1, 'a')]"
    assert as_json(1 << 1_000_000) == hex(1 << 1_000_000)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (Versions(), ""),
        (Versions((1, 6), (1, 6)), "torch 1.6"),
        (Versions((2, 7), None), "torch 2.7 or later"),
        (Versions((1, 7), (2, 0)), "torch 1.7 to 2.0"),
        (Versions(None, (1, 8)), "torch up to 1.8"),
        (Versions((0, 4), (1, 5), otherwise=LEGACY_FLAG), f"torch 0.4 to 1.5 (or later, with {LEGACY_FLAG})"),
        (Versions((2, 1), None, otherwise=LEGACY_FLAG), f"torch 2.1 or later, with {LEGACY_FLAG}"),
    ],
)
def test_a_range_of_releases_is_told_in_words(found: Versions, words: str) -> None:
    assert releases(found) == words


def test_counts_have_their_plural() -> None:
    assert (count(1, "tensor"), count(2000, "tensor"), count(0, "key")) == ("1 tensor", "2,000 tensors", "0 keys")


def test_shares_are_of_a_hundred() -> None:
    assert (share(1, 3), share(0, 5), share(1, 0)) == ("33.3 %", "0.0 %", "")


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    rows: list[tuple[str, ...]] = [("a", "10"), ("long", "5"), ("b", "")]
    assert list(table(rows, right=frozenset({1}))) == ["  a     10", "  long   5", "  b"]


def test_words_go_on_below_where_they_began() -> None:
    lines = list(filled([f"word{index}" for index in range(40)], "  label  "))
    assert max(map(len, lines)) <= WIDTH + 1
    assert lines[0].startswith("  label  word0, word1")
    assert all(line.startswith(" " * 9 + "word") for line in lines[1:])
    assert "".join(line.strip() + " " for line in lines).count("word") == 40
    assert list(filled([], "  label  ")) == []


def test_json_has_what_python_spells_where_it_has_no_such_value() -> None:
    assert as_json([1, float("nan"), float("-inf"), b"\xff", (None, True), 1j]) == [
        1,
        "nan",
        "-inf",
        "\xff",
        [None, True],
        "1j",
    ]


@pytest.mark.parametrize("text", ["", "last.pt", "my run/größe-最後.pt", "a\\nb", "100 % [red]"])
def test_text_that_can_be_printed_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", r"a\nb"),
        ("a\tb", r"a\tb"),
        ("\x1b[31m", r"\x1b[31m"),
        ("\x9b31m", r"\x9b31m"),
        ("a\u202eb", r"a\u202eb"),
        ("\U000e0041", r"\U000e0041"),
        ("\udcff.pt", r"\xff.pt"),
        ("\ud800", r"\ud800"),
    ],
)
def test_what_cannot_be_printed_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_nothing_that_steers_a_terminal_or_breaks_a_line_is_left_of_any_character_of_the_basic_plane() -> None:
    for code in range(0x10000):
        shown = printable(chr(code))
        assert all(unicodedata.category(char)[0] not in "CZ" or char == " " for char in shown)


def test_names_are_cut_in_the_middle_only_where_the_table_is_too_wide() -> None:
    rows = [("name", "bytes"), (f"first.{'x.' * 30}last", "1,000"), ("short", "1")]
    assert fitted(rows, 200) == rows
    narrow = fitted(rows, 40)
    assert max(len(line) for line in table([row[:2] for row in narrow], indent="")) <= 40
    assert narrow[1][0].startswith("first.")
    assert narrow[1][0].endswith(".last")
    assert (narrow[0], narrow[2]) == (rows[0], rows[2])
