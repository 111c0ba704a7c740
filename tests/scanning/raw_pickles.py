"""Files for the tests of `scan`, written opcode by opcode, so that no pickler ever runs anything hostile.

Every payload would be harmless, and none is ever loaded.
"""

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping

from ptzip.scanning.report import ScanReport
from ptzip.scanning.scan import scan
from tests.small_checkpoints import archive, training_records

PAYLOAD = b"cposix\nsystem\nX\x04\x00\x00\x00true\x85R"
"""posix.system("true"), left on the stack."""


def text(value: str) -> bytes:
    data = value.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(data)) + data


def raw(value: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(value)) + value


def name(path: str) -> bytes:
    """GLOBAL of a full name, split into module and name at the last dot, or at a colon."""
    module, _, last = path.rpartition(".") if ":" not in path else path.partition(":")
    return f"c{module}\n{last}\n".encode()


def stack_global(module: str, qualname: str) -> bytes:
    return text(module) + text(qualname) + b"\x93"


def call(path: str, *arguments: bytes) -> bytes:
    """REDUCE of a name; the arguments are opcodes."""
    return name(path) + b"(" + b"".join(arguments) + b"tR"


def pickled(value: bytes, protocol: int = 2) -> bytes:
    """A pickle of one value, given as opcodes."""
    return b"\x80" + bytes([protocol]) + value + b"."


def valued(value: bytes, protocol: int = 2) -> bytes:
    """A checkpoint with the value among others."""
    return in_zip(pickled(b"}" + text("epoch") + b"K\x01s" + text("value") + value + b"s", protocol))


def thrown(value: bytes, protocol: int = 2) -> bytes:
    """A checkpoint whose pickle first creates the value and pops it."""
    stream = training_records()["data.pkl"]
    return in_zip(stream[:2].replace(b"\x02", bytes([protocol])) + value + b"0" + stream[2:])


def in_zip(pickle: bytes, **others: bytes) -> bytes:
    """The checkpoint of `training_records` with another pickle."""
    records = training_records()
    if b"storage" not in pickle:
        records = {key: data for key, data in records.items() if not key.startswith("data/")}
    return archive(records | {"data.pkl": pickle} | others)


def zipped(records: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """A zip by the standard library."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as made:
        for key, data in records.items():
            made.writestr(key, data)
    return stream.getvalue()


def tarred(members: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        for key, data in members.items():
            info = tarfile.TarInfo(key)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def object_array(stream: bytes) -> bytes:
    """A `.npy` of one object."""
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + stream


def scanned(data: bytes) -> ScanReport:
    return scan(data)


def verdict(data: bytes) -> str:
    return scan(data).verdict.value


def rules(data: bytes) -> set[str]:
    """The rules that found something."""
    return {finding.rule for finding in scan(data).findings}
