"""The pictures of the README show what ptzip prints now."""

import struct

import pytest

from tests import pictures


def test_the_picture_of_the_terminal_says_what_ptzip_prints() -> None:
    assert pictures.words(pictures.TERMINAL.read_text()) == pictures.words(pictures.terminal())


@pytest.mark.browser
def test_the_picture_of_the_report_is_of_the_size_that_the_report_has_and_small() -> None:
    drawn, kept = pictures.report(), pictures.REPORT.read_bytes()
    assert _size(drawn) == _size(kept)
    assert max(len(drawn), len(kept)) < 150_000


def _size(png: bytes) -> tuple[int, int]:
    """Width and height (PNG, section 11.2.1, IHDR)."""
    width, height = struct.unpack(">II", png[16:24])
    return width, height
