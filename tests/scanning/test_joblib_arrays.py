"""joblib files: the bytes after each array are those that joblib skips, or there is a finding.

Every variant was loaded by joblib 1.5 with a harmless payload, which it reached where the comment of its group says so.
"""

import io
import struct
from typing import Any

import numpy as np
import pytest

from tests.scanning.raw_pickles import PAYLOAD, name, pickled, scanned, text, verdict

NUMBER = b"J\xff\xff\xff\xff"


def dtype(code: str = "f8", size: bytes = NUMBER, flags: bytes = b"K\x00", fields: bytes = b"NNN") -> bytes:
    state = b"(K\x03" + text("|") + fields + size + size + flags + b"tb"
    return name("numpy.dtype") + text(code) + b"\x89\x88\x87R" + state


def wrapped(data: bytes, end: bytes = b".", proto: bytes = b"\x80\x03", more: bytes = b"", **changed: bytes) -> bytes:
    """A pickle of one array; `changed` are attributes of the wrapper as opcodes, `more` further ones."""
    attributes = {
        "subclass": name("numpy.ndarray"),
        "shape": b"K\x01\x85",
        "order": text("C"),
        "dtype": dtype(),
        "allow_mmap": b"\x88",
    } | changed
    state = b"}(" + b"".join(text(key) + value for key, value in attributes.items()) + more + b"u"
    return proto + name("joblib.numpy_pickle.NumpyArrayWrapper") + b")\x81" + state + b"b" + data + end


HIDDEN = PAYLOAD + b"."
"""What joblib reads after the array."""


def swallowed(skipped: int, read: int) -> bytes:
    """Array data of `read` bytes; a reader that skips fewer takes what follows for the text of a BINSTRING."""
    head = b"\x05" + bytes(skipped - 1) + b"T"
    return (head + struct.pack("<i", read - len(head) - 4 + len(HIDDEN))).ljust(read, b"\0")


LYING: dict[str, bytes] = {
    # joblib runs the payload: the alignment is not None
    **{
        f"alignment {value!r}": wrapped(swallowed(8, 14), HIDDEN + b"0.", numpy_array_alignment_bytes=value)
        for value in (b"K\x00", b"\x89", text(""), b")", b"]", b"G" + bytes(8), b"}")
    },
    # joblib runs the payload: the size is that of the state
    "V1 of 14": wrapped(swallowed(1, 14), HIDDEN + b"0.", dtype=dtype("V1", b"K\x0e")),
    "S1 of 14": wrapped(swallowed(1, 14), HIDDEN + b"0.", dtype=dtype("S1", b"K\x0e")),
    "U1 of 16": wrapped(swallowed(4, 16), HIDDEN + b"0.", dtype=dtype("U1", b"K\x10")),
    # joblib runs the payload: the data are behind the frame
    "in a frame": b"\x80\x04\x95"
    + struct.pack("<Q", len(wrapped(b"", HIDDEN, proto=b"")))
    + wrapped(b"", HIDDEN, proto=b"")
    + bytes(8),
    # joblib calls attributes of the wrapper
    "a method": wrapped(b"", more=text("read") + name("builtins.print")),
    "a method instead of an attribute": wrapped(
        bytes(8), more=text("safe_get_numpy_array_alignment_bytes") + name("builtins.len")
    ),
    "an attribute twice": wrapped(bytes(8), more=text("shape") + b"K\x02\x85"),
    # joblib crashes: objects that are said to be numbers
    "objects without their flag": wrapped(bytes(8), dtype=dtype("O8")),
    "numbers with a flag of objects": wrapped(pickled(b"N"), dtype=dtype("f8", flags=b"K\x01")),
    # joblib raises an error, or not, by version
    "a negative shape": wrapped(bytes(8), shape=NUMBER + NUMBER + b"\x86"),
    "a shape that wraps around": wrapped(b"", shape=b"\x8a\x05\0\0\0\0\x01\x8a\x05\0\0\0\0\x01\x86"),
    "a list as shape": wrapped(bytes(8), shape=b"]"),
    "a truth value as shape": wrapped(bytes(8), shape=b"\x88\x85"),
    "a text as shape": wrapped(bytes(8), shape=text("1")),
    "another order": wrapped(bytes(8), order=text("K")),
    "an element without bytes": wrapped(b"", dtype=dtype("V0", b"K\x00")),
    "no data": wrapped(b"\x88"),
    # joblib runs the payload in the pickle of the objects
    "objects that break off": wrapped(b"I\0\n0" + PAYLOAD + b"\xff", dtype=dtype("O8", flags=b"K?")),
    # joblib loads another file
    "a file": b"\x80\x03"
    + name("joblib.numpy_pickle_compat.NDArrayWrapper")
    + b")\x81}"
    + text("filename")
    + text("/a")
    + b"sb.",
}


