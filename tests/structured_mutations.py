"""Mutations that know the structure of what they change: opcodes, names, numbers and calls of a pickle, headers of tars and of
safetensors. Each creates one file from a seeded generator.
"""

import json
import pickletools
import random
import struct
from collections.abc import Callable

from ptzip.allowlist.table import ALLOWED
from ptzip.pickling.reader import read_seen
from tests.bench.shapes import FILES as FILES_OF_PARTS
from tests.fuzz import pickles
from tests.fuzz.pickles import counted, text
from tests.mutations import EXTREMES, FILES, Mutation, a_file, with_pickle
from tests.raw_tars import member
from tests.small_checkpoints import archive, module_records, training_records

NAMES = sorted(ALLOWED)
ODD_TEXTS = (
    "",
    "\ud800",
    "\0",
    "a.b",
    "..",
    "/",
    "storage",
    "0",
    "99",
    "cpu",
    "cuda:0",
    "model",
    "_modules",
    "x" * 2000,
    "1e9",
)
PICKLES = (training_records()["data.pkl"], module_records()["data.pkl"])


def opcodes_of(data: bytes) -> list[bytes]:
    """The opcodes of a valid pickle with their arguments."""
    starts = [at for _, _, at in pickletools.genops(data) if at is not None]
    return [data[start:end] for start, end in zip(starts, [*starts[1:], len(data)], strict=True)]


OPCODES = [opcodes_of(data) for data in PICKLES]


def reordered(chance: random.Random) -> bytes:
    """Whole opcodes removed, repeated, moved, swapped, or taken from another pickle."""

    def change(data: bytearray) -> None:
        found = opcodes_of(bytes(data))
        for _ in range(chance.choice((1, 1, 2, 5))):
            at, length = chance.randrange(1, len(found)), chance.choice((1, 1, 2, 5, 40))
            piece, other = found[at : at + length], chance.choice(OPCODES)
            start = chance.randrange(len(other))
            where = chance.randrange(1, len(found))
            found[at : at + chance.choice((0, length))] = chance.choice(
                ([], piece * 2, piece[::-1], other[start : start + length])
            )
            found[where:where] = chance.choice(([], piece))
        data[:] = b"".join(found)

    return with_pickle(chance, change)


def odd_number(chance: random.Random) -> bytes:
    """The opcode of an extreme number."""
    number = chance.choice((*EXTREMES, 1 << 30, 1 << 40)) * chance.choice((1, 1, -1))
    data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    nan = b"G" + struct.pack(">d", chance.choice((float("nan"), float("inf"), -0.0, 1e308)))
    return chance.choice((b"\x8a" + counted("<B", data), b"\x8a" + counted("<B", data), nan, b"\x88", b"N"))


def odd_argument(chance: random.Random, opcode: bytes) -> bytes:
    """Another argument for an opcode that has a text, a name or a number, else the opcode itself."""
    if opcode[:1] in (b"X", b"\x8c"):
        return b"X" + counted("<I", chance.choice(ODD_TEXTS).encode("utf-8", "surrogatepass"))
    if opcode[:1] == b"c":
        return "c{}\n{}\n".format(*chance.choice(NAMES)).encode()
    return odd_number(chance) if opcode[:1] in (b"K", b"M", b"J", b"G") else opcode


def misvalued(chance: random.Random) -> bytes:
    """Texts, names and numbers of a pickle replaced by odd ones."""
    rate = chance.choice((0.005, 0.02, 0.1))

    def change(data: bytearray) -> None:
        found = opcodes_of(bytes(data))
        data[:] = b"".join(odd_argument(chance, one) if chance.random() < rate else one for one in found)

    return with_pickle(chance, change)


def tensor(chance: random.Random) -> bytes:
    """The opcodes of a tensor whose numbers may be odd."""
    size, offset, stride, numel = (
        odd_number(chance) if chance.random() < 0.2 else number for number in (b"K\4", b"K\0", b"K\1", b"K\x40")
    )
    key = text(chance.choice(("0", "0", "1", "9")))
    kind = f"ctorch\n{chance.choice(('FloatStorage', 'HalfStorage', 'LongStorage', 'BoolStorage'))}\n".encode()
    storage = b"(" + text("storage") + kind + key + text("cpu") + numel + b"tQ"
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n("
        + storage
        + offset
        + size
        + b"\x85"
        + stride
        + b"\x85\x89ccollections\nOrderedDict\n)RtR"
    )


