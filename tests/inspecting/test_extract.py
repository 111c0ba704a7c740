"""Bytes that are taken out of a file: records, stretches, and tensors as numpy reads them."""

import gzip
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

import ptzip
from ptzip.inspecting.extract import crc_fault, extracted
from ptzip.io.payloads import read_all
from ptzip.limits import DEFAULT_LIMITS
from ptzip.mapping.where import where
from tests.corpus import FIXTURES
from tests.files_of_checkpoints import sb3_files, zipped
from tests.small_checkpoints import archive, training_records

SHARING = FIXTURES / "sharing.pt"


def taken(file: Path | bytes, name: str, is_raw: bool = False) -> bytes:
    with extracted(file, where(name), DEFAULT_LIMITS, is_raw) as (_, payload):
        return read_all(payload)


def test_every_record_of_a_zip_is_as_zipfile_reads_it() -> None:
    with zipfile.ZipFile(SHARING) as packed:
        for name in packed.namelist():
            assert taken(SHARING, name) == packed.read(name)
            assert taken(SHARING, name.partition("/")[2]) == packed.read(name)


def test_every_tensor_is_as_it_is_read() -> None:
    with ptzip.open(SHARING) as checkpoint:
        for name, tensor in checkpoint.items():
            if np.dtype(tensor.numpy().dtype).isbuiltin == 1:
                assert np.array_equal(np.load(io.BytesIO(taken(SHARING, name))), tensor.numpy())


def test_a_dtype_that_numpy_lacks_is_refused_with_the_storage() -> None:
    with pytest.raises(ptzip.UnsupportedError, match="numpy has no dtype bfloat16: extract the bytes of its storage, 8"):
        taken(SHARING, "model.model.0.of_bfloat16")


def test_a_record_is_inflated_unless_it_is_raw() -> None:
    data = zipped(sb3_files(), zipfile.ZIP_DEFLATED)
    whole, raw = taken(data, "data"), taken(data, "data", is_raw=True)
    assert whole == sb3_files()["data"]
    assert raw != whole
    assert raw in data


def test_a_stretch_of_a_file_that_does_not_open_is_taken() -> None:
    assert taken(b"no checkpoint", "3:5") == b"check"


def test_a_record_of_a_zip_that_is_cut_off_is_taken() -> None:
    data = archive(training_records())
    assert taken(data[: len(data) * 3 // 4], "data.pkl") == training_records()["data.pkl"]


def test_a_record_of_a_compressed_file_is_taken() -> None:
    assert taken(gzip.compress(archive(training_records())), "data.pkl") == training_records()["data.pkl"]


def test_a_wrong_crc_is_noticed() -> None:
    data = archive(training_records()).replace(training_records()["data/0"], b"\1" * len(training_records()["data/0"]))
    with extracted(data, where("data/0"), DEFAULT_LIMITS) as (_, payload):
        assert crc_fault(payload) == ""
        read_all(payload)
        assert crc_fault(payload) == "the CRC of last/data/0 does not match its bytes"


def test_what_is_not_there_is_an_error() -> None:
    with pytest.raises(ptzip.EditError, match="there is no record or tensor nothing: `--records`"):
        taken(SHARING, "nothing")
