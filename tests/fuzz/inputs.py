"""Files for the fuzzers: `made(seed)` builds one of each container that some loader reads, and damages most of them."""

import bz2
import gzip
import lzma
import random
import struct
import zlib
from collections.abc import Callable

from tests.fuzz.pickles import EDGES, bytes_of, call, header, lying, name, pickle, stream, text, value
from tests.fuzz.zips import other_zip, torch_zip

Chance = random.Random
Maker = Callable[[Chance], bytes]


# --- tar ---------------------------------------------------------------------------------------------------------------

MAGICS = (b"ustar\x0000", b"ustar\x0000", b"ustar  \0", bytes(8), b"ustar\0\0\0", b"USTAR\x0000")
TYPES = b"00000000" + b"\0007LKxgS12356VDM"
SPARSE = b"GNU.sparse.map=0,4\n", b"GNU.sparse.major=1\n", b"GNU.sparse.size=9\n", b"size=4\n", b"path=pickle\n"


def octal(number: int, width: int) -> bytes:
    return f"{number:0{width - 1}o}".encode()[-width + 1 :] + b"\0"


def tar_header(chance: Chance, path: bytes, size: int, rate: float) -> bytes:
    """One header of 512 bytes; at a rate its size, type or checksum lies."""
    if chance.random() < rate:
        size = chance.choice((0, 1, size + 1, size + 512, max(size - 1, 0), *EDGES[:12]))
    written = octal(size, 12) if chance.random() > rate else chance.choice((b"\x80" + size.to_bytes(11, "big"), b" " * 12))
    kind = bytes((chance.choice(TYPES),)) if chance.random() < rate else b"0"
    fields = path[:100].ljust(100, b"\0") + octal(0o644, 8) + octal(0, 8) * 2 + written + octal(0, 12) + b" " * 8 + kind
    block = bytearray((fields.ljust(257, b"\0") + chance.choice(MAGICS)).ljust(512, b"\0"))
    if kind == b"S":
        block[386:410] = octal(chance.randrange(9), 12) + octal(size, 12)
        block[483:495] = octal(size, 12)
    block[148:156] = octal(sum(block) + (chance.random() < rate / 4), 7) + b" "
    return bytes(block)


def tar_of(chance: Chance, members: list[tuple[bytes, bytes]], rate: float) -> bytes:
    out = b""
    for path, data in members:
        if chance.random() < rate / 2:
            lines = b"".join(b"%d %s" % (len(row) + 3, row) for row in chance.sample(SPARSE, 2))
            out += tar_header(chance, b"p", len(lines), 0).replace(b"0ustar", b"xustar") + lines.ljust(512, b"\0")
        padding = -len(data) % 512 if chance.random() > rate / 2 else 0
        out += tar_header(chance, path, len(data), rate) + data + bytes(padding)
    return out + bytes(chance.choice((1024, 512, 0))) + (pickle(chance) if chance.random() < rate else b"")


def torch_tar(chance: Chance, rate: float = 0.0) -> bytes:
    """As torch 0.1 wrote it: pickles in a row in the members `storages` and `tensors`."""

    def rows(count: int) -> bytes:
        number = chance.choice(
            (b"K%c." % count, b"I%d\n." % count, b"I%d\0\n." % count, b"\x80\x02K%c." % count, pickle(chance))
        )
        return number + b"".join(pickle(chance) for _ in range(count))

    storages = rows(chance.choice((0, 0, 1))) + chance.choice((b"].", pickle(chance)))
    members = [(b"storages", storages), (b"tensors", rows(chance.choice((0, 1)))), (b"pickle", pickle(chance))]
    if chance.random() < 0.3:
        members.append((chance.choice((b"pickle", b"./pickle", b"sys_info", pickle(chance))), pickle(chance)))
    if chance.random() < 0.1:
        chance.shuffle(members)
    return tar_of(chance, members, rate)


def other_tar(chance: Chance, rate: float, member: bytes) -> bytes:
    names = (b"model.ckpt", b"x.pkl", b"d/x.bin", b"model_config.yaml", pickle(chance))
    return tar_of(chance, [(chance.choice(names), chance.choice((member, pickle(chance)))) for _ in range(2)], rate)


# --- arrays and streams ------------------------------------------------------------------------------------------------

NPY_TYPES = ("|O", "|O", "O", "<f8", "|S1", "|V2", [("a", "|O")], [("a", "<i4")], "|b1", "<U2")


