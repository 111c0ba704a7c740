"""Shapes of pickles and of files with any number of parts, for the bench and the tests of how costs grow.

A shape with another first number is another file of the same size, of which all but one part have the same names.
"""

import gzip
import io
import json
import math
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping

Shape = Callable[[int, int], bytes]
"""Given the number of parts and the number of the first."""


def torch_zip(records: dict[str, bytes]) -> bytes:
    """A zip as torch writes it."""
    from tests.checkpoint_builder import archive_of  # here, since the process that measures others must be small

    return archive_of("last", records)


def pickled(value: bytes) -> bytes:
    return b"\x80\x02" + memoized(value) + b"."


def memoized(value: bytes) -> bytes:
    """Opcodes in which all but the first use of a name of torch come from the memo, as picklers write them."""
    for slot, name in enumerate((REBUILD, FLOATS, ORDERED)):
        before, _, after = value.partition(name)
        value = before + name + b"q%c" % (200 + slot) + after.replace(name, b"h%c" % (200 + slot)) if after else value
    return value


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


def listed(item: bytes, before: bytes = b"") -> Shape:
    """A list of one item n times, after a value that goes to slot 0 of the memo."""
    return lambda n, _: (before + b"q\x000" if before else b"") + b"](" + item * n + b"e"


def numbered(item: Callable[[int], bytes], start: bytes, end: bytes) -> Shape:
    return lambda n, first: start + b"".join(map(item, range(first, first + n))) + end


NAME, ORDERED = b"cpkg\nName\n", b"ccollections\nOrderedDict\n"
REBUILD, FLOATS = b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch\nFloatStorage\n"
SHARED_STATE = b"}q\x01(" + b"".join(text(f"k{i}") + b"N" for i in range(1000)) + b"u0"

PICKLES: dict[str, Shape] = {
    "numbers": listed(b"K\x01"),
    "texts": numbered(lambda i: text(f"word {i}"), b"](", b"e"),
    "tuples": listed(b"NN\x86"),
    "empty lists": listed(b"]"),
    "appends": lambda n, _: b"]" + b"Na" * n,
    "dict": numbered(lambda i: text(f"key{i}") + b"K\x01", b"}(", b"u"),
    "set items": numbered(lambda i: text(f"key{i}") + b"K\x01s", b"}", b""),
    "nested lists": lambda n, _: b"]" * n + b"a" * (n - 1),
    "nested tuples": lambda n, _: b"N" + b"\x85" * n,
    "nested dicts": lambda n, _: (b"}" + text("k")) * n + b"N" + b"s" * n,
    "nested calls": lambda n, _: b"K\x01" + b")\x81" * n,
    "nested states": lambda n, _: b"cargparse\nNamespace\nq\x000" + (b"h\x00)\x81}" + text("k")) * n + b"N" + b"sb" * n,
    "computed calls": lambda n, _: b"N)R0" * n + b"N",
    "names": numbered(lambda i: b"cpkg%d\nName\n" % i, b"](", b"e"),
    "one unknown call": listed(b"h\x00)R", NAME),
    "unknown calls": numbered(lambda i: b"cpkg%d\nName\n)R" % i, b"](", b"e"),
    "instances": listed(b"(ipkg\nName\n"),
    "shared arguments": lambda n, _: (
        ORDERED + b"q\x000](" + b"K\x01K\x02\x86" * n + b"e\x85q\x010](" + b"h\x00h\x01R" * n + b"e"
    ),
    "shared state": lambda n, _: SHARED_STATE + b"cargparse\nNamespace\nq\x000](" + b"h\x00)\x81h\x01b" * n + b"e",
    "own states": listed(b"h\x00)\x81}" + text("a") + b"Nsb", b"cargparse\nNamespace\n"),
    "states of one": lambda n, _: b"cargparse\nNamespace\n)\x81" + (b"}" + text("a") + b"Nsb") * n,
    "memo": numbered(lambda i: b"Nr" + i.to_bytes(4, "little"), b"](", b"e"),
    "memo of text": numbered(lambda i: b"Np%d\n0" % i, b"", b"N"),
    "late steps": lambda n, _: b"]q\x00" + b"h\x00Na0" * n,
    "persistent ids": numbered(lambda i: text(f"id {i}") + b"Q", b"](", b"e"),
    "detours": listed(b"(N1h\x00", b"]"),
    "long numbers": listed(b"\x8a\x09" + b"\1" * 9),
    "bytes": numbered(lambda i: b"C\x08%08d" % i, b"](", b"e"),
    "keys of one text": lambda n, _: b"}(" + (b"G" + struct.pack(">d", math.nan) + b"N") * n + b"u",
    "shared text": lambda n, _: text("word" * 100 * n) + b"q\x000](" + b"h\0" * n + b"e",
    "shared bytes": lambda n, _: b"B" + (400 * n).to_bytes(4, "little") + bytes(400 * n) + b"q\x000](" + b"h\0" * n + b"e",
    "shared number": lambda n, _: b"\x8b" + (40 * n).to_bytes(4, "little") + b"\1" * 40 * n + b"q\x000](" + b"h\0" * n + b"e",
    "base64 texts": numbered(lambda i: text(f"gAJ9cQ{i:010d}Aulkd2hhdGV2ZXI="), b"](", b"e"),
}
"""The value of a pickle of about n parts."""


