"""Plain values, sizes and names as text and as JSON, fit to print, and words that are similar.

Python refuses to write an integer of very many digits in decimal; a name of a file can hold what steers a terminal.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

MOST_BITS = 4096
"""Longer integers are written in hexadecimal (`sys.set_int_max_str_digits`: 4,300 digits by default)."""

TOP_LEVEL = "(top level)"
"""How the empty path is shown: the object that was saved, as a whole."""

LONGEST = 60
"""Texts are cut to this many characters unless everything is shown."""

BYTES_FROM = 0xDC00
"""A byte of a file name that is not UTF-8 is the surrogate of this number plus the byte (PEP 383)."""


def has_decimal(value: object) -> bool:
    """Whether `str` works on a value, should it be an integer."""
    return not isinstance(value, int) or value.bit_length() <= MOST_BITS


def as_text(value: object) -> str:
    """A plain value as `str` gives it, huge integers in hexadecimal."""
    return str(value) if not isinstance(value, int) or value.bit_length() <= MOST_BITS else hex(value)


def as_json(value: object) -> Any:
    """A value of a file as JSON has it: what JSON lacks as Python writes it, bytes as latin-1 text."""
    if isinstance(value, int) and not has_decimal(value):
        return hex(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("latin-1")
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return repr(value)


def size(count: int) -> str:
    """A number of bytes, with one decimal from 1 kB on."""
    value, sign = float(abs(count)), "-" if count < 0 else ""
    for unit in ("B", "kB", "MB", "GB"):
        if round(value, 1) < 1000 or unit == "GB":
            break
        value /= 1000
    digits = 0 if unit == "B" else 1
    return f"{sign}{value:.{digits}f} {unit}"


def printable(text: str) -> str:
    """The text with every character that is not printable escaped, as Python spells it."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    if BYTES_FROM + 0x80 <= ord(char) <= BYTES_FROM + 0xFF:
        return f"\\x{ord(char) - BYTES_FROM:02x}"
    return char.encode("unicode_escape").decode()


def cut(text: str, longest: int = LONGEST) -> str:
    """A text fit to print, and not longer than `longest`."""
    shown = printable(text[: longest + 1])
    return shown if len(text) <= longest and len(shown) <= longest else shown[: longest - 3] + "..."


MOST_LISTED = 20
"""How many names an error lists."""


def listed(names: Sequence[str]) -> str:
    """Names as an error lists them: "a, b, c, ..."."""
    return ", ".join(names[:MOST_LISTED]) + (", ..." if len(names) > MOST_LISTED else "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint " (did you mean NAME?)" with the known word that is most similar, to end an error with; "" where none is."""
    from difflib import get_close_matches  # here, since few words are misspelled

    similar = get_close_matches(word, known, n=1, cutoff=0.5)  # "fp16" is "float16"
    return f" (did you mean {similar[0]}?)" if similar else ""
