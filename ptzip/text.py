"""Plain values as text, where Python refuses to write an integer of very many digits in decimal."""

MOST_BITS = 4096
"""Longer integers are written in hexadecimal (`sys.set_int_max_str_digits`: 4,300 digits by default)."""


def has_decimal(value: object) -> bool:
    """Whether `str` works on a value, should it be an integer."""
    return not isinstance(value, int) or value.bit_length() <= MOST_BITS


def as_text(value: object) -> str:
    """A plain value as `str` gives it, huge integers in hexadecimal."""
    return str(value) if not isinstance(value, int) or value.bit_length() <= MOST_BITS else hex(value)
