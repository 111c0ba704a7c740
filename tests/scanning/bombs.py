"""Bombs, scanned in a separate process: `python -m tests.scanning.bombs NAME` prints verdict, seconds and MiB as JSON."""

import gzip
import io
import json
import sys
import time
import zipfile

from ptzip.scanning.scan import scan
from tests.mutation_run import peak
from tests.scanning.raw_pickles import call, in_zip, name, valued


def deflated(records: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as made:
        for key, data in records.items():
            made.writestr(key, data)
    return stream.getvalue()


HUGE = b"\x8a\x06\0\0\0\0\0\x01"
"""2 ** 40."""

DOUBLING = b"]q\x00" + b"".join(b"]q" + bytes([i + 1]) + b"(h" + bytes([i]) + b"h" + bytes([i]) + b"e" for i in range(40))
VERSION = {"a/version": b"3"}

BOMBS = {
    "memo": lambda: in_zip(b"\x80\x02" + DOUBLING + b"."),
    "lists": lambda: valued(b"]" * 1_000_000 + b"a" * 999_999),
    "tuples": lambda: valued(b")" + b"\x85" * 1_000_000),
    "deep": lambda: valued(b"]" * 90_000 + b"a" * 89_999),
    "memo index": lambda: in_zip(b"\x80\x02}r\xf0\xff\xff\xff."),
    "text memo index": lambda: in_zip(b"\x80\x02}p4294967280\n."),
    "a memo index of a gigabyte": lambda: in_zip(b"\x80\x02}p64000000\n."),
    "LONG4": lambda: valued(b"\x8b\0\0\x40\0" + b"\x01" * (1 << 22)),
    "BINUNICODE8": lambda: in_zip(b"\x80\x04\x8d" + (1 << 62).to_bytes(8, "little") + b"abc."),
    "BINBYTES8": lambda: in_zip(b"\x80\x04\x8e" + (1 << 62).to_bytes(8, "little") + b"abc."),
    "BYTEARRAY8": lambda: in_zip(b"\x80\x05\x96" + (1 << 62).to_bytes(8, "little") + b"abc."),
    "FRAME": lambda: in_zip(b"\x80\x04\x95" + (1 << 62).to_bytes(8, "little") + b"N."),
    "bytearray": lambda: valued(call("builtins.bytearray", HUGE)),
    "array": lambda: valued(
        call("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), b"(" + HUGE + b"t", b"C\x01b"), 3
    ),
    "tensor": lambda: valued(call("torch.FloatTensor", HUGE)),
    "range": lambda: valued(call("builtins.list", call("builtins.range", HUGE))),
    "module": lambda: valued(call("torch.nn.modules.linear.Linear", HUGE, HUGE)),
    "a deflated record": lambda: deflated({"a/data.pkl": b"\x80\x02}.", "a/big": bytes(200 << 20)} | VERSION),
    "a deflated pickle": lambda: deflated({"a/data.pkl": b"\x80\x02" + b"N" * (200 << 20) + b"."} | VERSION),
    "gzip": lambda: gzip.compress(bytes(300 << 20), 1),
    "zips in zips": lambda: nested_zips(20),
}


def nested_zips(depth: int) -> bytes:
    data = b"N."
    for _ in range(depth):
        data = deflated({"a/inner": data, "a/again": data[:10]})
    return data


if __name__ == "__main__":
    made = BOMBS[sys.argv[1]]()
    before, started = peak(), time.perf_counter()
    report = scan(made)
    print(
        json.dumps(
            {
                "verdict": report.verdict.value,
                "seconds": time.perf_counter() - started,
                "peak": peak(),
                "before": before,
                "size": len(made) / (1 << 20),
            }
        )
    )
