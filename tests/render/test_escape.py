"""Text that comes out of files, made fit to print."""

import unicodedata

import pytest

from ptzip.render.escape import printable


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
