"""Subclasses of numpy's arrays: what a file may not make of them."""

import pickle

import pytest

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan
from tests.scanning.raw_pickles import call, name, pickled, raw, text

SHAPE, ZERO = b"K\x01\x85", b"K\x00\x85"
DTYPE = call("numpy.dtype", text("i1"), b"\x89", b"\x88")
RANGE = call("builtins.range", b"\x8a\x06\x00\x00\x00\x00\x00\x01")
ARRAY = call("numpy._core.multiarray._reconstruct", name("numpy.ndarray"), ZERO, text("b"))
STRINGS = call("numpy._core._internal._convert_to_stringdtype_kwargs", b"\x88")
RECORD = call("numpy.dtype", name("numpy.record"), b"\x89", b"\x88")


def masked(cls: str = "numpy.ma.MaskedArray", shape: bytes = ZERO, dtype: bytes = DTYPE, fill: bytes = b"N") -> bytes:
    made = call("numpy.ma.core._mareconstruct", name(cls), name("numpy.ndarray"), shape, text("b"))
    return made + b"(K\x01" + SHAPE + dtype + b"\x89" + raw(b"\1") + raw(b"\0") + fill + b"tb"


def array(dtype: bytes, data: bytes) -> bytes:
    return ARRAY + b"(K\x01" + SHAPE + dtype + b"\x89" + data + b"tb"


def record(size: bytes, flags: bytes = b"K\x10") -> bytes:
    """The dtype of a record with one object, of a size."""
    fields = b"}" + text("a") + call("numpy.dtype", text("O8"), b"\x89", b"\x88") + b"K\x00\x86s"
    return RECORD + b"(K\x03" + text("|") + b"N" + text("a") + b"\x85" + fields + size + b"K\x01" + flags + b"tb"


@pytest.mark.parametrize("value", [masked(), ARRAY.replace(b"ndarray", b"matrix")])
def test_subclasses_are_clean_as_numpy_writes_them(value: bytes) -> None:
    assert scan(pickled(value)).verdict is Verdict.CLEAN


@pytest.mark.parametrize(
    "value",
    [
        masked(cls="collections.OrderedDict"),
        masked(shape=b"J\xff\xff\xff\x7f\x85"),
        masked(dtype=call("numpy.dtype", text("V99999999"), b"\x89", b"\x88")),
        masked(fill=RANGE),
        masked(fill=array(DTYPE, raw(b"\1"))),
        array(STRINGS, b"](" + b"](K\x01ee"),
        array(STRINGS, RANGE),
        call("numpy._core._internal._convert_to_stringdtype_kwargs", b"\x88", RANGE),
    ],
)
def test_sizes_and_values_that_numpy_does_not_write_are_no_part_of_arrays(value: bytes) -> None:
    assert scan(pickled(value)).verdict in (Verdict.REVIEW, Verdict.MALICIOUS)


@pytest.mark.parametrize(
    "value",
    [
        array(record(b"K\x08"), raw(b"AAAAAAAA")),
        array(record(b"K\x04", b"K\x3f"), raw(b"AAAAAAAA")),
        array(STRINGS, raw(b"A" * 16)),
        call("numpy._core.multiarray.scalar", STRINGS, raw(b"A" * 16)),
        call("numpy._core.numeric._frombuffer", raw(b"A" * 16), STRINGS, SHAPE),
    ],
)
def test_bytes_of_the_file_are_never_addresses(value: bytes) -> None:
    assert scan(pickled(value)).verdict is Verdict.MALICIOUS


def test_a_mask_must_be_in_the_file() -> None:
    computed = pickle.dumps(1, 2)  # a number in place of the mask
    assert scan(pickled(masked().replace(raw(b"\0"), computed[2:-1]))).verdict is Verdict.REVIEW