def keys(n: int) -> bytes:
    """A dict of n keys, in slot 0 of the memo."""
    return b"}q\x00(" + b"".join(text(f"k{i}") + b"N" for i in range(n)) + b"u"


def optimizers(n: int, _: int) -> bytes:
    """The states of n optimizers, which have n groups in common."""
    groups = b"]q\x00(" + mapping([("params", b"]")]) * n + b"e"
    made = [mapping([("state", b"}"), ("param_groups", held)]) for held in [groups, *[b"h\x00"] * (n - 1)]]
    return b"](" + b"".join(made) + b"e"


IN_MANY: dict[str, Shape] = {
    "objects of one state": lambda n, _: b"](" + keys(n) + b"cargparse\nNamespace\nq\x010" + b"h\x01)\x81h\x00b" * n + b"e",
    "lists of one dict": lambda n, _: b"](" + keys(n) + b"](h\x00e" * n + b"e",
    "copies of one dict": lambda n, _: b"](" + keys(n) + b"h\x002" * n + b"e",
    "optimizers of one list": optimizers,
    "calls of one tuple": lambda n, _: b"](" + NAME + b"q\x00(" + b"K\x01" * n + b"tq\x01R" + b"h\x00h\x01R" * n + b"e",
    "objects of one list": lambda n, _: b"](" + NAME + b"q\x00)R(NN" + b"K\x01" * n + b"tq\x01b" + b"h\x00)Rh\x01b" * n + b"e",
}
"""Values of n parts that are in n others, each time in two bytes."""


def storage(key: int, count: int = 4) -> bytes:
    """The persistent id of a storage of float32."""
    return b"(" + text("storage") + FLOATS + text(str(key)) + text("cpu") + b"K%ctQ" % count


def tensor(holder: bytes, offset: bytes = b"K\0", size: int = 4) -> bytes:
    return REBUILD + b"(" + holder + offset + b"K%c\x85K\1\x85\x89" % size + ORDERED + b")RtR"


def mapping(items: list[tuple[str, bytes]]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items) + b"u"


def checkpoint(value: bytes, storages: int = 1, records: Mapping[str, bytes] | None = None) -> bytes:
    """A zip of torch.save with storages of four numbers."""
    stored = {f"data/{key}": struct.pack("<4f", key + 1, 2, 3, 4) for key in range(storages)}
    return torch_zip({"data.pkl": pickled(value), "byteorder": b"little", **stored, "version": b"3\n", **(records or {})})


def with_weights(shape: Shape) -> Shape:
    """A checkpoint of one tensor and of a value."""
    weights = mapping([("w", tensor(storage(0)))])
    return lambda n, first: checkpoint(mapping([("state_dict", weights), ("extra", shape(n, first))]))


def bare(shape: Shape) -> Shape:
    """A pickle alone."""
    return lambda n, first: b"\x80\x02" + shape(n, first) + b"."


def names(n: int, first: int, form: str = "layer{}.weight") -> list[str]:
    return [form.format(number) for number in range(first, first + n)]


def tensors(n: int, first: int, form: str = "layer{}.weight") -> bytes:
    items = [(name, tensor(storage(key))) for key, name in enumerate(names(n, first, form))]
    return checkpoint(mapping([("state_dict", mapping(items))]), n)


