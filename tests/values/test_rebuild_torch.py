"""Every way in which torch has written a tensor, told from the pickle alone.

Nothing is read for it; the bytes are for `tests/tensors/test_tensor.py` and for the corpus.
"""

import struct
from typing import Any

import pytest

from ptzip.errors import FormatError, UnsupportedError
from ptzip.tensors.tensor import Tensor
from ptzip.values.opaque import Opaque
from tests.values.pickle_parts import HOOKS, built, call, kept, name, number, numbers, stored, tensor, text

SIX = tensor("0", 6, (2, 3), (3, 1))
LAYOUT = "torch.serialization"


def a_tensor(data: bytes, storages: dict[str, bytes] | None = None) -> Tensor:
    found = built(data + b".", storages=storages or {})
    assert isinstance(found, Tensor)
    return found


def utils(function: str, *arguments: bytes) -> Tensor:
    return a_tensor(call("torch._utils", function, *arguments))


def test_a_strided_tensor_is_told_by_its_call() -> None:
    found = a_tensor(tensor("0", 6, (2, 2), (3, 1), 1, grad=b"\x88"))
    assert (found.dtype, found.shape, found.stride, found.offset) == ("float32", (2, 2), (3, 1), 1)
    assert (found.requires_grad, found.layout, found.device, found.class_path) == (True, "strided", "cpu", "torch.Tensor")
    assert (found.numel, found.nbytes) == (4, 16)
    assert found.storage is not None
    assert (found.storage.key, found.storage.size, found.storage.dtype.name) == ("0", 24, "float32")


def test_a_tensor_of_torch_0_has_four_arguments() -> None:
    found = utils("_rebuild_tensor", stored("0", 6, "DoubleStorage"), number(0), numbers(6), numbers(1))
    assert (found.dtype, found.shape, found.requires_grad) == ("float64", (6,), False)


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", "uint16", "complex32", "bits1x8", "float4_e2m1fn_x2", "bfloat16"])
def test_version_3_tells_the_dtype_itself(dtype: str) -> None:
    untyped = stored("0", 4, "UntypedStorage")
    found = utils("_rebuild_tensor_v3", untyped, number(0), numbers(1), numbers(1), b"\x89", HOOKS, name("torch", dtype))
    assert found.dtype == dtype


def test_marks_of_conjugation_and_negation_are_read() -> None:
    marks = b"}(" + text("conj") + b"\x88" + text("neg") + b"\x88u"
    found = a_tensor(tensor("0", 6, (6,), (1,), marks=marks))
    assert (found.is_conj, found.is_neg) == (True, True)


def test_tensors_on_one_key_share_a_storage_and_the_dtype_of_the_first() -> None:
    other = tensor("0", 6, (6,), (1,), held=stored("0", 6, "IntStorage"))
    first, second = _list(built(b"](" + SIX + other + b"e."))
    assert first.storage is second.storage
    assert second.dtype == "float32"


