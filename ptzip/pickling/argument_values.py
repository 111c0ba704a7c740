"""What the arguments of opcodes mean, where they are kept as they stand in the stream.

Rule: a meaning is that of CPython's C unpickler (`Modules/_pickle.c`), save that Python 2 strings, for which a loader needs
to be told the encoding, are text where they are UTF-8, else bytes. What has no meaning raises ValueError.
"""

import codecs
from collections.abc import Callable
from typing import Any


def _int_line(line: bytes) -> int | bool:
    """INT as CPython's C unpickler reads it: "00" and "01" are truth values, a leading 0 is octal, 0x hexadecimal."""
    if line in (b"00", b"01"):
        return line == b"01"
    digits = _up_to_nul(line).decode("ascii").strip()
    octal = digits.lstrip("+-").startswith("0") and digits.lstrip("+-").isdecimal()
    return int(digits, 8 if octal else 0)


def _up_to_nul(line: bytes) -> bytes:
    """What C reads of a line of text."""
    return line.partition(b"\0")[0]


def _string(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _quoted(line: bytes) -> str | bytes:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a STRING is not quoted")
    return _string(codecs.escape_decode(line[1:-1])[0])


MEANINGS: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "INT": _int_line,
    "LONG": lambda line: int(_up_to_nul(line.removesuffix(b"L")), 0),
    "LONG1": lambda raw: int.from_bytes(raw, "little", signed=True),
    "LONG4": lambda raw: int.from_bytes(raw, "little", signed=True),
    "FLOAT": lambda line: float(_up_to_nul(line)),
    "STRING": _quoted,
    "BINSTRING": _string,
    "SHORT_BINSTRING": _string,
    "UNICODE": lambda line: line.decode("raw-unicode-escape"),
    "BYTEARRAY8": bytearray,
}
