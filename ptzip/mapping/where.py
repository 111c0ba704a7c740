"""Stretches of a file in words, as flags take them and messages have them."""

import re
from typing import NamedTuple

from ptzip.errors import EditError

NUMBER = r"(0[xX][0-9a-fA-F]+|[0-9]+(?:[,_][0-9]+)*)"
STRETCH = re.compile(rf"(?:byte )?{NUMBER}(?::{NUMBER})?(?: in (.+))?", re.DOTALL)


class Where(NamedTuple):
    """`length` bytes from byte `offset` of the file or of what `inside` names (None: up to its end); where `offset` is None,
    the record named `inside`.
    """

    offset: int | None
    length: int | None = None
    inside: str = ""

    def __str__(self) -> str:
        if self.offset is None:
            return self.inside
        length = "" if self.length is None else f":{self.length}"
        return f"byte {self.offset}{length}" + (f" in {self.inside}" if self.inside else "")


def where(words: str) -> Where:
    """`OFFSET[:LENGTH]`, decimal or hexadecimal, followed by ` in RECORD` for content that is compressed or encoded; anything
    else is the name of a record. Raises EditError for nothing.
    """
    if not words.strip():
        raise EditError("it is not said which bytes: expected OFFSET, OFFSET:LENGTH or the name of a record")
    match = STRETCH.fullmatch(words.strip())
    if match is None:
        return Where(None, None, words)
    offset, length, inside = match.groups()
    return Where(_number(offset), None if length is None else _number(length), inside or "")


def _number(digits: str) -> int:
    return int(digits, 16) if digits[:2].lower() == "0x" else int(digits.replace(",", ""))
