"""The budget of one file: what exceeds it is a finding."""

import gzip
import time

import pytest

from ptzip.limits import SCAN_LIMITS
from ptzip.scanning.scan import scan
from tests.scanning.raw_pickles import PAYLOAD, call, in_zip, name, pickled, text, valued, verdict, zipped

QUICK = 2.0
"""Seconds; quadratic algorithms took minutes."""


def many(count: int) -> bytes:
    """Harmless pickles one after the other, and a call after them."""
    return b"N." * count + PAYLOAD + b"."


@pytest.mark.slow
def test_a_pickle_after_many_others_is_judged() -> None:
    assert verdict(many(1000)) == "malicious"
    assert verdict(many(SCAN_LIMITS.pickles)) != "clean"


def test_opcodes_are_counted_over_the_whole_file() -> None:
    limits = SCAN_LIMITS._replace(opcodes=1000)
    few = {f"{number}.pkl": pickled(b"N0" * 200 + b"N") for number in range(9)}
    assert scan(zipped({"one.pkl": few["0.pkl"]}), limits=limits).findings == scan(zipped({"one.pkl": few["0.pkl"]})).findings
    assert "PTZ209" in {finding.rule for finding in scan(zipped(few), limits=limits).findings}


def test_inflated_bytes_are_counted_over_the_whole_file() -> None:
    limits = SCAN_LIMITS._replace(inflated_bytes=1 << 20)
    packed = gzip.compress(b"\xff" * (1 << 19))
    assert "PTZ318" not in {finding.rule for finding in scan(zipped({"a.gz": packed}), limits=limits).findings}
    assert "PTZ318" in {finding.rule for finding in scan(zipped({f"{n}.gz": packed for n in range(4)}), limits=limits).findings}


def test_the_limits_of_the_caller_apply() -> None:
    big = in_zip(pickled(text("x" * 5000)))
    assert scan(big).verdict == "clean"
    assert scan(big, limits=SCAN_LIMITS._replace(pickle_bytes=1000)).verdict == "review"
    packed = gzip.compress(valued(b"N") + bytes(1 << 16))
    assert scan(packed, limits=SCAN_LIMITS._replace(unpacked_bytes=1000)).verdict == "review"


SHARED = {
    "a put behind many appends": b"]" + b"(" + b"N" * 20_000 + b"e" + b"q\x01" + b"Na" * 20_000 + b"q\x02",
    "a state that many objects share": b"}q\x00("
    + b"".join(text(f"k{n}") + b"]" for n in range(2000))
    + b"u0("
    + (name("argparse.Namespace") + b")\x81h\x00b") * 2000
    + b"l",
    "a long text given to many calls": text("x" * (1 << 20)) + b"q\x000(" + (name("a.B") + b"h\x00\x85R") * 500 + b"l",
}


@pytest.mark.parametrize("value", SHARED.values(), ids=SHARED)
def test_shared_nodes_are_checked_once(value: bytes) -> None:
    data, started = valued(value), time.process_time()
    scan(data)
    assert time.process_time() - started < QUICK


def attributes(depth: int) -> bytes:
    """`getattr` of `getattr` of ... a class, called."""
    chain = name("a.B")
    for _ in range(depth):
        chain = call("builtins.getattr", chain, text("c"))
    return chain + b")R"


STRANGE = {
    "attributes of attributes": valued(attributes(2000)),
    "a persistent id that is a number of 20,000 bits": valued(b"\x8b\xc4\x09\0\0" + b"\x7f" * 2500 + b"Q"),
    "a persistent id of many parts": valued(b"]q\x000(" + b"h\x00" * 5000 + b"tQ"),
}


@pytest.mark.parametrize("data", STRANGE.values(), ids=STRANGE)
def test_odd_pickles_are_no_error(data: bytes) -> None:
    scan(data)