def argument(chance: random.Random, depth: int) -> bytes:
    """The opcodes of any value: a tensor, a call, a number, a text, a container."""
    if depth < 3 and chance.random() < 0.3:
        return called(chance, depth + 1)
    few = b"".join(argument(chance, depth + 1) for _ in range(chance.randrange(3))) if depth < 3 else b""
    word = text(chance.choice(("a", "weight", "0", "_modules", "_parameters", "_metadata", "cpu")))
    kinds = (odd_number(chance), b"K\1", word, tensor(chance), tensor(chance), b"(" + few + b"t", b"](" + few + b"e", b"}")
    pair = b"}" + word + (argument(chance, depth + 1) if depth < 3 else b"N") + b"s"
    return chance.choice((*kinds, pair, pair, "c{}\n{}\n".format(*chance.choice(NAMES)).encode(), b"C\4\0\0\x80\x3f"))


def called(chance: random.Random, depth: int = 0) -> bytes:
    """A call of an allow-listed name with any arguments, state and items."""
    name = "c{}\n{}\n".format(*chance.choice(NAMES)).encode()
    given = b"(" + b"".join(argument(chance, depth) for _ in range(chance.randrange(5))) + b"t"
    call = chance.choice((name + given + b"R", name + given + b"R", name + given + b"\x81", name + given + b"}\x92"))
    for _ in range(chance.choice((0, 0, 1, 2))):
        one, other = argument(chance, depth), argument(chance, depth)
        call += chance.choice((one + b"b", one + b"b", b"(" + one + b"e", b"(" + one + other + b"u", one + b"a"))
    return call


def miscalled(chance: random.Random) -> bytes:
    """Allow-listed names called with arguments that may not fit, beside or below honest weights."""
    items = b"".join(text(key) + argument(chance, 0) for key in chance.sample(("model", "ema", "epoch", "optimizer", "a"), 3))
    data = b"\x80\x02}(" + items + text("state_dict") + b"}(" + text("w") + tensor(chance) + text("v") + called(chance) + b"uu."
    return archive(training_records() | {"data.pkl": data}) if chance.random() < 0.8 else data


def generated(chance: random.Random) -> bytes:
    """Pickles made opcode by opcode, in a zip or bare."""
    data = pickles.pickle(chance)
    return archive(training_records() | {"data.pkl": data}) if chance.random() < 0.5 else data


def mislabelled(chance: random.Random) -> bytes:
    """A tar of a checkpoint and of other members, with odd bytes in the headers."""
    inner = bytes(a_file(chance))
    data = bytearray(
        member(b"a/last.pt", inner) + member(b"notes.txt", b"text") + member(b"storages", b"\x80\x02K\1.") + bytes(1024)
    )
    headers = [at for at in range(0, len(data) - 512, 512) if data[at + 257 : at + 262] == b"ustar"]
    for _ in range(chance.choice((1, 2, 3))):
        start = chance.choice(headers)
        first, length = chance.choice(
            ((0, 100), (100, 8), (124, 12), (124, 12), (136, 12), (156, 1), (157, 100), (257, 8), (345, 155))
        )
        number = chance.choice(EXTREMES) * chance.choice((1, -1))
        base256 = (number & (1 << 95) - 1 | 1 << 95 if number >= 0 else number & (1 << 96) - 1).to_bytes(12, "big")
        octal = b"%011o\0" % (abs(number) & (1 << 33) - 1)
        field = chance.choice(
            (base256, octal, chance.randbytes(length), b"LKxgSVL1257"[: chance.randrange(1, 11)], b"-1", b"\0" * length)
        )
        data[start + first : start + first + length] = field[:length].ljust(length, b"\0")
        data[start + 148 : start + 156] = b" " * 8
        data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)


