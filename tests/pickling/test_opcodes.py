"""The opcode table against python's own, and each argument both ways: what is read is written as the same bytes."""

import io
import math
import mmap
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import FormatError
from ptzip.pickling import opcodes
from ptzip.pickling.opcodes import BY_CODE, BY_NAME, NOTHING, OPCODES, Argument, Opcode, encode

lines = st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))
names = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=10)
texts = st.text(st.characters(exclude_categories=()), max_size=80)

ARGUMENTS: dict[str, tuple[Argument, st.SearchStrategy[Any]]] = {
    "UINT1": (opcodes.UINT1, st.integers(0, 0xFF)),
    "UINT2": (opcodes.UINT2, st.integers(0, 0xFFFF)),
    "UINT4": (opcodes.UINT4, st.integers(0, 0xFFFFFFFF)),
    "UINT8": (opcodes.UINT8, st.integers(0, (1 << 64) - 1)),
    "INT4": (opcodes.INT4, st.integers(-(1 << 31), (1 << 31) - 1)),
    "FLOAT8": (opcodes.FLOAT8, st.floats(allow_nan=False)),
    "LINE": (opcodes.LINE, lines),
    "NAME": (opcodes.NAME, st.tuples(names, names)),
    "BYTES1": (opcodes.BYTES1, st.binary(max_size=0xFF)),
    "BYTES4": (opcodes.BYTES4, st.binary(max_size=300)),
    "BYTES8": (opcodes.BYTES8, st.binary(max_size=300)),
    "SIGNED_BYTES4": (opcodes.SIGNED_BYTES4, st.binary(max_size=300)),
    "TEXT1": (opcodes.TEXT1, st.text(st.characters(exclude_categories=()), max_size=60)),
    "TEXT4": (opcodes.TEXT4, texts),
    "TEXT8": (opcodes.TEXT8, texts),
    "NOTHING": (opcodes.NOTHING, st.none()),
}
"""Every kind of argument with the values that it takes."""

each_kind = pytest.mark.parametrize("kind", list(ARGUMENTS))
each_row = pytest.mark.parametrize("row", OPCODES, ids=lambda row: row.name)


def test_the_table_is_that_of_python() -> None:
    theirs = [(op.name, ord(op.code), op.proto, op.arg is not None) for op in pickletools.opcodes]
    assert [(row.name, row.code, row.protocol, row.argument is not NOTHING) for row in OPCODES] == theirs


def test_every_row_is_found_by_name_and_by_code() -> None:
    assert len(BY_NAME) == len(BY_CODE) == len(OPCODES) == 68
    assert all(BY_NAME[row.name] is row is BY_CODE[row.code] for row in OPCODES)


def test_every_kind_of_argument_is_tried() -> None:
    assert {id(row.argument) for row in OPCODES} == {id(argument) for argument, _ in ARGUMENTS.values()}


@each_kind
@given(st.data())
def test_an_argument_is_read_as_it_was_written(kind: str, data: st.DataObject) -> None:
    argument, values = ARGUMENTS[kind]
    value = data.draw(values)
    raw = argument.write(value)
    assert argument.read(b"??" + raw + b"more", 2) == (value, 2 + len(raw))
    assert argument.write(argument.read(raw, 0)[0]) == raw


@each_row
@given(st.data())
def test_python_finds_the_end_of_an_argument_at_the_same_place(row: Opcode, data: st.DataObject) -> None:
    theirs = pickletools.opcodes[OPCODES.index(row)].arg
    if theirs is None:
        return
    (values,) = (values for argument, values in ARGUMENTS.values() if argument is row.argument)
    stream = io.BytesIO(row.argument.write(_tame(row.name, data.draw(values))) + b"more")
    theirs.reader(stream)
    assert row.argument.read(stream.getvalue(), 0)[1] == stream.tell()


def _tame(name: str, value: Any) -> Any:
    """A line that python's reader, which converts at once, accepts; any other argument as it is."""
    tame = {
        "STRING": b"'text'",
        "UNICODE": b"text",
        "PERSID": b"text",
        "FLOAT": b"1.5",
        "INST": ("a.b", "c"),
        "GLOBAL": ("d", "e.f"),
    }
    if name in ("INT", "LONG", "GET", "PUT"):
        return str(len(value)).encode()
    return tame.get(name, value)


