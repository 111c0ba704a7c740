"""joblib files are inspected and verified as joblib reads them: array data between the opcodes, compressed or not."""

import io
from typing import Any

import numpy as np
import pytest

import ptzip

joblib = pytest.importorskip("joblib")

VALUES = {
    "dict": {"a": np.arange(12.0).reshape(3, 4), "f": np.asfortranarray(np.ones((5, 2), np.float32)), "n": [1, "two"]},
    "array": np.arange(100),
    "objects": [np.array([{"a": 1}, None], dtype=object), np.arange(3)],
    "empty": np.zeros((0, 3)),
    "shared": [np.arange(5)] * 3,
}


def dumped(value: Any, **options: Any) -> bytes:
    stream = io.BytesIO()
    joblib.dump(value, stream, **options)
    return stream.getvalue()


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("name", VALUES)
def test_a_file_is_read_to_its_end(name: str, protocol: int) -> None:
    data = dumped(VALUES[name], protocol=protocol)
    report = ptzip.verify(data)
    assert (report.ok, report.format) == (True, "joblib pickle")
    found = ptzip.inspect(data)
    assert found.ok
    assert found.anomalies == ()


@pytest.mark.parametrize("compression", ["zlib", "gzip", "bz2", "xz", "lzma"])
def test_a_compressed_file_is_read(compression: str) -> None:
    data = dumped(VALUES["dict"], compress=(compression, 3))
    assert ptzip.verify(data).ok
    assert ptzip.inspect(data).format.startswith("joblib pickle in ")


def test_arrays_are_shown_with_dtype_and_shape() -> None:
    keys = {key.key: key.kind for key in ptzip.inspect(dumped(VALUES["dict"])).keys}
    assert keys == {"a": "numpy array of float64 [3, 4]", "f": "numpy array of float32 [5, 2]", "n": "list"}


def test_a_file_that_is_cut_off_is_called_so() -> None:
    data = dumped(VALUES["dict"])
    for end in range(40, len(data), 7):
        assert [problem.kind for problem in ptzip.verify(data[:end]).problems][:1] == ["cut"], end


def test_what_works_is_said_where_something_does_not() -> None:
    data = dumped(VALUES["dict"])
    with pytest.raises(ptzip.UnsupportedError, match=r"joblib\.load"):
        ptzip.load(data)
    with pytest.raises(ptzip.UnsupportedError, match=r"joblib\.dump\(value, path, compress=3\)"):
        ptzip.slim(data, "never")
