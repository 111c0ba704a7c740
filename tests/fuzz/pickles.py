"""Pickles made opcode by opcode: mostly valid, oddly spelt, with a marker's name at some place and often a broken end.

Every input is a function of a seed. A marker is a name of the module `m`, which nobody has; nothing here imports one.
"""

import random
import struct
from collections.abc import Callable

Chance = random.Random
MARKER = "m"
"""The module of names that no allow list contains. Short, since the inputs are to be small."""

NAMES = (
    *((MARKER, "x"), (MARKER, "y.z"), (MARKER + ".n", "x"), ("os", "system")) * 2,
    *(("collections", "OrderedDict"), ("torch._utils", "_rebuild_tensor_v2"), ("builtins", "set"), ("numpy", "dtype")),
    *(("__builtin__", "set"), ("torch", "FloatStorage"), ("torch.storage", "_load_from_bytes")),
)
EDGES = (0, 1, 2, 3, 5, 8, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, (1 << 63) - 1, (1 << 64) - 1)

NUMBERS = (
    *(b"5", b"0", b"-1", b"00", b"01", b"09", b"010", b"0x10", b"0b11", b"0o17", b"1_0", b" 5", b"5 ", b"5\r", b"+5", b"\x005"),
    *(b"", b"\0", b"5\0junk", b"5L", b"L", b"0x", b"1e5", b"nan", b"inf", b"1.5", b"-", b"\t7\t", b"\xd9\xa3", b"9" * 25),
)
TEXTS = (
    *(b"'a'", b'"a"', b"'a", b"a", b"'\\x6d'", b"'\\", b"'m' ", b"'m'\r", b"''", b"'\xc3\xa9'", b"'\xff'", b"'a'b'"),
    *(b"\\u006d", b"\\u00", b"m\r", b"\\U0010ffff", b"\\ud800", b""),
)
MODULES = (b"m", b"m\r", b" m", b"", b"\xff", b"\xc3\xa9", b"m\0", b"m\t", b"a.b.c")


def counted(layout: str, data: bytes) -> bytes:
    return struct.pack(layout, len(data)) + data


def text(value: str) -> bytes:
    return b"X" + counted("<I", value.encode())


def bytes_of(value: bytes) -> bytes:
    return b"C" + counted("<B", value) if len(value) < 256 else b"B" + counted("<I", value)


def name(chance: Chance, path: tuple[str, str] | None = None) -> bytes:
    """Opcodes that resolve a name."""
    module, last = path or chance.choice(NAMES)
    return chance.choice(
        (
            f"c{module}\n{last}\n".encode(),
            f"c{module}\n{last}\n".encode(),
            text(module) + text(last) + b"\x93",
            b"\x8c" + counted("<B", module.encode()) + b"\x8d" + counted("<Q", last.encode()) + b"\x93",
            text(last) + b"q\x07" + text(module) + b"q\x0800h\x08h\x07\x93",
            f"S'{module}'\nV{last}\n".encode() + b"\x93",
            b"U" + counted("<B", module.encode()) + b"T" + counted("<i", last.encode()) + b"\x93",
            text(module) + b"2\x93",
            text(module) + b"\x94" + text(last) + b"\x940h\x00\x940" + text(last) + b"\x93",
            b"(i" + f"{module}\n{last}\n".encode(),
            b"(" + text(module) + text(last) + b"\x93o",
        )
    )


def call(chance: Chance, path: tuple[str, str] | None = None) -> bytes:
    """Opcodes that resolve a name and call it."""
    found = name(chance, path)
    return chance.choice(
        (
            found + b")R",
            found + b"(K\x01tR",
            found + b")\x81",
            found + b")}\x92",
            b"(" + found + b"o",
            found + b")R}b",
            found,
            found + b"2)R0",
            found + b")\x81}(" + text("a") + b"Nub",
            found + b"(" + bytes_of(b"cm\nx\n.") + b"tR",
        )
    )


def line(chance: Chance) -> bytes:
    """An opcode whose argument is a line of text, often one that only some readers accept."""
    code = chance.choice(b"IILLFSVPpg")
    return bytes((code,)) + chance.choice(TEXTS if code in b"SV" else NUMBERS) + b"\n"


def lying(chance: Chance) -> bytes:
    """An opcode with a length or an index that may be wrong."""
    code, layout = chance.choice(
        (*zip(b"XTBrj\x8b\x8e\x8d\x96\x95", ("<I", "<i", "<I", "<I", "<I", "<i", "<Q", "<Q", "<Q", "<Q"), strict=True),)
    )
    size = struct.calcsize(layout)
    data = chance.randbytes(chance.randrange(4)) if chance.random() < 0.5 else call(chance)
    count = len(data) if chance.random() < 0.4 else chance.choice(EDGES) if chance.random() < 0.5 else chance.randrange(40)
    return bytes((code,)) + (count & (1 << 8 * size) - 1).to_bytes(size, "little") + data


