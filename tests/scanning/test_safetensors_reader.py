"""safetensors: a file without findings is one that the library reads, and one that anybody may read without checking it."""

import base64
import importlib
import json
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ptzip.formats.safetensors import BITS
from tests.scanning.raw_pickles import PAYLOAD, pickled, scanned, verdict

Info = dict[str, Any]
LIBRARY: Any = importlib.import_module("safetensors")


def info(start: int = 0, end: int = 4, dtype: str = "F32", shape: Any = (1,)) -> Info:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def safetensors(header: Any, data: bytes = bytes(4)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


HONEST = {
    "a tensor": safetensors({"a": info()}),
    "metadata": safetensors({"__metadata__": {"format": "pt"}, "a": info()}),
    "no tensors": safetensors({}, b""),
    "in another order": safetensors({"b": info(4, 8), "a": info(0, 4)}, bytes(8)),
    "half bytes": safetensors({"a": info(0, 2, "F4", (4,)), "b": info(2, 5, "F6_E2M3", (4,))}, bytes(5)),
    "empty tensors": safetensors({"a": info(0, 0, shape=(0, 7)), "b": info(), "c": info(4, 4, shape=(0,))}),
    "a number": safetensors({"a": info(shape=())}),
}


@pytest.mark.parametrize("data", HONEST.values(), ids=HONEST.keys())
def test_honest_files_are_clean(data: bytes) -> None:
    assert scanned(data).findings == ()
    LIBRARY.deserialize(data)


FAULTY = {
    "a span past the end": safetensors({"a": info(0, 36, shape=(9,))}),
    "an overlap": safetensors({"a": info(0, 8, shape=(2,)), "b": info(4, 12, shape=(2,))}, bytes(12)),
    "the same bytes twice": safetensors({"a": info(), "b": info()}),
    "a hole": safetensors({"a": info(), "b": info(8, 12)}, bytes(12)),
    "a hole at the start": safetensors({"a": info(4, 8)}, bytes(8)),
    "bytes behind": safetensors({"a": info()}, b"\0\0\0\0more"),
    "zeros behind": safetensors({"a": info()}, bytes(5)),
    "a name that leads out": safetensors({"../../a": info()}),
    "an absolute name": safetensors({"/etc/a": info()}),
    "an unknown dtype": safetensors({"a": info(dtype="X9")}),
    "another size": safetensors({"a": info(shape=(2,))}),
    "a huge shape": safetensors({"a": info(shape=(2**40, 2**40))}),
    "a huge shape without elements": safetensors({"a": info(0, 0, shape=(0, 2**63))}, b""),
    "a shape that overflows before its 0": safetensors({"a": info(0, 0, shape=(2**47, 2**47, 0))}, b""),
    "a negative shape": safetensors({"a": info(shape=(-1, -1))}),
    "offsets from right to left": safetensors({"a": info(4, 0)}),
    "a name twice": safetensors(b'{"a":%b,"a":%b}' % ((json.dumps(info()).encode(),) * 2)),
    "a field twice": safetensors(b'{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}'),
    "another field": safetensors({"a": info() | {"more": 1}}),
    "a missing field": safetensors({"a": {"dtype": "F32", "shape": [1]}}),
    "metadata that are no texts": safetensors({"__metadata__": {"a": {"b": 1}}, "a": info()}),
    "metadata that are a list": safetensors({"__metadata__": ["a"], "a": info()}),
    "a fraction": safetensors(b'{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}'),
    "a truth value": safetensors(b'{"a":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}'),
    "no number": safetensors(b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}'),
    "no JSON": safetensors(b'{"a":'),
    "no UTF-8": safetensors(b'{"a\xff":%b}' % json.dumps(info()).encode()),
    "deep": safetensors(b'{"a":' + b"[" * 100_000),
    "many parts": safetensors(b'{"a":[' + b"[]," * 1_000_000 + b"[]]}"),
    "half of a byte": safetensors({"a": info(0, 2, "F4", (3,))}, bytes(2)),
}


@pytest.mark.parametrize("data", FAULTY.values(), ids=FAULTY.keys())
def test_every_fault_is_a_finding(data: bytes) -> None:
    assert verdict(data) != "clean"


SIZES = st.sampled_from((0, 1, 2, 4, 8, 12, 16, 2**63, 2**64, -1))
INFOS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(sorted(BITS)),
        "shape": st.lists(SIZES, max_size=2),
        "data_offsets": st.tuples(SIZES, SIZES).map(sorted),
    }
)
METADATA = st.none() | st.dictionaries(st.sampled_from("ab"), st.sampled_from(("", "x", 1)), max_size=2)


@example(tensors={}, metadata=None, size=0)
@given(st.dictionaries(st.sampled_from(("a", "b", "c")), INFOS | st.just(info()), max_size=2), METADATA, st.integers(0, 16))
def test_what_the_library_refuses_is_never_clean(tensors: dict[str, Any], metadata: Any, size: int) -> None:
    data = safetensors(tensors | ({} if metadata is None else {"__metadata__": metadata}), bytes(size))
    try:
        LIBRARY.deserialize(data)
    except LIBRARY.SafetensorError:
        assert verdict(data) != "clean"
    else:
        is_huge = any(number >= 2**48 for tensor in tensors.values() for number in tensor["shape"])
        assert (verdict(data) == "clean") != is_huge


def test_pickles_in_metadata_and_tensors_are_read() -> None:
    hidden = pickled(PAYLOAD)
    text = base64.b64encode(hidden).decode()
    assert verdict(safetensors({"__metadata__": {"a": text}, "b": info()})) == "malicious"
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in text).encode()
    assert verdict(safetensors(b'{"__metadata__":{"a":"%b"},"b":%b}' % (escaped, json.dumps(info()).encode()))) == "malicious"
    size = len(hidden)
    assert verdict(safetensors({"a": info(0, size, "U8", (size,))}, hidden)) == "malicious"
    assert verdict(safetensors({"a": info()}, bytes(4) + hidden)) == "malicious"


def prefixed(code: int, count: int, end: bytes) -> bytes:
    """A file whose length is an opcode with a text that ends inside the metadata, where a pickle goes on."""
    length = code + 256 * count
    header = bytearray(b'{"__metadata__":{"a":"'.ljust(length, b"x"))
    at = count - 6 if code == 0x8C else count - 3
    header[at : at + len(end)] = end
    header[at + len(end) : at + len(end) + 3] = b'"}}'
    header[at + len(end) + 3 :] = b" " * (length - at - len(end) - 3)
    return struct.pack("<Q", length) + bytes(header)


def test_tensors_that_begin_like_an_import_by_number_are_not_accused() -> None:
    numbers = b"\x83\x11\x22." + b"\x82\x11.." + b"\x84\x01\x02\x03"
    assert verdict(safetensors({"a": info(), "b": info(4, 8), "c": info(8, 12)}, numbers)) == "clean"


@pytest.mark.parametrize("code", [0x8C, ord("T")])
@pytest.mark.parametrize("end", [b"0" + PAYLOAD + b".", b"0" + PAYLOAD + b"~"])
def test_a_file_that_is_a_pickle_as_well_is_read_as_one(code: int, end: bytes) -> None:
    assert verdict(prefixed(code, 60, end)) == "malicious"
