"""Values out of files as JSON has them: what it lacks is spelled as Python does."""

import math
from typing import Any

from ptzip.text import has_decimal


def plain(value: object) -> Any:
    """The value, or what stands for it."""
    if isinstance(value, int) and not has_decimal(value):
        return hex(value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray):
        return value.decode("latin-1")
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return repr(value)