def atom(chance: Chance) -> bytes:
    return chance.choice(
        (
            *(
                b"N",
                b"K\x01",
                b"M\x00\x01",
                b"J\xff\xff\xff\xff",
                b"\x88",
                b"\x89",
                b"G" + b"\0" * 8,
                b"I5\n",
                b"}",
                b"]",
                b")",
            ),
            *(b"\x8f", b"\x8a\x01\x05", b"\x8a\x00", b"\x97", b"NQ"),
            *(b"N", b"K\x02", chance.choice((b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"))),
            *(text("a"), text("cos\nsin\n"), bytes_of(b"\x80\x04cm\nx\n."), b"Pa\n", b"h\x00", b"j\x01\x00\x00\x00", b"g0\n"),
        )
    )


def value(chance: Chance, depth: int = 0) -> bytes:
    """Opcodes that leave one value, as a rule."""
    kind = chance.random()
    if kind < 0.35 or depth > 2:
        return atom(chance)
    if kind < 0.5:
        return line(chance)
    if kind < 0.56:
        return lying(chance)
    if kind < 0.72:
        return call(chance)
    inner = [value(chance, depth + 1) for _ in range(chance.randrange(1, 4))]
    parts = b"".join(inner)
    return chance.choice(
        (
            b"(" + parts + b"t",
            b"(" + parts + b"l",
            b"](" + parts + b"e",
            b"]" + inner[0] + b"a",
            b"}" + text("k") + inner[0] + b"s",
            b"}(" + text("k") + inner[0] + b"u",
            b"\x8f(" + parts + b"\x90",
            b"(" + parts + b"\x91",
            inner[0] + b"\x85",
            inner[0] + atom(chance) + b"\x86",
            b"(" + parts + b"1" + atom(chance),
            inner[0] + b"Q",
            inner[0] + b"2b",
            inner[0] + chance.choice((b"\x94", b"q\x00", b"r\x00\x01\x00\x00", b"p0\n", b"q\xff", b"r\xff\xff\x00\x00")),
            parts + b"0" * (len(inner) - 1),
        )
    )


def header(chance: Chance) -> bytes:
    if chance.random() < 0.03:
        return chance.choice((b"\x80\x00", b"\x80\x01", b"\x80\x06", b"\x80\xff", b"\x80"))
    return chance.choice((b"", b"", b"\x80\x02", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"))


def framed(chance: Chance, body: bytes) -> bytes:
    """The opcodes in one or two frames, whose lengths may lie."""
    at = chance.randrange(len(body) + 1)
    pieces = (body[:at], body[at:]) if chance.random() < 0.3 else (body,)
    out = b""
    for piece in pieces:
        lie = chance.choice((0, 0, 0, 1, -1, 2, -3, 7, -len(piece), 1 << 16, 1 << 62))
        out += b"\x95" + struct.pack("<Q", max(0, len(piece) + lie)) + piece
    return out


TAILS: tuple[Callable[[Chance], bytes], ...] = (
    lambda _: b".",
    lambda _: b".",
    lambda _: b".",
    lambda _: b"",
    lambda chance: b"." + stream(chance),
    lambda chance: b"." + chance.randbytes(3),
    lambda chance: chance.choice((b"\xff", b"0000000.", b"R.", b"e.", b"q", b"X\xff\xff\xff\xff", b"I\n.", b"\x80\x09.")),
)


def stream(chance: Chance) -> bytes:
    """One pickle, or several."""
    parts = []
    for _ in range(chance.randrange(4)):
        parts += [value(chance), chance.choice((b"0", b"0", b"0", b"", b"(1", b"(0", b"2", b"q\x03"))]
    if chance.random() < 0.3:
        parts.append(chance.choice((call, name, lying, line))(chance))
    body = b"".join(parts) + value(chance) + chance.choice(TAILS)(chance)
    start = header(chance)
    return start + (framed(chance, body) if chance.random() < 0.2 else body)


def honest(chance: Chance) -> bytes:
    """A pickle that nothing is wrong with, except that it may contain a name."""
    inner = chance.choice((b"K\x01", text("a"), b"N", b"ccollections\nOrderedDict\n)R", call(chance), name(chance)))
    return b"\x80\x02}" + text("k") + inner + b"s."


def pickle(chance: Chance) -> bytes:
    return (honest if chance.random() < 0.6 else stream)(chance)