def on_one_storage(step: int) -> Shape:
    """Tensors on one storage, one every `step` numbers."""

    def build(n: int, first: int) -> bytes:
        count = struct.pack("<I", step * n + 4)
        holder = b"(" + text("storage") + FLOATS + text("0") + text("cpu") + b"J" + count + b"tQ"
        items = [(name, tensor(holder, b"J" + struct.pack("<I", step * at))) for at, name in enumerate(names(n, first))]
        data = {"data.pkl": pickled(mapping([("state_dict", mapping(items))])), "data/0": bytes(4 * (step * n + 4))}
        return torch_zip({**data, "version": b"3\n"})

    return build


def tied(n: int, first: int) -> bytes:
    made = names(n, first)
    items = [(made[0], tensor(storage(0)) + b"q\x05")] + [(name, b"h\x05") for name in made[1:]]
    return checkpoint(mapping([("state_dict", mapping(items))]))


def optimizer(n: int, first: int) -> bytes:
    """Weights, and a momentum for each."""
    weights = [(name, tensor(storage(key))) for key, name in enumerate(names(n, first))]
    state = (
        b"}("
        + b"".join(b"J" + struct.pack("<I", key) + mapping([("exp_avg", tensor(storage(n + key)))]) for key in range(n))
        + b"u"
    )
    groups = (
        b"]("
        + mapping([("lr", b"K\1"), ("params", b"](" + b"".join(b"J" + struct.pack("<I", key) for key in range(n)) + b"e")])
        + b"e"
    )
    return checkpoint(
        mapping([("model", mapping(weights)), ("optimizer", mapping([("state", state), ("param_groups", groups)]))]), 2 * n
    )


def modules(n: int, first: int) -> bytes:
    """A module of n layers with a weight each."""
    empty = ORDERED + b")R"

    def module(parameters: bytes, children: bytes) -> bytes:
        state = mapping([("training", b"\x89"), ("_parameters", parameters), ("_buffers", empty), ("_modules", children)])
        return b"cmodels.common\nLayer\n)\x81" + state + b"b"

    layers = [(str(at), module(mapping([("weight", tensor(storage(at)))]), empty)) for at in range(n)]
    return checkpoint(mapping([("epoch", b"J" + struct.pack("<I", first)), ("model", module(empty, mapping(layers)))]), n)


def arrays(n: int, first: int) -> bytes:
    """Scalars of numpy."""
    kind = (
        b"cnumpy\ndtype\n"
        + text("f8")
        + b"\x89\x88\x87R(K\x03"
        + text("<")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tbq\x05"
    )
    items = [
        (name, b"cnumpy.core.multiarray\nscalar\n" + (b"h\x05" if at else kind) + b"C\x08" + bytes(8) + b"\x86R")
        for at, name in enumerate(names(n, first))
    ]
    return with_weights(lambda n, first: mapping(items))(n, first)


def extra_records(n: int, first: int) -> bytes:
    return checkpoint(mapping([("w", tensor(storage(0)))]), records={f"extra/{name}": b"text" for name in names(n, first)})


