"""Text that comes out of files, made fit to print: it cannot break a line or steer a terminal."""

BYTES_FROM = 0xDC00
"""A byte of a file name that is not UTF-8 is the surrogate of this number plus the byte (PEP 383)."""


def printable(text: str) -> str:
    """The text with every character that is not printable escaped, as Python spells it."""
    return text if text.isprintable() else "".join(map(_escaped, text))


def _escaped(char: str) -> str:
    if char.isprintable():
        return char
    if BYTES_FROM + 0x80 <= ord(char) <= BYTES_FROM + 0xFF:
        return f"\\x{ord(char) - BYTES_FROM:02x}"
    return char.encode("unicode_escape").decode()
