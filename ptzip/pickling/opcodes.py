"""The 68 opcodes of pickle protocols 0 to 5, one row each; a row both decodes and encodes its argument.

`argument.write(argument.read(data, at)[0])` reproduces the bytes that were read, so arguments are kept close to the stream: a
text line stays bytes, a LONG1 stays its two's complement. `VALUES` decodes them. Names, codes and protocols are those of
`pickletools.opcodes`, which a test compares.
"""

import codecs
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from ptzip.errors import CutError, FormatError
from ptzip.io.streams import Stream


class Argument(NamedTuple):
    """The encoding of an opcode's argument: `read(data, at) -> (argument, end)`, `write(argument) -> bytes`."""

    read: Callable[[Stream, int], tuple[Any, int]]
    write: Callable[[Any], bytes]


class Opcode(NamedTuple):
    """One row: `code` is the opcode's byte, `protocol` the first protocol that has it."""

    name: str
    code: int
    protocol: int
    argument: Argument


def _short(at: int) -> CutError:
    return CutError("the pickle ends inside an opcode's argument", at)


def _number(layout: str) -> Argument:
    packer = struct.Struct(layout)

    def read(data: Stream, at: int) -> tuple[Any, int]:
        end = at + packer.size
        if end > len(data):
            raise _short(at)
        return packer.unpack(data[at:end])[0], end

    return Argument(read, packer.pack)


def _byte(data: Stream, at: int) -> tuple[int, int]:
    """One byte, the argument of most opcodes that have one; twice as fast as `struct`."""
    if at >= len(data):
        raise _short(at)
    return data[at], at + 1


def _counted(layout: str) -> Argument:
    """Bytes after their length, which is rejected if negative or longer than the rest of the stream."""
    packer = struct.Struct(layout)

    def read(data: Stream, at: int) -> tuple[bytes, int]:
        start = at + packer.size
        if start > len(data):
            raise _short(at)
        end = start + packer.unpack(data[at:start])[0]
        if not start <= end <= len(data):
            raise _short(at)
        return data[start:end], end

    def write(argument: bytes) -> bytes:
        return packer.pack(len(argument)) + argument

    return Argument(read, write)


def _text(counted: Argument) -> Argument:
    """UTF-8 that may contain lone surrogates, as `pickle` writes it."""

    def read(data: Stream, at: int) -> tuple[str, int]:
        raw, end = counted.read(data, at)
        try:
            return raw.decode("utf-8", "surrogatepass"), end
        except UnicodeDecodeError as error:
            raise FormatError("a text argument is not UTF-8", at) from error

    def write(argument: str) -> bytes:
        return counted.write(argument.encode("utf-8", "surrogatepass"))

    return Argument(read, write)


def _read_line(data: Stream, at: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at)
    if end < 0:
        raise _short(at)
    return data[at:end], end + 1


def _read_name(data: Stream, at: int) -> tuple[tuple[str, str], int]:
    """Module and name. At the end of the stream Python takes the last byte for the line end, and imports before it fails."""
    if at >= len(data):
        raise _short(at)
    middle = data.find(b"\n", at)
    end = data.find(b"\n", middle + 1) if middle >= 0 else -1
    if end < 0:
        end = len(data) - 1
    module, name = (data[at:middle], data[middle + 1 : end]) if middle >= 0 else (data[at:end], b"")
    try:
        return (module.decode(), name.decode()), end + 1
    except UnicodeDecodeError as error:
        raise FormatError("the name of a global is not UTF-8", at) from error


NOTHING = Argument(lambda _, at: (None, at), lambda _: b"")
UINT1 = Argument(_byte, struct.Struct("B").pack)
UINT2, INT4, UINT4, UINT8 = (_number(layout) for layout in ("<H", "<i", "<I", "<Q"))
FLOAT8 = _number(">d")
LINE = Argument(_read_line, lambda line: line + b"\n")
NAME = Argument(_read_name, lambda name: f"{name[0]}\n{name[1]}\n".encode())
BYTES1, BYTES4, BYTES8, SIGNED_BYTES4 = (_counted(layout) for layout in ("<B", "<I", "<Q", "<i"))
TEXT1, TEXT4, TEXT8 = _text(BYTES1), _text(BYTES4), _text(BYTES8)