def zipped(files: list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings(action="ignore"), zipfile.ZipFile(stream, "w", method) as archive:  # of names given twice
        for name, data in files:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return stream.getvalue()


def tarred(files: list[tuple[str, bytes]]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def small() -> bytes:
    return checkpoint(mapping([("state_dict", mapping([("w", tensor(storage(0)))]))]))


def beside(kind: Callable[[list[tuple[str, bytes]]], bytes], data: bytes) -> Shape:
    """A container of one checkpoint and n files."""
    return lambda n, first: kind([("last.pt", small()), *((f"{name}.bin", data) for name in names(n, first))])


def legacy(n: int, first: int) -> bytes:
    """A stream as torch wrote it before 1.6."""
    items = [
        (name, tensor(b"(" + text("storage") + FLOATS + text(str(key)) + text("cpu") + b"K\4NtQ"))
        for key, name in enumerate(names(n, first))
    ]
    keys = b"](" + b"".join(text(str(key)) for key in range(n)) + b"e"
    system = mapping([("protocol_version", b"M\xe9\x03"), ("little_endian", b"\x88")])
    head = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02" + system + b"."
    stored = b"".join(struct.pack("<q4f", 4, key + 1, 2, 3, 4) for key in range(n))
    return head + pickled(mapping(items)) + b"\x80\x02" + keys + b"." + stored


def old_tar(n: int, first: int) -> bytes:
    """A tar as torch 0.1 wrote it."""
    number = b"\x80\x02J" + struct.pack("<I", n) + b"."
    stored = b"".join(
        b"\x80\x02" + text(str(at)) + text("cpu") + b"ctorch\nFloatStorage\n\x87." + struct.pack("<q4f", 4, at + 1, 2, 3, 4)
        for at in range(n)
    )
    made = b"".join(
        b"\x80\x02"
        + b"J"
        + struct.pack("<I", at)
        + text(str(at))
        + b"ctorch\nFloatTensor\n\x87."
        + struct.pack("<i4xqqq", 1, 4, 1, 0)
        for at in range(n)
    )
    root = b"\x80\x02" + mapping([(name, text(str(at)) + b"Q") for at, name in enumerate(names(n, first))]) + b"."
    return tarred(
        [
            ("sys_info", b"\x80\x02}X\r\0\0\0little_endian\x88s."),
            ("pickle", root),
            ("tensors", number + made),
            ("storages", number + stored + b"\x80\x02]."),
        ]
    )


def views_of_views(n: int, first: int) -> bytes:
    """A tar of torch 0.1 with one storage, each of whose views is one of the view before."""
    stored = b"\x80\x02K\1.\x80\x02" + text("0") + text("cpu") + FLOATS + b"\x87." + struct.pack("<q4f", 4, 1, 2, 3, 4)
    views = [b"(" + text(str(at + 1)) + text(str(at)) + b"K\0K\4t" for at in range(n)]
    made = b"\x80\x02K\1.\x80\x02K\0" + text(str(n)) + b"ctorch\nFloatTensor\n\x87." + struct.pack("<i4xqqq", 1, 4, 1, 0)
    root = b"\x80\x02" + mapping([(f"w{first}", text("0") + b"Q")]) + b"."
    files = [("sys_info", b"\x80\x02}X\r\0\0\0little_endian\x88s."), ("pickle", root), ("tensors", made)]
    return tarred([*files, ("storages", stored + b"\x80\x02](" + b"".join(views) + b"e.")])


def safetensors(n: int, first: int) -> bytes:
    entries = {
        name: {"dtype": "F32", "shape": [4], "data_offsets": [16 * at, 16 * at + 16]} for at, name in enumerate(names(n, first))
    }
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + b"".join(struct.pack("<4f", at + 1, 2, 3, 4) for at in range(n))


def safetensors_metadata(n: int, first: int) -> bytes:
    entries = {
        "__metadata__": dict.fromkeys(names(n, first), "x"),
        "w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
    }
    header = json.dumps(entries).encode()
    return struct.pack("<Q", len(header)) + header + struct.pack("<4f", 1, 2, 3, 4)


def npz(n: int, first: int) -> bytes:
    about = b"{'descr': '<f4', 'fortran_order': False, 'shape': (4,), }".ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\0" + struct.pack("<H", len(about)) + about + struct.pack("<4f", 1, 2, 3, 4)
    return zipped([(f"{name}.npy", data) for name in names(n, first)])


def entries_of_one_long_name(n: int, _: int) -> bytes:
    """Entries that all lead to one local header, whose name is as long as any can be."""
    head = local(b"n" * 65535)
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    return head + entry * n + struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, n, n, n * len(entry), len(head), 0)


def keys_and_tensors(n: int, first: int) -> bytes:
    """Numbers and tensors by their keys."""
    numbers = [(f"k{at}", b"K\1") for at in range(n)]
    return checkpoint(mapping([*numbers, *((name, tensor(storage(key))) for key, name in enumerate(names(n, first)))]), n)


def tensors_of_one_name(n: int, _: int) -> bytes:
    """Tensors whose keys have the same text."""
    nan = b"G" + struct.pack(">d", math.nan)
    return checkpoint(b"}(" + b"".join(nan + tensor(storage(key)) for key in range(n)) + b"u", n)


def state_dicts(n: int, first: int) -> bytes:
    weights = [(name, mapping([("weight", tensor(storage(key)))])) for key, name in enumerate(names(n, first, "part{}"))]
    return checkpoint(mapping(weights), n)


def callbacks(n: int, first: int) -> bytes:
    """States of callbacks that hold weights."""
    held = [(name, mapping([("weight", tensor(storage(key)))])) for key, name in enumerate(names(n, first, "Callback{}"))]
    weights = mapping([("w", tensor(storage(0)))])
    return checkpoint(
        mapping([("pytorch-lightning_version", text("2.0")), ("state_dict", weights), ("callbacks", mapping(held))]), n
    )


def whole_views(n: int, first: int) -> bytes:
    """Views of nearly all of one storage of 80 bytes for each."""
    size = struct.pack("<I", 20 * n)
    holder = b"(" + text("storage") + FLOATS + text("0") + text("cpu") + b"J" + size + b"tQ"
    shape = b"J" + struct.pack("<I", 19 * n) + b"\x85K\1\x85\x89"
    items = [
        (name, REBUILD + b"(" + holder + b"J" + struct.pack("<I", at) + shape + ORDERED + b")RtR")
        for at, name in enumerate(names(n, first))
    ]
    made = {"data.pkl": pickled(mapping([("state_dict", mapping(items))])), "data/0": bytes(80 * n), "version": b"3\n"}
    return torch_zip(made)


def nested_modules(n: int, first: int) -> bytes:
    """Modules inside one another, with one weight."""
    start = b"cmodels\nM\n)\x81}(" + text("_parameters") + mapping([("w", tensor(storage(0)))]) + text("_buffers") + b"}"
    made = (start + text("_modules") + b"}" + text("m")) * n + b"N" + b"sub" * n
    return checkpoint(mapping([("epoch", b"J" + struct.pack("<I", first)), ("model", made)]))


def module_in_modules(n: int, _: int) -> bytes:
    """Modules that have one module of n weights in common."""
    empty = ORDERED + b")R"

    def module(parameters: bytes, children: bytes) -> bytes:
        return b"cmodels\nM\n)\x81}(" + text("_parameters") + parameters + text("_modules") + children + b"ub"

    shared = module(mapping([(name, tensor(storage(key))) for key, name in enumerate(names(n, 0))]), empty) + b"q\x01"
    made = module(empty, mapping([("x", shared)])) + module(empty, mapping([("x", b"h\x01")])) * n
    return checkpoint(mapping([("epoch", b"K\x01"), ("model", b"](" + made + b"e")]), n)


def without_directory(n: int, first: int) -> bytes:
    data = tensors(n, first)
    return data[: data.index(b"PK\1\2")]


def headers_in_data(n: int, first: int) -> bytes:
    """A storage full of headers of records, in a zip without its directory."""
    data = (b"PK\3\4" + bytes(22) + struct.pack("<HH", 8, 0) + b"last/d/0") * n
    size = b"J" + struct.pack("<I", len(data))
    holder = b"(" + text("storage") + b"ctorch\nByteStorage\n" + text("0") + text("cpu") + size + b"tQ"
    item = REBUILD + b"(" + holder + b"K\0" + size + b"\x85K\1\x85\x89" + ORDERED + b")RtR"
    made = torch_zip({"data.pkl": pickled(mapping([(f"w{first}", item)])), "data/0": data, "version": b"3\n"})
    return made[: made.rindex(b"last/data/0") - 46]


def local(name: bytes, size: int = 0, crc: int = 0, extra: int = 0) -> bytes:
    """A local header, and the size and CRC of data that may not be there."""
    return b"PK\3\4" + struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 0, crc, size, size, len(name), extra) + name