def _list(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value


def test_a_view_of_a_storage_is_a_storage_of_its_own_on_the_bytes_of_the_other() -> None:
    view = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + number(6)
    view += b"(" + text("1") + number(2) + number(3) + b"ttQ"
    data = b"](" + tensor("0", 6, (3,), (1,), held=view) + tensor("0", 6, (3,), (1,), held=view) + SIX + b"e."
    first, again, whole = _list(built(data, storages={"0": struct.pack("<6f", *range(6))}))
    assert first.storage is again.storage
    assert first.storage.base is whole.storage
    assert (first.storage.key, first.storage.size) == ("1", 12)
    assert first.numpy().tolist() == [2, 3, 4]


def test_a_view_past_its_storage_is_a_format_error() -> None:
    view = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu") + number(6)
    view += b"(" + text("1") + number(4) + number(3) + b"ttQ"
    with pytest.raises(FormatError, match="storage 1 extends past the end of storage 0"):
        built(tensor("0", 6, (3,), (1,), held=view) + b".")


def test_a_parameter_is_its_tensor_with_another_class() -> None:
    found = utils("_rebuild_parameter", SIX, b"\x88", HOOKS)
    assert (found.class_path, found.requires_grad, found.shape) == ("torch.nn.parameter.Parameter", True, (2, 3))


@pytest.mark.parametrize(
    "state", [b"}" + text("note") + b"K\x01s", b"}" + text("note") + b"K\x01sN\x86", b"N}" + text("note") + b"K\x01s\x86"]
)
def test_a_parameter_with_state_keeps_it(state: bytes) -> None:
    assert utils("_rebuild_parameter_with_state", SIX, b"\x88", HOOKS, state).attributes == {"note": 1}


def layout(kind: str) -> bytes:
    return call(LAYOUT, "_get_layout", text(f"torch.{kind}"))


SIZE = call("torch", "Size", numbers(2, 3))


@pytest.mark.parametrize("more", [(b"", None), (b"\x88", True), (b"\x89", False)])
def test_a_sparse_tensor_is_made_of_indices_and_values(more: tuple[bytes, bool | None]) -> None:
    found = utils("_rebuild_sparse_tensor", layout("sparse_coo"), b"(" + SIX + SIX + SIZE + more[0] + b"t")
    assert (found.layout, found.shape, found.dtype, found.is_coalesced) == ("sparse_coo", (2, 3), "float32", more[1])
    assert list(found.components) == ["indices", "values"]
    assert found.storage is None
    assert found.nbytes == 48


@pytest.mark.parametrize("function", ["_rebuild_sparse_tensor", "_rebuild_sparse_csr_tensor"])
@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("sparse_csr", "crow_indices", "col_indices"),
        ("sparse_bsr", "crow_indices", "col_indices"),
        ("sparse_csc", "ccol_indices", "row_indices"),
        ("sparse_bsc", "ccol_indices", "row_indices"),
    ],
)
def test_compressed_sparse_tensors_name_their_indices(function: str, kind: str, first: str, second: str) -> None:
    found = utils(function, layout(kind), b"(" + SIX + SIX + SIX + SIZE + b"t")
    assert found.layout == kind
    assert list(found.components) == [first, second, "values"]


def quantized(*parameters: bytes) -> Tensor:
    held = stored("0", 6, "QInt8Storage")
    shape = numbers(2, 3), numbers(3, 1)
    return utils("_rebuild_qtensor", held, number(0), *shape, b"(" + b"".join(parameters) + b"t", b"\x89", HOOKS)


HALF = b"G" + struct.pack(">d", 0.5)


def test_a_tensor_quantized_as_a_whole_has_a_scale_and_a_zero_point() -> None:
    found = quantized(name("torch", "per_tensor_affine"), HALF, number(3))
    assert (found.dtype, found.qscheme, found.scale, found.zero_point) == ("qint8", "per_tensor_affine", 0.5, 3)
    assert found.axis is None


@pytest.mark.parametrize(("kind", "scheme"), [("Double", "per_channel_affine"), ("Float", "per_channel_affine_float_qparams")])
def test_a_tensor_quantized_by_channel_has_tensors_of_them(kind: str, scheme: str) -> None:
    scales = tensor("1", 2, (2,), (1,), held=stored("1", 2, f"{kind}Storage"))
    points = tensor("2", 2, (2,), (1,), held=stored("2", 2, "LongStorage"))
    found = quantized(name("torch", "per_channel_affine"), scales, points, number(0))
    assert (found.qscheme, found.axis, list(found.components)) == (scheme, 0, ["q_scales", "q_zero_points"])
    assert found.storage is not None
    assert found.nbytes == 6


def test_torch_1_4_lists_the_numbers_of_the_channels() -> None:
    found = quantized(name("torch", "per_channel_affine"), b"](" + HALF + HALF + b"e", b"](K\x00K\x01e", number(0))
    assert found.qscheme == "per_channel_affine"
    scales, points = found.components["q_scales"], found.components["q_zero_points"]
    assert (scales.dtype, scales.numpy().tolist()) == ("float64", [0.5, 0.5])
    assert (points.dtype, points.numpy().tolist()) == ("int64", [0, 1])


def test_a_nested_tensor_is_made_of_four() -> None:
    found = utils("_rebuild_nested_tensor", SIX, SIX, SIX, SIX)
    assert found.layout == "nested"
    assert list(found.components) == ["buffer", "sizes", "strides", "offsets"]
    assert (found.shape, found.numel) == ((), 6)


