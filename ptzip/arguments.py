"""Arguments that several commands share: choices, sizes in bytes, sequences of strings.

A wrong value is a `ValueError` that lists the right ones, raised before any file is opened.
"""

import math
import re
from collections.abc import Iterable
from typing import Literal, get_args

from ptzip.text import did_you_mean

WeightDtype = Literal["auto", "float16", "bfloat16", "keep"]
ConvertDtype = Literal["float16", "bfloat16", "keep"]
Location = Literal["cpu", "keep"]
OnOverflow = Literal["keep", "saturate", "inf", "error"]
OutputFormat = Literal["zip", "legacy", "same"]
Unknown = Literal["error", "keep"]
Precision = Literal["float32", "float64"]
Integers = Literal["agree", "first"]

UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
SIZE = r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)"


def check_choice(name: str, value: str, choices: object) -> None:
    """Raise ValueError unless `value` is one of `choices`, strings or a `Literal` of them."""
    known: tuple[str, ...] = choices if isinstance(choices, tuple) else get_args(choices)
    if value not in known:
        raise ValueError(f"{name} is {value!r}, expected one of {', '.join(known)}{did_you_mean(value, known)}")


def strings(value: str | Iterable[str]) -> tuple[str, ...]:
    """The strings of a sequence; a bare string is a sequence of one."""
    return (value,) if isinstance(value, str) else tuple(value)


def byte_count(size: int | str) -> int:
    """A positive size in bytes: an int, or text such as "5GB" (5,000,000,000) or "2GiB" (2,147,483,648)."""
    if isinstance(size, int):
        if size > 0:
            return size
    elif isinstance(size, str) and (found := re.fullmatch(SIZE, size.strip())) is not None:
        unit = found[2].upper()
        count = float(found[1]) * UNITS.get(unit if unit.endswith("B") else f"{unit}B", 0)
        if 1 <= count < math.inf:
            return int(count)
    raise ValueError(f"invalid size {size!r}: expected a number of bytes, or a text such as 5GB or 500MiB")
