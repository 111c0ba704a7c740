"""Arrays of numpy: objects are read as the pickle that numpy.load reads, whatever they look like and the header says."""

import struct

import pytest

from tests.scanning.raw_pickles import PAYLOAD, object_array, pickled, verdict, zipped

BREAKS = [
    b"I\0\n0" + PAYLOAD + b"\xff",
    b"(" * 1_100_000 + PAYLOAD,
    b"\xff" + PAYLOAD,
    b"",
    PAYLOAD + b"\xff",
    b"I1\n0" + PAYLOAD,
]


def array(descr: str, data: bytes, version: int = 1, shape: str = "(1,)") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode(
        "utf-8" if version == 3 else "latin-1"
    )
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack("<H" if version == 1 else "<I", len(header)) + header + data


@pytest.mark.parametrize("stream", BREAKS)
def test_objects_that_break_off_are_a_finding(stream: bytes) -> None:
    for data in (object_array(stream), zipped({"a.npy": object_array(stream)})):
        assert verdict(data) != "clean"


SPELLED = r"""
'object' 'O8' '\x4f' '\u004F' ('O',(1,)) [('a','O')] [('a',[('b','O')])] [('a','f4'),('b','|O')] 'object_' 'f4,O' 'O''' "O"
u'O' '=O' [('a','O',(2,))] [(('t','n'),'\117')] '''O''' '\N{DIGIT_ONE}' 1 'f4'+'O' ('V8','O') [('a','V8','O')]
"""


@pytest.mark.parametrize("version", [1, 2, 3])
@pytest.mark.parametrize("descr", SPELLED.split())
def test_objects_are_found_however_the_dtype_is_spelled(descr: str, version: int) -> None:
    assert verdict(array(descr, b"I\0\n0" + PAYLOAD + b"\xff", version)) == "malicious"


@pytest.mark.parametrize("shape", ["(1L,)", "(-1,)", "(1)", "[1]", "(True,)", "(4294967296, 4294967296)", "1"])
def test_objects_are_found_whatever_their_shape(shape: str) -> None:
    assert verdict(array("'|O'", pickled(PAYLOAD), shape=shape)) == "malicious"


def test_every_array_of_several_is_read() -> None:
    numbers = array("'<f4'", bytes(4))
    assert verdict(numbers + array("'<i8'", bytes(8))) == "clean"
    assert verdict(numbers + numbers + object_array(pickled(PAYLOAD))) == "malicious"
    assert verdict(object_array(pickled(b"N")) + object_array(pickled(PAYLOAD))) == "malicious"
    assert verdict(numbers + pickled(PAYLOAD)) == "malicious"


@pytest.mark.parametrize(
    "data", [b"\x93NUMPY", b"\x93NUMPY\x01\x00\xff\xff{", b"\x93NUMPY\x09\x00\x02\x00{}", array("'<f4'", b"\0")]
)
def test_arrays_that_are_cut_off_or_of_another_version_are_no_clean_files(data: bytes) -> None:
    assert verdict(data) != "clean"