def test_a_jagged_tensor_is_made_of_values_and_offsets() -> None:
    function = name("torch.nested._internal.nested_tensor", "_rebuild_njt")
    cls = name("torch.nested._internal.nested_tensor", "NestedTensor")
    state = b"}(" + text("values") + SIX + text("offsets") + SIX + text("lengths") + b"N" + text("requires_grad") + b"\x88u"
    found = a_tensor(call("torch._tensor", "_rebuild_from_type_v2", function, cls, state + b"\x85", b"N"))
    assert (found.layout, found.requires_grad, list(found.components)) == ("jagged", True, ["values", "offsets"])
    assert found.numel == 6


def test_a_meta_tensor_has_no_storage() -> None:
    found = utils("_rebuild_meta_tensor_no_storage", name("torch", "int8"), numbers(2, 3), numbers(1, 2), b"\x88")
    assert (found.dtype, found.shape, found.stride, found.device) == ("int8", (2, 3), (1, 2), "meta")
    assert found.storage is None
    assert found.requires_grad


def wrapped(cls: bytes, state: bytes) -> bytes:
    device = call("torch", "device", text("cpu"))
    told = (cls, name("torch", "float32"), numbers(2), numbers(1), number(0), layout("strided"), device, b"\x89")
    function = name("torch._utils", "_rebuild_wrapper_subclass")
    return call("torch._tensor", "_rebuild_from_type_v2", function, cls, b"(" + b"".join(told) + b"t", state)


def test_a_wrapper_subclass_is_made_of_the_tensors_in_its_state() -> None:
    data = wrapped(name("my", "Two"), b"}(" + text("a") + SIX + text("b") + SIX + text("n") + b"K\x01u") + b"."
    found = kept(data)
    assert isinstance(found, Tensor)
    assert (found.class_path, found.shape, list(found.components)) == ("my.Two", (2,), ["a", "b"])
    assert found.attributes["n"] == 1
    with pytest.raises(UnsupportedError, match=r"my\.Two, a tensor class that cannot be rebuilt"):
        built(data)


@pytest.mark.parametrize("module", ["torch._tensor", "torch.tensor"])
@pytest.mark.parametrize("function", ["_rebuild_from_type", "_rebuild_from_type_v2"])
def test_a_subclass_is_a_tensor_of_that_class_with_its_attributes(module: str, function: str) -> None:
    rebuild = name("torch._utils", "_rebuild_tensor_v2")
    arguments = b"(" + stored("0", 6) + number(0) + numbers(6) + numbers(1) + b"\x89" + HOOKS + b"t"
    data = call(module, function, rebuild, name("my", "Sub"), arguments, b"}" + text("note") + b"K\x01s") + b"."
    found = kept(data)
    assert isinstance(found, Tensor)
    assert (found.class_path, found.shape, found.attributes) == ("my.Sub", (6,), {"note": 1})


def test_a_subclass_that_is_rebuilt_by_something_else_is_kept() -> None:
    found = kept(call("torch._tensor", "_rebuild_from_type_v2", name("os", "system"), name("my", "Sub"), b")", b"N") + b".")
    assert isinstance(found, Opaque)
    itself = name("torch._tensor", "_rebuild_from_type_v2")
    assert isinstance(kept(call("torch._tensor", "_rebuild_from_type_v2", itself, name("m", "S"), b")", b"N") + b"."), Opaque)