@pytest.mark.parametrize("data", LYING.values(), ids=LYING.keys())
def test_an_array_that_joblib_would_not_write_so_is_a_finding(data: bytes) -> None:
    assert verdict(data) not in ("clean", "unreadable")


def test_what_joblib_reads_after_an_array_is_read() -> None:
    assert verdict(wrapped(bytes(8), HIDDEN)) == "malicious"
    assert verdict(wrapped(bytes(8))) == "clean"
    padded = b"\x04" + b"\xff" * 4 + bytes(8)
    assert verdict(wrapped(padded, HIDDEN, numpy_array_alignment_bytes=b"K\x10")) == "malicious"
    assert verdict(wrapped(padded, numpy_array_alignment_bytes=b"K\x10")) == "clean"
    assert verdict(wrapped(bytes(8), numpy_array_alignment_bytes=b"N")) == "clean"


def test_what_another_loader_runs_in_the_data_of_an_array_is_read() -> None:
    assert verdict(wrapped(PAYLOAD.ljust(40, b"\0"), dtype=dtype("S40", b"K\x28"))) == "malicious"


def test_what_joblib_before_its_padding_reads_behind_an_array_is_read() -> None:
    data = b"\x28" + bytes(7) + HIDDEN.ljust(33, b"\0") + bytes(8)  # a padding of 40, or an array of 8 and a pickle
    assert verdict(wrapped(data, numpy_array_alignment_bytes=b"K\x10")) == "malicious"


RANDOM = np.random.default_rng(0)
HONEST: dict[str, Any] = {
    "numbers": np.arange(6.0).reshape(2, 3),
    "fortran": np.asfortranarray(RANDOM.standard_normal((5, 4))),
    "objects": {"a": 1, "b": 2, "c": 3, "weights": np.array([1, "a", None, [1, 2]], object)},
    "arrays of arrays": np.array([np.arange(3), np.arange(4.0)], object),
    "texts": [np.array(["abc", "d"]), np.array([b"abc"])],
    "structured": np.zeros(3, [("a", "f4", (2, 2)), ("b", [("c", "i2")])]),
    "structured objects": np.array([(1, "x")], [("a", "i4"), ("b", "O")]),
    "times": [np.array(["2020-01-01"], "M8[ns]"), np.array([5], "m8[s]")],
    "empty": [np.zeros((0, 5)), np.zeros(0, "U3"), np.array(5.0)],
    "random bytes": [RANDOM.integers(0, 255, 1000).astype("u1") for _ in range(300)],
    "shared": [np.arange(3)] * 3,
}


@pytest.mark.parametrize("key", HONEST)
@pytest.mark.parametrize("compress", [0, ("zlib", 3), ("xz", 3)])
def test_what_joblib_writes_is_clean(key: str, compress: Any) -> None:
    joblib = pytest.importorskip("joblib")
    for protocol in (2, 3, 4, 5):
        file = io.BytesIO()
        joblib.dump(HONEST[key], file, compress=compress, protocol=protocol)
        report = scanned(file.getvalue())
        assert (report.verdict, report.findings) == ("clean", ())
