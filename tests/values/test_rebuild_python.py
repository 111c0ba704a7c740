"""Values of the standard library and of torch are rebuilt, whatever protocol and Python wrote them.

A function that could take memory or time for a few bytes of arguments refuses them.
"""

import argparse
import datetime
import decimal
import fractions
import pathlib
import pickle
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque

import pytest

from ptzip.allowlist.table import ALLOWED
from ptzip.errors import FormatError, UnsupportedError
from ptzip.values.builder import FUNCTIONS
from ptzip.values.opaque import Opaque
from ptzip.values.torch_values import Device, Dtype, Generator, Layout, MemoryFormat, QScheme, Size
from tests.values.pickle_parts import built, call, kept, name, number, numbers, text

ZONE = datetime.timezone(datetime.timedelta(hours=2), "here")

VALUES = [
    argparse.Namespace(a=[1], b=None),
    types.SimpleNamespace(a=1),
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
    datetime.datetime(2024, 2, 29, tzinfo=datetime.UTC),
    datetime.time(1, 2, 3, 4, tzinfo=ZONE),
    datetime.timedelta(-1, 2, 3),
    ZONE,
    decimal.Decimal("-1.50"),
    decimal.Decimal("1E+30"),
    decimal.Decimal("Infinity"),
    fractions.Fraction(-1, 3),
    uuid.UUID(int=5),
    OrderedDict(b=1, a=2),
    Counter("hello"),
    defaultdict(list, a=[1]),
    defaultdict(None, a=1),
    deque([1, 2, 3], 5),
    range(1, 10, 3),
    slice(None, 5, -1),
    complex(1, -2),
    frozenset((1, 2)),
    {1, 2},
    bytearray(b"abc"),
    Ellipsis,
    NotImplemented,
    b"",
    b"\xff\x00",
    int,
    OrderedDict,
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_of_the_standard_library_comes_back_equal(value: object, protocol: int) -> None:
    found = built(pickle.dumps(value, protocol))
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("path", ["PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"])
@pytest.mark.parametrize("module", ["pathlib", "pathlib._local"])
def test_a_path_is_one_that_cannot_touch_a_disk(path: str, module: str) -> None:
    found = built(call(module, path, text("a"), text("b")) + b".")
    assert isinstance(found, pathlib.PurePath)
    assert not isinstance(found, pathlib.Path)
    assert found.parts == ("a", "b")


PYTHON_2 = [
    (call("__builtin__", "set", b"](K\x01e"), {1}),
    (call("__builtin__", "frozenset", b"](K\x01e"), frozenset({1})),
    (call("__builtin__", "xrange", number(0), number(3), number(1)), range(3)),
    (call("__builtin__", "bytearray", text("a\xff"), text("latin-1")), bytearray(b"a\xff")),
    (call("__builtin__", "bytes"), b""),
    (call("__builtin__", "complex", b"G?\xf0\x00\x00\x00\x00\x00\x00", b"G\x00\x00\x00\x00\x00\x00\x00\x00"), 1 + 0j),
    (call("collections", "OrderedDict", b"](](U\x01aK\x01ee"), OrderedDict(a=1)),
    (call("_codecs", "encode", text("\xe9"), text("latin1")), b"\xe9"),
    (name("__builtin__", "unicode"), str),
    (name("__builtin__", "long"), int),
    (b"(dU\x01aI01\ns", {"a": True}),
    (b"L10L\n", 10),
]


@pytest.mark.parametrize(("data", "value"), PYTHON_2, ids=[str(value) for _, value in PYTHON_2])
def test_what_python_2_wrote_means_the_same(data: bytes, value: object) -> None:
    assert built(data + b".") == value


TORCH = [
    (name("torch", "bfloat16"), Dtype("bfloat16"), "torch.bfloat16"),
    (name("torch", "uint3"), Dtype("uint3"), "torch.uint3"),
    (name("torch", "per_channel_affine"), QScheme("per_channel_affine"), "torch.per_channel_affine"),
    (name("torch", "channels_last"), MemoryFormat("channels_last"), "torch.channels_last"),
    (call("torch", "device", text("cuda"), number(1)), Device("cuda", 1), "cuda:1"),
    (call("torch", "device", text("cuda:3")), Device("cuda", 3), "cuda:3"),
    (call("torch", "device", text("cpu")), Device("cpu"), "cpu"),
    (call("torch.serialization", "_get_layout", text("torch.sparse_coo")), Layout("sparse_coo"), "torch.sparse_coo"),
    (call("torch", "Size", numbers(2, 3)), Size((2, 3)), "torch.Size([2, 3])"),
    (call("torch.jit._pickle", "build_intlist", b"](K\x01e"), [1], "[1]"),
    (call("torch.jit._pickle", "restore_type_tag", b"](K\x01e", text("List[int]")), [1], "[1]"),
]


@pytest.mark.parametrize(("data", "value", "spelled"), TORCH, ids=[spelled for _, _, spelled in TORCH])
def test_what_torch_has_names_for_is_an_inert_value_with_torchs_text(data: bytes, value: object, spelled: str) -> None:
    found = built(data + b".")
    assert found == value
    assert type(found) is type(value)
    assert str(found) == spelled


def torch_values() -> list[object]:
    """What the names in the module torch stand for."""
    return [FUNCTIONS[row.value](name) for (module, name), row in ALLOWED.items() if module == "torch" and row.value]


@pytest.mark.torch
def test_every_dtype_that_torch_has_is_known_by_its_name() -> None:
    import torch

    every = {str(value) for value in vars(torch).values() if isinstance(value, torch.dtype)}
    assert {str(value) for value in torch_values() if isinstance(value, Dtype)} == every


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["layout", "qscheme", "memory_format"])
def test_every_name_of_torch_is_known_that_can_be_pickled(kind: str) -> None:
    import torch

    every = {str(value) for value in vars(torch).values() if isinstance(value, getattr(torch, kind))}
    assert every - {str(value) for value in torch_values()} == set()


