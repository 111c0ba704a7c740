"""Zips made field by field, so that any header may lie (APPNOTE 4.3)."""

import base64
import json
import random
import struct
import zlib
from collections.abc import Sequence
from typing import NamedTuple

from tests.fuzz.pickles import EDGES, pickle

Chance = random.Random


class Entry(NamedTuple):
    name: bytes
    data: bytes
    is_deflated: bool = False


def odd(chance: Chance, number: int, bits: int, rate: float) -> int:
    """The number or, at a rate, one that lies."""
    if chance.random() >= rate:
        return number
    return (number + chance.choice((1, -1, 4, 46, -30)) if chance.random() < 0.5 else chance.choice(EDGES)) & (1 << bits) - 1


def fields(chance: Chance, entry: Entry, packed: bytes, rate: float) -> bytes:
    """What both headers have in common: from the version needed to the length of the name."""
    numbers = ((20, 16), (0, 16), (8 * entry.is_deflated, 16), (0, 32), (zlib.crc32(entry.data), 32))
    sizes = ((len(packed), 32), (len(entry.data), 32), (len(entry.name), 16))
    return struct.pack("<HHHIIIIH", *(odd(chance, number, bits, rate) for number, bits in numbers + sizes))


def directory_of(chance: Chance, placed: Sequence[tuple[Entry, bytes, int]], rate: float) -> bytes:
    out = b""
    for entry, packed, offset in placed:
        extra = chance.choice((b"", b"", b"", b"\1\0\x08\0" + struct.pack("<Q", len(entry.data)), b"FB\2\0ZZ"))
        rest = struct.pack("<HHHHII", len(extra), 0, 0, 0, 0, odd(chance, offset, 32, rate))
        out += b"PK\1\2\x14\0" + fields(chance, entry, packed, rate) + rest + entry.name + extra
    return out


def ended(chance: Chance, count: int, size: int, offset: int, at: int, rate: float) -> bytes:
    """The end of a directory, perhaps with that of zip64 before it; `at` is where these begin."""
    out = b""
    if chance.random() < 0.15:
        numbers = [odd(chance, number, 64, rate) for number in (count, count, size, offset)]
        out += b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, *numbers)
        out += b"PK\6\7" + struct.pack("<IQI", 0, odd(chance, at, 64, rate), 1)
        if chance.random() < 0.5:
            count, size, offset = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF
    comment = chance.choice((b"", b"", b"", b"cm\nx\n.", b"PK\5\6" + bytes(18), b"x" * 30))
    numbers = [odd(chance, count, 16, rate), odd(chance, count, 16, rate)]
    numbers += [odd(chance, size, 32, rate), odd(chance, offset, 32, rate), odd(chance, len(comment), 16, rate)]
    return out + b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, *numbers) + comment


def zip_of(chance: Chance, entries: Sequence[Entry], rate: float = 0.0) -> bytes:
    """A zip; each field lies at the rate `rate`, which also makes gaps, prefixes and further directories likelier."""

    def filler() -> bytes:
        return chance.choice((b"\0\0", b"cm\nx\n.", pickle(chance), b"PK\3\4")) if chance.random() < rate * 2 else b""

    prefix = filler()
    shift = len(prefix) if chance.random() < 0.5 else 0  # offsets from byte 0, or from where the zip begins
    out, placed = prefix, []
    for entry in entries:
        packed = zlib.compress(entry.data, wbits=-15) if entry.is_deflated else entry.data
        placed.append((entry, packed, len(out) - shift))
        local = entry._replace(name=chance.choice((entry.name, entry.name, b"a/x.pkl"))) if chance.random() < rate else entry
        out += b"PK\3\4" + fields(chance, local, packed, rate) + b"\0\0" + local.name + packed + filler()
    for _ in range(2 if chance.random() < rate else 1):
        some = placed if chance.random() > rate else chance.sample(placed, chance.randrange(len(placed) + 1))
        directory = directory_of(chance, some, rate)
        offset, out = len(out), out + directory + filler()
        out += ended(chance, len(some), len(directory), offset - shift, len(out), rate) + filler()
    return out


TORCH_NAMES = (b"data.pkl",) * 12 + (b"DATA.PKL", b"Data.pkl", b"data.pkl\0", b"data.pk", b"/data.pkl", b"./data.pkl")
STORED = (b"\0" * 8, b"cm\nx\n.", b"(((((", b"\x80\x02")


def torch_zip(chance: Chance, rate: float = 0.0) -> bytes:
    """As `torch.save` writes it, with the payload in any of its records."""
    root = b"a/" if chance.random() < 0.95 else chance.choice((b"", b"a/b/", b"A/"))
    entries = [Entry(root + chance.choice(TORCH_NAMES), pickle(chance)), Entry(root + b"version", b"3\n")]
    if chance.random() < 0.3:
        entries.append(Entry(root + chance.choice(TORCH_NAMES), pickle(chance)))
    if chance.random() < 0.5:
        entries.append(Entry(root + b"byteorder", b"little"))
    if chance.random() < 0.5:
        entries.append(Entry(root + b"data/0", chance.choice(STORED) if chance.random() < 0.7 else pickle(chance)))
    if chance.random() < 0.2:
        name = chance.choice((b"constants.pkl", b"x.pkl", b"code/a.py", b".data/extern_modules", b"data.pkl/"))
        entries.append(Entry(root + name, pickle(chance)))
    if chance.random() < 0.3:
        chance.shuffle(entries)
    if chance.random() < 0.2:
        entries = [entry._replace(is_deflated=True) for entry in entries]
    return zip_of(chance, entries, rate)


def encoded(chance: Chance) -> bytes:
    """JSON with base64 pickles, as Stable-Baselines3 writes it."""
    text = base64.b64encode(pickle(chance)).decode()
    if chance.random() < 0.2:
        text = chance.choice((text + "\n", " " + text, text.replace("=", ""), text[:20] + "\n" + text[20:], "*" + text))
    return json.dumps({"policy": {":type:": "x", ":serialized:": text}, "n": 1}).encode()


def other_zip(chance: Chance, rate: float, member: bytes) -> bytes:
    """A zip of files: pickles, arrays, JSON, or whatever `member` is."""
    names = (b"arr_0.npy", b"data", b"x.pkl", b"policy.pth", b"model.joblib", b"x", b"d/x.bin", b"config.json")
    contents = (member, pickle(chance), encoded(chance), b"{}", b"")
    count = chance.choice((1, 1, 2, 3))
    entries = [Entry(chance.choice(names), chance.choice(contents), chance.random() < 0.3) for _ in range(count)]
    return zip_of(chance, entries, rate)