def npy(chance: Chance, rate: float = 0.0) -> bytes:
    """An array, of objects as a rule, with a pickle as its data."""
    kind, shape = chance.choice(NPY_TYPES), chance.choice(((), (1,), (2, 3), (0,), (1 << 30,)))
    about = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    if chance.random() < rate:
        about = chance.choice(
            (about + b" " * 9 + b"\n", about.replace(b"'", b'"'), about.replace(b", }", b"}"), b"{", pickle(chance))
        )
    version = chance.choice((1, 1, 2, 3)) if chance.random() > rate else chance.choice((0, 4, 9))
    start = b"\x93NUMPY" + bytes((version, 0))
    return start + struct.pack("<H" if version == 1 else "<I", len(about)) + about + pickle(chance)


def dtype(code: str) -> bytes:
    """A dtype as numpy pickles it; its last item, the flags, says whether there are objects."""
    order, flags = ("|", 63 if code[0] == "O" else 0) if code[0] in "OSV" else ("<", 0)
    end = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK%ctb" % flags
    return b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R(K\x03" + text(order) + end


def joblib(chance: Chance, rate: float = 0.0) -> bytes:
    """An array as joblib writes it: a wrapper, and raw data between the opcodes."""
    code, count = chance.choice(("f8", "i4", "O", "O8", "S3", "V5", "u1", "f2", "b1")), chance.choice((0, 1, 2, 5))
    align = chance.choice((b"K\x10", b"K\x10", b"N", b"K\x00", b"\x89", b"X\0\0\0\0", b")", None))
    state = [(text("shape"), b"K%c\x85" % count), (text("order"), text("C")), (text("dtype"), dtype(code))]
    state += [(text("subclass"), b"cnumpy\nndarray\n"), (text("allow_mmap"), b"\x88")]
    if align is not None:
        state.append((text("numpy_array_alignment_bytes"), align))
    if chance.random() < rate:
        state[chance.randrange(len(state))] = (text(chance.choice(("shape", "dtype", "a"))), value(chance))
    raw = chance.choice((bytes(40), pickle(chance), b"\xff" * 5 + pickle(chance)))
    size = int(code[1:] or 8) * count + chance.choice((0, 0, 0, 1, -1))
    data = pickle(chance) if code[0] == "O" else raw[: max(size, 0)].ljust(max(size, 0), b"\0")
    if align in (b"K\x10", b"K\x00", b"\x89", b"X\0\0\0\0", b")") and code[0] != "O":
        data = bytes((pad := chance.choice((0, 3, 15)),)) + b"\xff" * pad + data
    wrapped = b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}(" + b"".join(key + item for key, item in state) + b"ub"
    return (
        chance.choice((b"\x80\x02", b"\x80\x04", b""))
        + wrapped
        + data
        + chance.choice((b".", b"0" + value(chance) + b".", b""))
    )


def torch_stream(chance: Chance, rate: float = 0.0) -> bytes:
    """What torch wrote before 1.6: magic, protocol, system, object and storage keys, each a pickle."""
    magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    parts = [magic, b"\x80\x02M\xe9\x03.", b"\x80\x02}.", pickle(chance), b"\x80\x02]."]
    for at in range(5):
        if chance.random() < rate:
            parts[at] = chance.choice((pickle(chance), b"", parts[at] * 2, header(chance) + value(chance) + b"."))
    return b"".join(parts) + chance.choice((b"", bytes(8), pickle(chance)))


def safetensors(chance: Chance, rate: float = 0.0) -> bytes:
    """JSON after its length, which begins with an opcode at times."""
    about = chance.choice(
        (b"{}", b'{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]}}', b'{"__metadata__":{"a":"cm\\nx\\n"}}')
    )
    if chance.random() < 0.5:
        about = about.ljust(chance.choice(b"cI(N]}KX\x80"))
    data = chance.choice((bytes(8), pickle(chance), b"\n" + stream(chance)))
    if chance.random() < rate:
        about = about[:1] + chance.choice((b"\n", b"\nx\n.", stream(chance))) + about[1:]
    return struct.pack("<Q", len(about) + (chance.random() < rate)) + about + data


def compressed(chance: Chance, inner: bytes) -> bytes:
    squeeze = chance.choice((zlib.compress, gzip.compress, bz2.compress, lzma.compress))
    out = squeeze(inner)
    if squeeze in (bz2.compress, lzma.compress) and chance.random() < 0.1:  # streams in a row are one to most readers
        at = chance.randrange(len(inner) + 1)
        return squeeze(inner[:at]) + squeeze(inner[at:])
    if chance.random() < 0.02:  # seldom: joblib then doubles a buffer until memory runs out
        out += chance.choice((pickle(chance), squeeze(pickle(chance))))
    return out


# --- any ---------------------------------------------------------------------------------------------------------------


def nested(chance: Chance, rate: float) -> bytes:
    """A container in another."""
    inner = chance.choice(BARE)(chance, rate)
    way = chance.randrange(5)
    if way == 0:
        return other_zip(chance, rate, inner)
    if way == 1:
        return other_tar(chance, rate, inner)
    if way == 2:
        return compressed(chance, inner)
    if way == 3:
        return b"\x80\x02" + bytes_of(inner) + b"." + (inner if chance.random() < rate else b"")
    return header(chance) + b"ctorch.storage\n_load_from_bytes\n(" + bytes_of(inner) + b"tR."


def large(chance: Chance, rate: float) -> bytes:
    """Something that exceeds what a reader may expect: nesting, depth, or how far from the end a record is."""
    deep = b"]" * 100_050 + b"0" * 100_049
    way = chance.randrange(5)
    if way == 0:
        return deep + call(chance) + b"."
    if way == 1:
        return npy(chance, rate) + b"0" + deep + call(chance) + b"."
    if way == 2:
        return torch_zip(chance, rate) + bytes(chance.choice((65_535, 65_600, 70_000))) + chance.choice((b"", pickle(chance)))
    if way == 3:
        return torch_zip(chance, rate) + b"\xff" * chance.choice((65_535, 65_600)) + torch_zip(chance, rate)
    data = pickle(chance)
    for _ in range(chance.choice((6, 9, 12))):
        data = b"ctorch.storage\n_load_from_bytes\n(" + bytes_of(data) + b"tR."
    return data


BARE = (torch_zip, torch_zip, torch_tar, npy, joblib, torch_stream, safetensors)
PIECES: tuple[Maker, ...] = (
    pickle,
    call,
    name,
    lying,
    lambda _: b"cm\nx\n.",
    lambda _: b"\x80\x02cm\nx\n)R.",
    lambda _: b"PK\5\6" + bytes(18),
    lambda _: b"PK\3\4",
    lambda _: b"\x93NUMPY\1\0",
    lambda chance: chance.randbytes(chance.randrange(1, 9)),
)


def damaged(chance: Chance, data: bytes) -> bytes:
    """A few changes: bits, cuts, repeats, lengths, and pieces of other inputs."""
    out = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4))):
        at, length = chance.randrange(len(out) + 1), chance.choice((1, 1, 2, 4, 8, 30))
        kind = chance.randrange(8)
        if kind == 0 and out:
            out[at % len(out)] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del out[at : at + length]
        elif kind == 2:
            out[at:at] = chance.choice(PIECES)(chance)
        elif kind == 3:
            out[at : at + length] = chance.choice(PIECES)(chance)
        elif kind == 4:
            out[at:at] = out[at : at + length] * chance.choice((1, 2))
        elif kind == 5:
            size = chance.choice((1, 2, 4, 8))
            out[at : at + size] = (chance.choice(EDGES) & (1 << 8 * size) - 1).to_bytes(size, "little")
        elif kind == 6 and out:
            out[at % len(out)] = (out[at % len(out)] + chance.choice((1, -1))) % 256
        else:
            out = chance.choice((out[:at], out[at:])) if chance.random() < 0.3 else out + chance.choice(PIECES)(chance)
    return bytes(out)


def made(seed: int) -> bytes:
    """The input of a seed."""
    chance = random.Random(seed)
    rate = chance.choice((0.0, 0.02, 0.1, 0.3))
    kind = chance.random()
    if kind < 0.001:
        data = large(chance, rate)
    elif kind < 0.4:
        data = pickle(chance)
    elif kind < 0.8:
        data = chance.choice(BARE)(chance, rate)
    else:
        data = nested(chance, rate)
    if chance.random() < 0.1:
        data = pickle(chance) + data if chance.random() < 0.5 else data + pickle(chance)
    return damaged(chance, data) if chance.random() < 0.35 else data