ARRAY = (
    call("numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), b"K\x00\x85", b"C\x01b")
    + b"(K\x01"
    + numbers(3)
    + call("numpy", "dtype", text("f4"), b"\x89", b"\x88")
    + b"(K\x03"
    + text("<")
    + b"NNN"
    + number(-1)
    + number(-1)
    + b"K\x00tb\x89C\x0c"
    + struct.pack("<3f", 1, 2, 3.0009765625)
    + b"tb"
)


@pytest.mark.parametrize("function", ["_rebuild_device_tensor_from_numpy", "_rebuild_xla_tensor"])
@pytest.mark.parametrize(("dtype", "last"), [("float32", 3.0009765625), ("bfloat16", 3), ("float16", 3), ("int64", 3)])
def test_a_device_tensor_has_the_values_of_its_array(function: str, dtype: str, last: float) -> None:
    found = utils(function, ARRAY, name("torch", dtype), text("xla:0"), b"\x88")
    assert (found.dtype, found.shape, found.stride, found.device) == (dtype, (3,), (1,), "xla:0")
    assert found.requires_grad
    assert [float(value) for value in found.numpy()] == [1, 2, last]


def test_a_device_tensor_may_come_from_one_of_the_cpu() -> None:
    storages = {"0": struct.pack("<6f", *range(6))}
    data = call("torch._utils", "_rebuild_device_tensor_from_cpu_tensor", SIX, name("torch", "float32"), text("hpu:0"), b"\x88")
    same = a_tensor(data, storages)
    assert (same.device, same.requires_grad, same.storage is not None and same.storage.key) == ("hpu:0", True, "0")
    other = a_tensor(data.replace(b"float32\n", b"float64\n"), storages)
    assert other.dtype == "float64"
    assert other.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("kind", ["Parameter", "Buffer"])
def test_an_uninitialized_parameter_has_no_shape(kind: str) -> None:
    found = a_tensor(call("torch.nn.parameter", f"Uninitialized{kind}", b"\x88"))
    assert (found.layout, found.class_path) == ("uninitialized", f"torch.nn.parameter.Uninitialized{kind}")
    assert (found.shape, found.storage, found.requires_grad, found.nbytes) == ((), None, True, 0)


FOUR = b"(" + stored("0", 6, "HalfStorage") + number(0) + numbers(2, 3) + numbers(3, 1) + b"t"


@pytest.mark.parametrize("made", [call("torch", "HalfTensor"), name("torch.cuda", "HalfTensor") + b")\x81"])
def test_a_tensor_of_torch_0_1_is_made_first_and_told_later(made: bytes) -> None:
    found = a_tensor(made + FOUR + b"b")
    assert (found.dtype, found.shape, found.stride) == ("float16", (2, 3), (3, 1))
    assert found.storage is not None
    empty = a_tensor(made)
    assert (empty.dtype, empty.shape) == ("float16", (0,))


@pytest.mark.parametrize(
    ("made", "cls"),
    [
        (call("torch.autograd.variable", "Variable"), "torch.Tensor"),
        (name("torch.nn.parameter", "Parameter") + b")\x81", "torch.nn.parameter.Parameter"),
    ],
)
def test_a_variable_or_parameter_of_torch_0_2_is_told_by_five(made: bytes, cls: str) -> None:
    found = a_tensor(made + b"(" + SIX + b"N" + HOOKS + b"\x88\x89tb")
    assert (found.class_path, found.requires_grad, found.shape) == (cls, True, (2, 3))


def test_a_tensor_may_be_told_its_gradient_alone() -> None:
    assert a_tensor(SIX + b"\x88N" + HOOKS + b"\x87b").requires_grad


WRONG = [
    ("_rebuild_tensor_v2", (number(1), number(0), numbers(1), numbers(1), b"\x89", HOOKS)),
    ("_rebuild_tensor_v2", (stored("0", 6), b"N", numbers(1), numbers(1), b"\x89", HOOKS)),
    ("_rebuild_tensor_v2", (stored("0", 6), number(0), text("1"), numbers(1), b"\x89", HOOKS)),
    ("_rebuild_tensor_v2", (stored("0", 6),)),
    ("_rebuild_parameter", (number(1), b"\x88", HOOKS)),
    ("_rebuild_sparse_tensor", (layout("strided"), b")")),
    ("_rebuild_sparse_tensor", (layout("sparse_coo"), b"(" + SIX + b"t")),
    ("_rebuild_qtensor", (stored("0", 6), number(0), numbers(1), numbers(1), b"(K\x01K\x02K\x03t", b"\x89", HOOKS)),
    ("_rebuild_meta_tensor_no_storage", (text("float32"), numbers(1), numbers(1), b"\x89")),
    ("_rebuild_device_tensor_from_numpy", (SIX, name("torch", "float32"), text("xla"), b"\x89")),
]


@pytest.mark.parametrize(("function", "arguments"), WRONG, ids=range(len(WRONG)))
def test_arguments_that_make_no_tensor_are_refused_or_kept(function: str, arguments: tuple[bytes, ...]) -> None:
    data = call("torch._utils", function, *arguments) + b"."
    with pytest.raises(
        UnsupportedError, match=rf"{function}, (in a way that cannot be rebuilt|with a (tensor|int) in place of)"
    ):
        built(data)
    assert isinstance(kept(data), Opaque)