def misheaded(chance: random.Random) -> bytes:
    """A safetensors file with odd entries in its header."""
    odd: tuple[object, ...] = (*EXTREMES, -1, 0.5, None, True, "F32", "", [], {}, [0, 16], [16, 0], [0, 1 << 63], "\ud800")
    entries: dict[str, object] = {}
    for index in range(chance.randrange(1, 5)):
        entry: dict[str, object] = {"dtype": "F32", "shape": [2, 2], "data_offsets": [16 * index, 16 * index + 16]}
        if chance.random() < 0.4:
            entry[chance.choice((*entry, "extra"))] = chance.choice(odd)
        if chance.random() < 0.2:
            entry["shape"] = [chance.choice(odd) for _ in range(chance.randrange(4))]
        entries[chance.choice((f"layer.{index}", f"layer.{index}", *ODD_TEXTS))] = chance.choice(
            (entry, entry, entry, chance.choice(odd))
        )
    if chance.random() < 0.4:
        entries["__metadata__"] = chance.choice(({"format": "pt"}, {"a": 1}, [], "x", None))
    header = bytearray(json.dumps(entries).encode())
    if chance.random() < 0.3:
        header[chance.randrange(len(header))] = chance.randrange(256)
    length = chance.choice(EXTREMES) if chance.random() < 0.1 else len(header)
    return struct.pack("<Q", length) + header + bytes(chance.choice((0, 16, 64, 64, 64, 65)))


def misnested(chance: random.Random) -> bytes:
    """Mutated files in one another: a checkpoint as a record, behind other bytes, twice in a row, in a tar."""
    inner, other = (
        bytes(STRUCTURED[chance.choice(("miscalled", "misvalued", "reordered", "misheaded"))](chance)),
        chance.choice(FILES),
    )
    return chance.choice(
        (other + inner, inner + other, archive({"a/last.pt": inner, "b.pt": other}), member(b"last.pt", inner) + bytes(1024))
    )


def numbered(layout: str) -> Callable[[int], bytes]:
    """Opcodes with a number in them."""
    return lambda index: layout.format(index).encode("latin-1")


SHARED = (b"]", b"}", b"ccollections\nOrderedDict\n)R", b"cargparse\nNamespace\n", b"K\1K\2\x86", text("a"), b"NNK\1\x87\x85")
PIECES: tuple[Callable[[int], bytes], ...] = (
    *(lambda _, code=code: bytes((code,)) for code in b"NN)]}\x8f((tld\x91\x85\x86\x87asbeu\x900012RR\x81\x81\x92oQ\x94\x93"),
    *(lambda _, slot=slot: b"h%c" % slot for slot in range(len(SHARED))),
    *(
        lambda _, data=data: data
        for data in (*SHARED, b"K\1", b"C\4\0\0\x80\x3f", b"\x8a\x09" + b"\1" * 9, b"cpkg\nName\n", b"(ipkg\nName\n")
    ),
    *map(numbered, ("I{}\n", "L{}L\n", "F{}.5\n", "S'k{}'\n", "Vk{}\n", "p{}\n", "g{}\n", "P{}\n", "cpkg{}\nName\n")),
    lambda index: text(f"key{index}"),
    lambda index: b"r" + (64 + index).to_bytes(4, "little"),
    lambda index: b"j" + (64 + index).to_bytes(4, "little"),
)
"""Opcodes to repeat; the numbered ones differ each time."""

HEAD = b"](" + b"".join(value + b"q%c" % slot for slot, value in enumerate(SHARED))


def repeated(chance: random.Random) -> bytes:
    """A few opcodes repeated thousands of times, so that whatever compares each with all others takes long."""
    while True:
        pieces, end = chance.choices(PIECES, k=chance.randrange(1, 9)), chance.choice((b"e", b""))
        few = HEAD + b"".join(piece(index) for index in range(3) for piece in pieces) + end + b"."
        if read_seen(few).root is not None:
            break
    count = chance.choice((100, 100, 100, 1000, 1000, 5000))
    data = HEAD + b"".join(piece(index) for index in range(count) for piece in pieces) + end
    if chance.random() < 0.3:
        return data + b"."
    key = chance.choice(("extra", "model", "state_dict", "optimizer"))
    items = text("w") + tensor(random.Random(0)) + text(key) + data
    return archive(training_records() | {"data.pkl": b"\x80\x02}(" + items + b"u."})


def crowded(chance: random.Random) -> bytes:
    """A file of many parts, as a rule damaged."""
    data = bytearray(FILES_OF_PARTS[chance.choice(list(FILES_OF_PARTS))][1](chance.choice((3, 10, 30, 100)), 0))
    for _ in range(chance.choice((0, 1, 2, 5))):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    start, stop = sorted(chance.sample(range(len(data)), 2))
    return bytes(chance.choice((data, data, data[:stop], data[start:], data[:start] + data[stop:], data[:stop] + data[start:])))


STRUCTURED: dict[str, Mutation] = {
    kind.__name__: kind
    for kind in (reordered, misvalued, miscalled, generated, mislabelled, misheaded, misnested, repeated, crowded)
}
