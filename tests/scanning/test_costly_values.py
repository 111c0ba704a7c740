"""Values that take a loader much more time or memory than the file has bytes are not clean; those of honest files are."""

import struct

import pytest

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan
from tests.scanning.raw_pickles import call, name, raw, text

PRIME = (1 << 61) - 1
HOOKS = call("collections.OrderedDict")


def number(value: int) -> bytes:
    return b"\x8a\x10" + value.to_bytes(16, "little")


def colliding(step: int) -> bytes:
    return b"".join(number((index + 1) * step) for index in range(2000))


def doubled(depth: int, function: str = "") -> bytes:
    """A tuple of a tuple twice, and so on; each made by a function, if one is given."""
    made, pair = (name(function), b"\x86\x85R") if function else (b"", b"\x86")
    return b"K\x01q\x00" + b"".join(b"0" + made + b"h\x00h\x00" + pair + b"q\x00" for _ in range(depth))


def storage(count: int) -> bytes:
    return b"(" + text("storage") + name("torch.FloatStorage") + text("0") + text("cpu") + b"K" + bytes([count]) + b"tQ"


def view(of: bytes, *sizes: int) -> bytes:
    shape = b"(" + b"".join(b"\x8a\x06" + size.to_bytes(6, "little") for size in sizes) + b"t"
    strides = b"(" + b"K\x01" * len(sizes) + b"t"
    return call("torch._utils._rebuild_tensor_v2", of, b"K\x00", shape, strides, b"\x89", HOOKS)


LOADED = call("torch.storage._load_from_bytes", raw(bytes(16)))
RECONSTRUCT = "numpy._core.multiarray._reconstruct"

COSTLY = {
    "keys of one hash": b"}(" + b"".join(number((index + 1) * PRIME) + b"N" for index in range(2000)) + b"u",
    "members of one hash": b"\x8f(" + colliding(PRIME) + b"\x90",
    "members of one hash in a list": call("builtins.set", b"](" + colliding(PRIME) + b"e"),
    "a dict of them that is discarded": b"}(" + colliding(PRIME) + b"u0N",
    "a key of doubled tuples": b"}" + doubled(36) + b"Ns",
    "a key of doubled calls": b"}" + doubled(36, "builtins.tuple") + b"Ns",
    "a key of doubled sizes": b"}" + doubled(36, "torch.Size") + b"Ns",
    "a discarded key": b"}" + doubled(36) + b"Ns0N",
    "a slot of the memo far away": b"Nr" + struct.pack("<I", 99_999_999),
    "an array that is not empty": call(RECONSTRUCT, name("numpy.ndarray"), b"J\x40\x42\x0f\x00\x85", text("V2000000")),
    "a quantized tensor": call(
        "torch._utils._rebuild_qtensor", storage(4), b"K\x00", b"\x8a\x05\0\0\0\0\x10\x85", b"K\x00\x85", b")", b"\x89", HOOKS
    ),
    "a view of a storage in bytes": view(LOADED, 1 << 40),
    "a view by a computed shape": call(
        "torch._utils._rebuild_tensor_v2",
        storage(4),
        b"K\x00",
        call("torch.Size", call("torch.Size", b"\x8a\x06\0\0\0\0\0\x01\x85")),
        b"K\x01\x85",
        b"\x89",
        HOOKS,
    ),
    "a view of many dimensions": view(storage(4), *(1 for _ in range(65))),
    "a repeated parameter that is copied": call(
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
        call("torch._utils._rebuild_parameter", view(storage(4), 1 << 40), b"\x89", HOOKS),
        name("torch.float32"),
        text("cpu"),
        b"\x89",
    ),
}
CHEAP = {
    "large numbers": b"](" + colliding(PRIME + 2) + b"e",
    "one large number many times": b"](" + number(PRIME) * 2000 + b"e",
    "a few doubled tuples": b"}" + doubled(8) + b"Ns",
    "a view of its storage": view(storage(4), 2, 2),
    "a slot of the memo": b"Nr" + struct.pack("<I", 70_000),
}


@pytest.mark.parametrize("what", COSTLY)
def test_a_value_that_costs_much_more_than_its_bytes_is_for_review(what: str) -> None:
    found = scan(b"\x80\x04" + COSTLY[what] + b".")
    assert found.verdict == Verdict.REVIEW
    assert {finding.rule for finding in found.findings} & {"PTZ105", "PTZ207", "PTZ209", "PTZ210", "PTZ402"}


@pytest.mark.parametrize("what", CHEAP)
def test_a_value_that_costs_no_more_is_clean(what: str) -> None:
    found = scan(b"\x80\x04" + CHEAP[what] + b".")
    assert found.verdict == Verdict.CLEAN, found.findings