@given(st.binary(min_size=8, max_size=8))
def test_every_float_keeps_its_bits(raw: bytes) -> None:
    value, _ = opcodes.FLOAT8.read(raw, 0)
    assert opcodes.FLOAT8.write(value) == raw


@pytest.mark.parametrize("raw", [b"\x7f\xf0\0\0\0\0\0\1", b"\xff\xf8\0\0\0\0\0\0"])
def test_nan_keeps_its_payload(raw: bytes) -> None:
    value, _ = opcodes.FLOAT8.read(raw, 0)
    assert math.isnan(value)
    assert opcodes.FLOAT8.write(value) == raw


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in ARGUMENTS if kind not in ("NOTHING", "NAME")])
@given(st.data())
def test_an_argument_that_is_cut_short_is_a_format_error(kind: str, data: st.DataObject) -> None:
    argument, values = ARGUMENTS[kind]
    raw = argument.write(data.draw(values))
    cut = data.draw(st.integers(0, len(raw) - 1))
    with pytest.raises(FormatError, match="ends inside an opcode's argument") as caught:
        argument.read(b"??" + raw[:cut], 2)
    assert caught.value.offset is not None
    assert 2 <= caught.value.offset <= 2 + cut


@pytest.mark.parametrize(("cut", "expected"), [(b"os\nsystem", ("os", "syste")), (b"os\n", ("os", "")), (b"osx", ("os", ""))])
def test_a_name_that_is_cut_short_is_what_python_imports(cut: bytes, expected: tuple[str, str]) -> None:
    assert opcodes.NAME.read(b"??" + cut, 2) == (expected, 2 + len(cut))

    class Finder(pickle._Unpickler):
        def find_class(self, module: str, name: str) -> object:
            raise LookupError(module, name)

    with pytest.raises(LookupError) as found:
        Finder(io.BytesIO(b"c" + cut)).load()
    assert found.value.args == expected


@pytest.mark.parametrize("length", [-1, -0x80000000])
def test_a_negative_length_is_a_format_error(length: int) -> None:
    with pytest.raises(FormatError, match="ends inside"):
        opcodes.SIGNED_BYTES4.read(b"before" + struct.pack("<i", length) + b"behind", 6)


@pytest.mark.parametrize(("argument", "layout"), [(opcodes.BYTES8, "<Q"), (opcodes.TEXT8, "<Q"), (opcodes.BYTES4, "<I")])
def test_a_length_beyond_the_stream_costs_nothing(argument: Argument, layout: str) -> None:
    longest = (1 << 8 * struct.calcsize(layout)) - 1
    with pytest.raises(FormatError, match="ends inside"):
        argument.read(struct.pack(layout, longest) + b"few bytes", 0)


@pytest.mark.parametrize("raw", [b"\xff", b"\xc3", b"\x80abc", b"\xf8\x88\x80\x80\x80"])
def test_a_text_that_is_not_utf_8_is_a_format_error(raw: bytes) -> None:
    with pytest.raises(FormatError, match="not UTF-8") as caught:
        opcodes.TEXT1.read(bytes([len(raw)]) + raw, 0)
    assert caught.value.offset == 0
    with pytest.raises(FormatError, match="not UTF-8"):
        opcodes.NAME.read(raw + b"\nname\n", 0)
    with pytest.raises(FormatError, match="not UTF-8"):
        opcodes.NAME.read(b"module\n" + raw + b"\n", 0)


def test_a_surrogate_in_a_text_keeps_its_bytes() -> None:
    for raw in (b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf0\x9f\x98\x80"):
        text, _ = opcodes.TEXT1.read(bytes([len(raw)]) + raw, 0)
        assert opcodes.TEXT1.write(text) == bytes([len(raw)]) + raw


def test_a_mapped_file_is_read_like_bytes(tmp_path: Path) -> None:
    (tmp_path / "pickle").write_bytes(b"\x03abcline\n")
    with (tmp_path / "pickle").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert opcodes.BYTES1.read(mapped, 0) == (b"abc", 4)
        assert opcodes.LINE.read(mapped, 4) == (b"line", 9)


def test_an_opcode_is_encoded_with_its_argument() -> None:
    assert encode("NONE") == b"N"
    assert encode("BININT1", 7) == b"K\x07"
    assert encode("BININT1", 0) == b"K\x00"
    assert encode("GLOBAL", ("torch", "FloatStorage")) == b"ctorch\nFloatStorage\n"
    assert encode("FRAME", 5) == b"\x95\x05\0\0\0\0\0\0\0"
