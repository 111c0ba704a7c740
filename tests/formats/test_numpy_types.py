"""The elements of arrays: every reading agrees with numpy, and a dtype that numpy would not write so has none."""

import io
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.formats import npy
from ptzip.formats.numpy_types import ItemType, described, pickled
from ptzip.io.sources import BytesSource
from ptzip.pickling.nodes import Node
from ptzip.pickling.reader import read_pickle
from tests.scanning.raw_pickles import call, text

pytestmark = pytest.mark.filterwarnings("ignore:Passing .type, 1.:FutureWarning")  # numpy 1.26

CODES = st.sampled_from("?bhilBHILefdFDO") | st.sampled_from(
    ("<f4", ">i8", "|u1", "S5", "<U3", ">U2", "V7", "|S1", "M8[ns]", "<m8[25s]", "=f8", "O", "|b1", "g")
)
FORMATS = st.recursive(
    CODES,
    lambda inner: st.lists(
        inner | st.tuples(inner, st.lists(st.integers(0, 3), max_size=2).map(tuple)), min_size=1, max_size=3
    ),
    max_leaves=6,
)


def dtype_of(given: Any, align: bool = False) -> "np.dtype[Any]":
    if isinstance(given, list):
        return np.dtype([(f"f{index}", dtype_of(each)) for index, each in enumerate(given)], align=align)
    return np.dtype((dtype_of(given[0]), given[1])) if isinstance(given, tuple) else np.dtype(given)


def root(data: bytes) -> Node:
    found = read_pickle(data).root
    assert found is not None
    return found


@given(FORMATS, st.booleans(), st.sampled_from((2, 4, 5)))
def test_a_dtype_has_the_size_that_numpy_says(formats: Any, align: bool, protocol: int) -> None:
    dtype = dtype_of(formats, align)
    expected = ItemType(dtype.itemsize, dtype.hasobject)
    assert pickled(root(pickle.dumps(dtype, protocol)), {}) == expected
    assert described(np.lib.format.dtype_to_descr(dtype)) == expected


DESCRS = st.recursive(
    st.text("<|OfiSUVb148", max_size=3) | st.sampled_from(("object", "f4,O", "O8", "o", "M8[ns]", "V8")),
    lambda inner: (
        st.lists(st.tuples(st.sampled_from(("a", "b", "")), inner) | st.tuples(st.just("c"), inner, st.just((2,))))
        | st.tuples(inner, inner | st.integers(-1, 3) | st.just((2, 2)))
    ),
    max_leaves=5,
)


@given(DESCRS)
def test_what_is_taken_for_numbers_has_no_objects_in_numpy(descr: Any) -> None:
    item = described(descr)
    try:
        dtype = np.lib.format.descr_to_dtype(descr)
    except (TypeError, ValueError, SyntaxError, RuntimeError):
        return
    assert item in (None, (dtype.itemsize, dtype.hasobject))


@given(FORMATS, st.lists(st.integers(0, 3), max_size=3).map(tuple), st.booleans())
def test_an_array_ends_where_numpy_stops_reading(formats: Any, shape: tuple[int, ...], fortran: bool) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros(shape, dtype_of(formats), order="F" if fortran else "C"))
    data = file.getvalue()
    found = npy.layout(BytesSource(data))
    if found.size is None:
        assert read_pickle(data, found.start).end == len(data)
    else:
        assert found.start + found.size == len(data)


def state(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"tb"


LESS, BAR, NONE, MINUS = text("<"), text("|"), b"N", b"J\xff\xff\xff\xff"
PLAIN = (b"K\x03", LESS, NONE, NONE, NONE, MINUS, MINUS, b"K\x00")


@pytest.mark.parametrize(
    "data",
    [
        call("numpy.dtype", text("f8"), b"\x89", b"\x88"),
        call("numpy.dtype", text("f8"), b"\x89", b"\x88") + state(*PLAIN) * 2,
        call("numpy.dtype", text("f8"), b"\x89", b"\x89") + state(*PLAIN),
        call("numpy.dtype", text("f8")) + state(*PLAIN),
        call("numpy.dtype", text("f8"), b"\x89", b"\x88") + state(*PLAIN[:5], b"K\x0e", *PLAIN[6:]),
        call("numpy.dtype", text("O8"), b"\x89", b"\x88") + state(*PLAIN),
        call("numpy.dtype", text("f8"), b"\x89", b"\x88") + state(*PLAIN[:7], b"K\x01"),
        call("numpy.dtype", text("V1"), b"\x89", b"\x88") + state(*PLAIN[:5], b"K\x0e", b"K\x01", b"K\x00"),
        call("numpy.dtype", text("object"), b"\x89", b"\x88") + state(*PLAIN),
        call("numpy.dtype", text("f8"), b"\x89", b"\x88") + state(*PLAIN[:7], b"K\x38"),  # numpy crashes
        call("numpy.dtype", text("V4"), b"\x89", b"\x88")
        + state(*PLAIN[:3], text("a") + b"\x85", b"}", b"K\x04", b"K\x01", b"K\x10"),
        call("other.dtype", text("f8"), b"\x89", b"\x88") + state(*PLAIN),
    ],
)
def test_a_dtype_that_numpy_does_not_pickle_so_is_unknown(data: bytes) -> None:
    assert pickled(root(b"\x80\x03" + data + b"."), {}) is None


def test_an_aligned_structure_is_read_as_numpy_1_and_2_write_it() -> None:
    field = text("a") + call("numpy.dtype", text("i4"), b"\x89", b"\x88") + state(*PLAIN) + b"K\x00\x86"
    for flags in (b"J\x90\xff\xff\xff", b"K\x90"):
        fields = state(b"K\x03", BAR, NONE, text("a") + b"\x85", b"}" + field + b"s", b"K\x04", b"K\x04", flags)
        data = call("numpy.dtype", text("V4"), b"\x89", b"\x88") + fields
        assert pickled(root(b"\x80\x03" + data + b"."), {}) == (4, False)


def test_dtypes_that_hold_one_another_again_and_again_take_no_time() -> None:
    dtype: np.dtype[Any] = np.dtype("i1")
    for _ in range(14):
        dtype = np.dtype([("a", dtype), ("b", dtype)])
    assert pickled(root(pickle.dumps(dtype)), {}) == (1 << 14, False)