def record(name: bytes, data: bytes) -> bytes:
    return local(name, len(data), zlib.crc32(data)) + data


def of_storages(keys: list[str]) -> bytes:
    """The record of a pickle of one tensor on each storage."""
    holders = [b"(" + text("storage") + FLOATS + text(key) + text("cpu") + b"K\4tQ" for key in keys]
    items = [(f"w{number}", tensor(holder)) for number, holder in enumerate(holders)]
    return record(b"last/data.pkl", pickled(mapping(items)))


def names_of_one_header(n: int, first: int) -> bytes:
    """A directory of n names for one record."""
    keys = [str(number) for number in range(first, first + n)]
    entry = struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\1\2", 20, 20, 0, 0, 0, 0, 7, 16, 16, 11 + 7, 0, 0, 0, 0, 0, 0)
    return of_storages(keys) + b"".join(entry + b"last/data/" + key.rjust(8, "0").encode() for key in keys)


def keys_of_one_name(n: int, first: int) -> bytes:
    """Storages whose names differ only in case, each with a wrong CRC."""
    word = "abcdefghijklmnopqrst"
    keys = ["".join(c.upper() if i >> j & 1 else c for j, c in enumerate(word)) for i in range(first, first + n)]
    return of_storages(keys) + b"".join(local(f"last/data/{key}".encode(), 16, 9) + bytes(16) for key in keys)