_ROWS: tuple[tuple[str, str, int, Argument], ...] = (
    ("INT", "I", 0, LINE),
    ("BININT", "J", 1, INT4),
    ("BININT1", "K", 1, UINT1),
    ("BININT2", "M", 1, UINT2),
    ("LONG", "L", 0, LINE),
    ("LONG1", "\x8a", 2, BYTES1),
    ("LONG4", "\x8b", 2, SIGNED_BYTES4),
    ("STRING", "S", 0, LINE),
    ("BINSTRING", "T", 1, SIGNED_BYTES4),
    ("SHORT_BINSTRING", "U", 1, BYTES1),
    ("BINBYTES", "B", 3, BYTES4),
    ("SHORT_BINBYTES", "C", 3, BYTES1),
    ("BINBYTES8", "\x8e", 4, BYTES8),
    ("BYTEARRAY8", "\x96", 5, BYTES8),
    ("NEXT_BUFFER", "\x97", 5, NOTHING),
    ("READONLY_BUFFER", "\x98", 5, NOTHING),
    ("NONE", "N", 0, NOTHING),
    ("NEWTRUE", "\x88", 2, NOTHING),
    ("NEWFALSE", "\x89", 2, NOTHING),
    ("UNICODE", "V", 0, LINE),
    ("SHORT_BINUNICODE", "\x8c", 4, TEXT1),
    ("BINUNICODE", "X", 1, TEXT4),
    ("BINUNICODE8", "\x8d", 4, TEXT8),
    ("FLOAT", "F", 0, LINE),
    ("BINFLOAT", "G", 1, FLOAT8),
    ("EMPTY_LIST", "]", 1, NOTHING),
    ("APPEND", "a", 0, NOTHING),
    ("APPENDS", "e", 1, NOTHING),
    ("LIST", "l", 0, NOTHING),
    ("EMPTY_TUPLE", ")", 1, NOTHING),
    ("TUPLE", "t", 0, NOTHING),
    ("TUPLE1", "\x85", 2, NOTHING),
    ("TUPLE2", "\x86", 2, NOTHING),
    ("TUPLE3", "\x87", 2, NOTHING),
    ("EMPTY_DICT", "}", 1, NOTHING),
    ("DICT", "d", 0, NOTHING),
    ("SETITEM", "s", 0, NOTHING),
    ("SETITEMS", "u", 1, NOTHING),
    ("EMPTY_SET", "\x8f", 4, NOTHING),
    ("ADDITEMS", "\x90", 4, NOTHING),
    ("FROZENSET", "\x91", 4, NOTHING),
    ("POP", "0", 0, NOTHING),
    ("DUP", "2", 0, NOTHING),
    ("MARK", "(", 0, NOTHING),
    ("POP_MARK", "1", 1, NOTHING),
    ("GET", "g", 0, LINE),
    ("BINGET", "h", 1, UINT1),
    ("LONG_BINGET", "j", 1, UINT4),
    ("PUT", "p", 0, LINE),
    ("BINPUT", "q", 1, UINT1),
    ("LONG_BINPUT", "r", 1, UINT4),
    ("MEMOIZE", "\x94", 4, NOTHING),
    ("EXT1", "\x82", 2, UINT1),
    ("EXT2", "\x83", 2, UINT2),
    ("EXT4", "\x84", 2, INT4),
    ("GLOBAL", "c", 0, NAME),
    ("STACK_GLOBAL", "\x93", 4, NOTHING),
    ("REDUCE", "R", 0, NOTHING),
    ("BUILD", "b", 0, NOTHING),
    ("INST", "i", 0, NAME),
    ("OBJ", "o", 1, NOTHING),
    ("NEWOBJ", "\x81", 2, NOTHING),
    ("NEWOBJ_EX", "\x92", 4, NOTHING),
    ("PROTO", "\x80", 2, UINT1),
    ("STOP", ".", 0, NOTHING),
    ("FRAME", "\x95", 4, UINT8),
    ("PERSID", "P", 0, LINE),
    ("BINPERSID", "Q", 1, NOTHING),
)

OPCODES = tuple(Opcode(name, ord(code), protocol, argument) for name, code, protocol, argument in _ROWS)
BY_NAME = {row.name: row for row in OPCODES}
BY_CODE = {row.code: row for row in OPCODES}

HIGHEST_PROTOCOL = max(row.protocol for row in OPCODES)

BARE = {row.name: bytes((row.code,)) for row in OPCODES}
"""Opcode name -> its byte."""


def encode(name: str, argument: object = None) -> bytes:
    """The bytes of one opcode with its argument."""
    if argument is None:
        return BARE[name]
    return BARE[name] + BY_NAME[name].argument.write(argument)


def _int_line(line: bytes) -> int | bool:
    """INT as CPython's C unpickler reads it: "00" and "01" are booleans. Up to Python 3.13, a leading 0 means octal, and
    `strtol` makes 0 of a text that ends before the first digit.
    """
    if line in (b"00", b"01"):
        return line == b"01"
    if line.startswith(b"\0"):
        return 0
    digits = _up_to_nul(line).strip()
    is_octal = digits.lstrip(b"+-").startswith(b"0") and digits.lstrip(b"+-").isdigit()
    return _integer(digits, 8 if is_octal else 0)


def _integer(digits: bytes, base: int) -> int:
    """A number in the base of Python up to 3.13, or if it is none there, in decimal as later versions read any."""
    try:
        return int(digits, base)
    except ValueError:
        return int(digits)


def _up_to_nul(line: bytes) -> bytes:
    """The part of a line that C reads as a number."""
    return line.partition(b"\0")[0]


def _python2_string(raw: bytes) -> str | bytes:
    """A loader needs to be given the encoding; here it is text if it is UTF-8, else bytes."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def _quoted(line: bytes) -> str | bytes:
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("the argument of STRING is not quoted")
    return _python2_string(codecs.escape_decode(line[1:-1])[0])


VALUES: dict[str, Callable[[Any], Any]] = {
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "INT": _int_line,
    "LONG": lambda line: _integer(_up_to_nul(line.removesuffix(b"L")), 0),
    "LONG1": lambda raw: int.from_bytes(raw, "little", signed=True),
    "LONG4": lambda raw: int.from_bytes(raw, "little", signed=True),
    "FLOAT": lambda line: float(_up_to_nul(line)),
    "STRING": _quoted,
    "BINSTRING": _python2_string,
    "SHORT_BINSTRING": _python2_string,
    "UNICODE": lambda line: line.decode("raw-unicode-escape"),
    "BYTEARRAY8": bytearray,
}
"""What CPython's C unpickler makes of the argument of an opcode; without a row, the argument itself is the value.

A function raises ValueError if the argument is invalid.
"""
