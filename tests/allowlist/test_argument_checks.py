"""What an allowed call may be given: honest arguments pass, those that ask for memory or call something do not."""

import pytest

from ptzip.allowlist import argument_checks as checks
from ptzip.allowlist.argument_checks import ArgumentCheck
from ptzip.pickling.nodes import Call, plain
from ptzip.pickling.reader import read_pickle
from tests.scanning.raw_pickles import call, name, raw, text

HUGE = b"\x8a\x06\0\0\0\0\0\x01"
RANGE = call("builtins.range", HUGE)

PASS: dict[str, tuple[ArgumentCheck, bytes]] = {
    "bytes": (checks.no_size, call("builtins.bytearray", raw(b"abc"))),
    "text with an encoding": (checks.encoded_text, call("_codecs.encode", text("a"), text("latin1"))),
    "items": (checks.no_range, call("builtins.set", b"]K\x01a")),
    "a number": (checks.plain_values, call("builtins.complex", b"K\x01", b"K\x02")),
    "an empty array": (
        checks.empty_array,
        call("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), b"K\0\x85", raw(b"b")),
    ),
    "a type as a factory": (checks.builtin_factory, call("collections.defaultdict", name("builtins.list"))),
    "no factory": (checks.builtin_factory, call("collections.defaultdict", b"N")),
    "bytes to load": (checks.literal_bytes, call("torch.storage._load_from_bytes", raw(b"abc"))),
    "a function that rebuilds": (checks.tensor_function, call("x.f", name("torch._utils._rebuild_tensor_v2"))),
    "nothing": (checks.no_arguments, call("torch.nn.modules.linear.Linear")),
    "a random state": (checks.numpy_random, call("x.f", text("MT19937"), name("numpy.random._pickle.__bit_generator_ctor"))),
}

FAIL: dict[str, tuple[ArgumentCheck, bytes]] = {
    "a size": (checks.no_size, call("builtins.bytearray", HUGE)),
    "a range of bytes": (checks.no_size, call("builtins.bytes", RANGE)),
    "another encoding": (checks.encoded_text, call("_codecs.encode", text("a"), text("rot13"))),
    "bytes to encode": (checks.encoded_text, call("_codecs.encode", raw(b"a"), text("zlib"))),
    "a range": (checks.no_range, call("builtins.list", RANGE)),
    "an object": (checks.plain_values, call("builtins.str", call("collections.OrderedDict"))),
    "a large array": (checks.empty_array, call("x.f", name("numpy.ndarray"), HUGE + b"\x85", raw(b"b"))),
    "a function as a factory": (checks.builtin_factory, call("collections.defaultdict", name("os.getcwd"))),
    "a call as a factory": (checks.builtin_factory, call("collections.defaultdict", call("collections.OrderedDict"))),
    "bytes that are made": (checks.literal_bytes, call("torch.storage._load_from_bytes", call("builtins.bytes"))),
    "another function": (checks.tensor_function, call("x.f", name("torch._utils._rebuild_evil"))),
    "arguments": (checks.no_arguments, call("torch.nn.modules.linear.Linear", HUGE)),
    "a function in a random state": (checks.numpy_random, call("x.f", text("a"), name("torch.storage._load_from_bytes"))),
}


def complaint(check: ArgumentCheck, value: bytes) -> str:
    pickle = read_pickle(b"\x80\x03" + value + b".")
    assert isinstance(pickle.root, Call)
    return check(pickle.root.arguments)


@pytest.mark.parametrize(("check", "value"), PASS.values(), ids=PASS)
def test_honest_arguments_pass(check: ArgumentCheck, value: bytes) -> None:
    assert complaint(check, value) == ""


@pytest.mark.parametrize(("check", "value"), FAIL.values(), ids=FAIL)
def test_other_arguments_are_refused(check: ArgumentCheck, value: bytes) -> None:
    assert complaint(check, value).startswith(("with ", "on "))


STATES = {
    "numbers": ("f4", b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t", ""),
    "objects": ("O8", b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x3ft", ""),
    "objects without their flags": (
        "O8",
        b"(K\x03" + text("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t",
        "denies its objects",
    ),
    "objects inside, without their flags": (
        "V8",
        b"(K\x03" + text("|") + b"N" + text("O8") + b"NJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t",
        "denies its objects",
    ),
    "objects without flags at all": ("O8", b"]", "denies its objects"),
    "too much": ("f4", b"](" + b"K\x00" * checks.MOST_STATE_NODES + b"e", "too large to check"),
}


@pytest.mark.parametrize(("code", "state", "complaint"), STATES.values(), ids=STATES)
def test_the_state_of_a_dtype_may_not_deny_its_objects(code: str, state: bytes, complaint: str) -> None:
    pickle = read_pickle(b"\x80\x03" + call("numpy.dtype", text(code)) + state + b"b.")
    assert isinstance(pickle.root, Call)
    found = checks.dtype_state(pickle.root.arguments, plain(pickle.root.steps[-1].items[0]))
    assert complaint in found
    assert bool(complaint) == bool(found)