def dropped(n: int, first: int) -> bytes:
    """Storages, and as many records that torch does not read."""
    keys = [str(number) for number in range(first, first + n)]
    stored = [record(f"last/data/{key}".encode(), struct.pack("<4f", 1, 2, 3, 4)) for key in keys]
    return of_storages(keys) + b"".join(stored) + b"".join(record(f"last/extra/{key}".encode(), b"text") for key in keys)


def pickles_through_headers(n: int, _: int) -> bytes:
    """A pickle of the headers of n pickles, so that each begins another stretch of it."""
    head = b"PK\3\4" + struct.pack("<HHHHHIIIHH", 20, 8, 0, 0, 0, 0, 0, 0, 13, 0) + b"last/data.pkl"
    return head + (b"C" + bytes((len(head),)) + head) * n + b"."


DAMAGED: dict[str, tuple[int, Shape]] = {
    "without directory": (1_000, without_directory),
    "headers in data": (1_250, headers_in_data),
    "names of one header": (1_000, names_of_one_header),
    "keys of one name": (1_000, keys_of_one_name),
    "dropped records": (1_000, dropped),
    "pickles through headers": (1_000, pickles_through_headers),
    "folders with a pickle": (1_250, lambda n, _: b"".join(record(b"f%d/data.pkl" % at, b"N.") for at in range(n))),
    "headers of long names": (5_000, lambda n, _: (b"PK\3\4" + bytes(22) + b"\xff\xff\0\0") * n),
}
"""What `repair` makes the most of."""

FILES: dict[str, tuple[int, Shape]] = DAMAGED | {
    "tensors": (1_250, tensors),
    "long names": (1_000, lambda n, first: tensors(n, first, "a." * 250 + "{}")),
    "one storage": (1_250, on_one_storage(4)),
    "overlapping views": (1_250, on_one_storage(1)),
    "tied tensors": (1_250, tied),
    "optimizer": (1_000, optimizer),
    "modules": (1_000, modules),
    "numpy scalars": (1_250, arrays),
    "records": (1_250, extra_records),
    "records of one name": (1_250, lambda n, _: zipped([("last/data.pkl", b"N."), *[("last/data/0", b"text")] * n])),
    "deflated records": (1_250, beside(lambda files: zipped(files, zipfile.ZIP_DEFLATED), b"text" * 99)),
    "zip of pickles": (1_000, beside(zipped, b"\x80\x02N.")),
    "zip of checkpoints": (
        500,
        lambda n, first: zipped([(name, data) for name, data in zip(names(n, first), [small()] * n, strict=True)]),
    ),
    "zips in a row": (60, lambda n, _: small() * n),
    "members of a tar": (1_250, beside(tarred, b"text")),
    "tar of pickles": (1_000, beside(tarred, b"\x80\x02N.")),
    "tar of torch 0.1": (1_250, old_tar),
    "views of views": (1_250, views_of_views),
    "legacy": (1_250, legacy),
    "pickles in a row": (1_000, lambda n, _: b"\x80\x02N." * n),
    "safetensors": (1_250, safetensors),
    "safetensors metadata": (1_250, safetensors_metadata),
    "npz": (1_250, npz),
    "gzips in a row": (1_000, lambda n, _: gzip.compress(b"\x80\x02N.", mtime=0) * n),
    "entries of one long name": (1_250, entries_of_one_long_name),
    "keys and tensors": (1_000, keys_and_tensors),
    "tensors of one name": (1_000, tensors_of_one_name),
    "state dicts": (1_000, state_dicts),
    "callbacks": (1_000, callbacks),
    "whole views": (1_000, whole_views),
    "nested modules": (500, nested_modules),
    "module in modules": (500, module_in_modules),
}
"""The smallest number of parts to measure, and a file of n parts."""
FILES |= {f"{name} (pickle)": (2_500, with_weights(shape)) for name, shape in (PICKLES | IN_MANY).items()}
FILES |= {f"{name} (bare)": (2_500, bare(shape)) for name, shape in PICKLES.items()}
