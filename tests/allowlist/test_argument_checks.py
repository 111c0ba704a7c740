"""What an allowed call may be given: honest arguments pass, those that ask for memory or call something do not."""

import contextlib
import random

import pytest

from ptzip.allowlist import argument_checks as checks
from ptzip.allowlist import numpy_checks as arrays
from ptzip.allowlist.judge import MOST_COPIED, Judge
from ptzip.allowlist.signatures import ArgumentCheck, MemoryFault, takes
from ptzip.allowlist.table import ALLOWED, allowed_row
from ptzip.errors import PtzipError
from ptzip.formats.container import Part, nothing_stored
from ptzip.pickling.nodes import Call
from ptzip.pickling.reader import read_pickle
from ptzip.values.builder import build
from tests.scanning.raw_pickles import call, name, raw, text

HUGE = b"\x8a\x06\0\0\0\0\0\x01"
RANGE = call("builtins.range", HUGE)

PASS: dict[str, tuple[ArgumentCheck, bytes]] = {
    "bytes": (checks.new_bytes, call("builtins.bytearray", raw(b"abc"))),
    "text with an encoding": (checks.encoded_text, call("_codecs.encode", text("a"), text("latin1"))),
    "items": (takes("items?"), call("builtins.set", b"]K\x01a")),
    "a number": (takes("number? number?"), call("builtins.complex", b"K\x01", b"K\x02")),
    "an empty array": (
        arrays.empty_array,
        call("numpy.core.multiarray._reconstruct", name("numpy.ndarray"), b"K\0\x85", raw(b"b")),
    ),
    "a type as a factory": (checks.builtin_factory, call("collections.defaultdict", name("builtins.list"))),
    "no factory": (checks.builtin_factory, call("collections.defaultdict", b"N")),
    "bytes to load": (checks.literal_bytes, call("torch.storage._load_from_bytes", raw(b"abc"))),
    "a view without a shape": (checks.view, call("x.f", call("torch.storage._load_from_bytes", raw(b"abc")))),
    "a function that rebuilds": (
        checks.tensor_function,
        call("x.f", name("torch._utils._rebuild_tensor_v2"), name("torch.Tensor"), b")", b"}"),
    ),
    "nothing": (checks.no_arguments, call("torch.nn.modules.linear.Linear")),
    "a random state": (arrays.numpy_random, call("x.f", text("MT19937"), name("numpy.random._pickle.__bit_generator_ctor"))),
}

FAIL: dict[str, tuple[ArgumentCheck, bytes]] = {
    "a size": (checks.new_bytes, call("builtins.bytearray", HUGE)),
    "a range of bytes": (checks.new_bytes, call("builtins.bytes", RANGE)),
    "another encoding": (checks.encoded_text, call("_codecs.encode", text("a"), text("rot13"))),
    "bytes to encode": (checks.encoded_text, call("_codecs.encode", raw(b"a"), text("zlib"))),
    "a range": (takes("items?"), call("builtins.list", RANGE)),
    "an object": (takes("number? number?"), call("builtins.str", call("collections.OrderedDict"))),
    "a large array": (arrays.empty_array, call("x.f", name("numpy.ndarray"), HUGE + b"\x85", raw(b"b"))),
    "a function as a factory": (checks.builtin_factory, call("collections.defaultdict", name("os.getcwd"))),
    "a call as a factory": (checks.builtin_factory, call("collections.defaultdict", call("collections.OrderedDict"))),
    "bytes that are made": (checks.literal_bytes, call("torch.storage._load_from_bytes", call("builtins.bytes"))),
    "another function": (checks.tensor_function, call("x.f", name("torch._utils._rebuild_evil"))),
    "arguments": (checks.no_arguments, call("torch.nn.modules.linear.Linear", HUGE)),
    "a function in a random state": (arrays.numpy_random, call("x.f", text("a"), name("torch.storage._load_from_bytes"))),
}


def complaint(check: ArgumentCheck, value: bytes) -> str:
    pickle = read_pickle(b"\x80\x03" + value + b".")
    assert isinstance(pickle.root, Call)
    return check(Judge(pickle), pickle.root.arguments)


@pytest.mark.parametrize(("check", "value"), PASS.values(), ids=PASS)
def test_honest_arguments_pass(check: ArgumentCheck, value: bytes) -> None:
    assert complaint(check, value) == ""


@pytest.mark.parametrize(("check", "value"), FAIL.values(), ids=FAIL)
def test_other_arguments_are_refused(check: ArgumentCheck, value: bytes) -> None:
    assert complaint(check, value).startswith(("with ", "on "))


ANYTHING = (
    *(b"N", b"K\x01", HUGE, text("cpu"), raw(b"ab"), b")", b"K\x04\x85", b"]", b"}", b"(K\x02K\x02t"),
    *(name("torch.FloatStorage"), name("torch.Tensor"), call("torch.storage._load_from_bytes", raw(b"ab"))),
    *(call("collections.OrderedDict"), call("torch._utils._rebuild_tensor_v2"), RANGE),
)


