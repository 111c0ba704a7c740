"""What an allowed call may be given: honest arguments pass, those that ask for memory or call something do not."""

import pytest

from ptzip.allowlist import argument_checks as shapes
from ptzip.allowlist.argument_checks import Shape
from ptzip.pickling.nodes import Call
from ptzip.pickling.reader import read_pickle
from tests.scanning.raw_pickles import call, name, raw, text

HUGE = b"\x8a\x06\0\0\0\0\0\x01"
RANGE = call("builtins.range", HUGE)

PASS: dict[str, tuple[Shape, bytes]] = {
    "bytes": (shapes.sized, call("builtins.bytearray", raw(b"abc"))),
    "text with an encoding": (shapes.encoded, call("_codecs.encode", text("a"), text("latin1"))),
    "items": (shapes.contained, call("builtins.set", b"]K\x01a")),
    "a number": (shapes.plainly, call("builtins.complex", b"K\x01", b"K\x02")),
    "an empty array": (
        shapes.small_array,
        call("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), b"K\0\x85", raw(b"b")),
    ),
    "a type as a factory": (shapes.factory, call("collections.defaultdict", name("builtins.list"))),
    "no factory": (shapes.factory, call("collections.defaultdict", b"N")),
    "bytes to load": (shapes.byte_stream, call("torch.storage._load_from_bytes", raw(b"abc"))),
    "a function that rebuilds": (shapes.rebuilding, call("x.f", name("torch._utils._rebuild_tensor_v2"))),
    "nothing": (shapes.nothing, call("torch.nn.modules.linear.Linear")),
    "a random state": (shapes.bit_generator, call("x.f", text("MT19937"), name("numpy.random._pickle.__bit_generator_ctor"))),
}

FAIL: dict[str, tuple[Shape, bytes]] = {
    "a size": (shapes.sized, call("builtins.bytearray", HUGE)),
    "a range of bytes": (shapes.sized, call("builtins.bytes", RANGE)),
    "another encoding": (shapes.encoded, call("_codecs.encode", text("a"), text("rot13"))),
    "bytes to encode": (shapes.encoded, call("_codecs.encode", raw(b"a"), text("zlib"))),
    "a range": (shapes.contained, call("builtins.list", RANGE)),
    "an object": (shapes.plainly, call("builtins.str", call("collections.OrderedDict"))),
    "a large array": (shapes.small_array, call("x.f", name("numpy.ndarray"), HUGE + b"\x85", raw(b"b"))),
    "a function as a factory": (shapes.factory, call("collections.defaultdict", name("os.getcwd"))),
    "a call as a factory": (shapes.factory, call("collections.defaultdict", call("collections.OrderedDict"))),
    "bytes that are made": (shapes.byte_stream, call("torch.storage._load_from_bytes", call("builtins.bytes"))),
    "another function": (shapes.rebuilding, call("x.f", name("torch._utils._rebuild_evil"))),
    "arguments": (shapes.nothing, call("torch.nn.modules.linear.Linear", HUGE)),
    "a function in a random state": (shapes.bit_generator, call("x.f", text("a"), name("torch.storage._load_from_bytes"))),
}


def complaint(shape: Shape, value: bytes) -> str:
    pickle = read_pickle(b"\x80\x03" + value + b".")
    assert isinstance(pickle.root, Call)
    return shape(pickle.root)


@pytest.mark.parametrize(("shape", "value"), PASS.values(), ids=PASS)
def test_honest_arguments_pass(shape: Shape, value: bytes) -> None:
    assert complaint(shape, value) == ""


@pytest.mark.parametrize(("shape", "value"), FAIL.values(), ids=FAIL)
def test_other_arguments_are_told(shape: Shape, value: bytes) -> None:
    assert complaint(shape, value).startswith(("with ", "on "))