def test_a_generator_keeps_its_state() -> None:
    device = call("torch", "device", text("cpu"))
    found = built(call("torch._C", "Generator", device) + b"K\x05N" + b"](K\x01e\x87b.")
    assert isinstance(found, Generator)
    assert (str(found.device), found.seed, found.offset, found.state) == ("cpu", 5, None, [1])


GREEDY = [
    call("builtins", "bytes", number(2**30)),
    call("builtins", "bytearray", number(2**30)),
    call("builtins", "list", call("builtins", "range", number(0), number(2**31 - 1))),
    call("builtins", "set", call("builtins", "range", number(2**31 - 1))),
    call("collections", "deque", call("builtins", "range", number(2**31 - 1))),
    call("builtins", "int", text("9" * 5000)),
    call("fractions", "Fraction", text("1e999999999")),
    call("decimal", "Decimal", text("9" * 5000)),
    call("_codecs", "encode", text("a"), text("idna")),
    call("_codecs", "encode", text("a"), text("zlib_codec")),
    call("builtins", "str", number(1)),
    call("torch", "device", text("cuda:x")),
    call("collections", "defaultdict", name("os", "getpid")),
    call("torch.storage", "_load_from_bytes", text("no bytes")),
    call("argparse", "Namespace", number(1)),
]


@pytest.mark.parametrize("data", GREEDY, ids=range(len(GREEDY)))
def test_arguments_that_do_not_fit_are_refused_or_kept(data: bytes) -> None:
    with pytest.raises(
        UnsupportedError, match=r", (in a way that cannot be rebuilt: |with (a|bytes|something|an|arguments,) ).*\(at byte"
    ):
        built(data + b".")
    assert isinstance(kept(data + b"."), Opaque)


def test_a_stream_that_is_none_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="not of the legacy format"):
        kept(call("torch.storage", "_load_from_bytes", b"C\x02.N") + b".")


@pytest.mark.parametrize("cls", ["dict", "list", "int", "object", "defaultdict", "deque"])
def test_an_object_without_attributes_takes_no_state(cls: str) -> None:
    module = "builtins" if cls not in ("defaultdict", "deque") else "collections"
    with pytest.raises((FormatError, UnsupportedError), match="sets a state, which it does not take"):
        built(call(module, cls) + b"}" + text("a") + b"Nsb.")


def test_a_uuid_takes_no_number_out_of_its_range() -> None:
    data = name("uuid", "UUID") + b")\x81}" + text("int") + b"\x8a\x11" + b"\x00" * 16 + b"\x01sb."
    with pytest.raises(Exception, match="of 128 bits"):
        built(data)