def test_any_number_of_any_arguments_is_judged_and_built_or_refused() -> None:
    chance = random.Random(0)
    for path in [f"{module}.{last}" for module, last in sorted(ALLOWED) for _ in range(25)]:
        value = call(path, *chance.choices(ANYTHING, k=chance.randrange(6)))
        pickle = read_pickle(b"\x80\x03" + value + b".")
        row = allowed_row(*path.rsplit(".", 1))
        if row is not None and row.check is not None and isinstance(pickle.root, Call):
            assert isinstance(row.check(Judge(pickle), pickle.root.arguments), str)
        with contextlib.suppress(PtzipError):
            build(Part("a pickle", pickle, nothing_stored), unknown="keep")


END = b"J\xff\xff\xff\xffJ\xff\xff\xff\xff"
OBJECTS = call("numpy.dtype", text("O8")) + b"(K\x03" + text("|") + b"NNN" + END + b"K\x3ftb"
FIELD = b"(" + text("a") + b"t}" + text("a") + OBJECTS + b"K\x00\x86s"
NUMBERS = b"(K\x03" + text("<") + b"NNN" + END + b"K\x00t"

STATES = {
    "numbers": ("f4", NUMBERS + b"b", ""),
    "objects": ("O8", b"(K\x03" + text("|") + b"NNN" + END + b"K\x3ftb", ""),
    "a field of objects": ("V8", b"(K\x03" + text("|") + b"N" + FIELD + b"K\x08K\x01K\x1btb", ""),
    "an aligned structure of numpy 1": ("V4", b"(K\x03" + text("|") + b"NNNK\x04K\x01J\x90\xff\xff\xfftb", ""),
    "flags of more than a byte": ("V4", b"(K\x03" + text("|") + b"NNNK\x04K\x01J\x10\xff\xff\xfftb", "or claims some"),
    "flags that are no number": ("O8", b"(K\x03" + text("|") + b"NNN" + END + b"Ntb", "denies its objects"),
    "objects without their flags": ("O8", b"(K\x03" + text("|") + b"NNN" + END + b"K\x00tb", "denies its objects"),
    "numbers with the flags of objects": ("f8", b"(K\x03" + text("<") + b"NNN" + END + b"K\x04tb", "or claims some"),
    "a field without their flags": ("V8", b"(K\x03" + text("|") + b"N" + FIELD + b"K\x08K\x01K\x00tb", "denies its objects"),
    "a name of no field": (
        "V8",
        b"(K\x03" + text("|") + b"N" + FIELD.replace(b"(" + text("a"), b"(" + text("a") + text("b"), 1) + b"K\x08K\x01K\x1btb",
        "do not fit",
    ),
    "a field beyond its size": ("V4", b"(K\x03" + text("|") + b"N" + FIELD + b"K\x04K\x01K\x1btb", "do not fit"),
    "another size": ("V4", b"(K\x03" + text("|") + b"NNNK\x08K\x01K\x00tb", "another size"),
    "no tuple": ("O8", b"]b", "does not write"),
    "two states": ("f4", NUMBERS + b"b" + NUMBERS + b"b", "several states"),
    "metadata that are computed": ("f4", NUMBERS[:-1] + call("x.f") + b"tb", "computed"),
}


@pytest.mark.parametrize(("code", "state", "complaint"), STATES.values(), ids=STATES)
def test_the_state_of_a_dtype_is_one_that_numpy_writes(code: str, state: bytes, complaint: str) -> None:
    pickle = read_pickle(b"\x80\x03" + call("numpy.dtype", text(code)) + state + b".")
    row = allowed_row("numpy", "dtype")
    assert isinstance(pickle.root, Call)
    assert row is not None
    found = Judge(pickle).misused(pickle.root.arguments, None, pickle.root, row)
    assert complaint in found
    assert bool(complaint) == isinstance(found, MemoryFault)


@pytest.mark.parametrize("path", ["torch._C.Generator", "numpy.random._pickle.__randomstate_ctor", "collections.deque"])
def test_large_objects_are_counted_as_if_their_bytes_were_copied(path: str) -> None:
    pickle = read_pickle(b"\x80\x03" + name(path) + b"q\x00(" + b"h\x00)R" * 20_000 + b"l.")
    judge, row = Judge(pickle), allowed_row(*path.rsplit(".", 1))
    assert row is not None
    wrong = [judge.misused(node.arguments, None, node, row) for node in pickle.calls if isinstance(node, Call)]
    assert not wrong[500]
    assert "copies more" in wrong[-1]


def test_calls_that_share_their_arguments_copy_no_more_than_a_budget() -> None:
    data = raw(bytes(1000)) + b"q\x00" + name("builtins.bytearray") + b"q\x01" + b"(" + b"h\x01h\x00\x85R" * 1000 + b"t\x87."
    pickle = read_pickle(b"\x80\x03" + data)
    judge, row = Judge(pickle), allowed_row("builtins", "bytearray")
    assert row is not None
    wrong = [judge.misused(node.arguments, None, node, row) for node in pickle.calls if isinstance(node, Call)]
    assert wrong.index("and copies more than is in the file, together with other calls") in range(200, 20 + MOST_COPIED // 1000)
