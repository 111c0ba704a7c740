"""Plain values and sizes as text and as JSON, where Python refuses to write an integer of very many digits in decimal."""

import math
from typing import Any

MOST_BITS = 4096
"""Longer integers are written in hexadecimal (`sys.set_int_max_str_digits`: 4,300 digits by default)."""


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
