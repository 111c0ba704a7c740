"""Scans files in a process that exits as soon as code of a file runs: `python -m tests.scanning.audited_scan FILE…`.

Once the modules that a scan needs are imported, nothing may be imported, compiled, started, connected to or opened for writing
anywhere. One line of JSON is printed for each file.
"""

import bz2
import gzip
import io
import json
import lzma
import sys
import tarfile
import tempfile
import zlib
from pathlib import Path

import zstandard

from ptzip.scanning.scan import scan
from tests.cli.audited_commands import watch
from tests.scanning.raw_pickles import object_array, pickled, valued


def warm_up() -> None:
    """Let Python import all that a scan needs, before the hook forbids it."""
    plain = valued(b"K\x01")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        made.addfile(tarfile.TarInfo("empty"))
    packed = (pack(plain) for pack in (bz2.compress, gzip.compress, lzma.compress, zlib.compress, zstandard.compress))
    array = object_array(pickled(b"N"))
    for data in (plain, *packed, stream.getvalue(), array, b"\x02\0\0\0\0\0\0\0{}", b"\x80\x02N."):
        scan(data)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.pt").write_bytes(plain)
        scan(Path(folder, "a.pt"))
    b"text".decode("raw-unicode-escape")  # the codec of opcode UNICODE, which Python imports at its first use
    print(json.dumps([1.5, "\n"]), flush=True)


if __name__ == "__main__":
    warm_up()
    watch("/nowhere/")
    for file in sys.argv[1:]:
        print(json.dumps([file, scan(file).verdict.value]))
