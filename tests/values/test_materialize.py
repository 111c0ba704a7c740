"""numpy's arrays in the place of lazy values: one object stays one, one storage is one array.

What the standard library's pickle makes of numpy's objects is what comes out here.
"""

import pickle
import struct
from collections import OrderedDict, defaultdict
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import ptzip
from ptzip.errors import FormatError, UnsupportedError
from ptzip.tensors.tensor import Tensor
from ptzip.values.materialize import materialize
from ptzip.values.opaque import Opaque
from ptzip.values.rebuild_numpy import NumpyArray, NumpyDtype
from tests.values.pickle_parts import call, loaded, name, number, numbers, stored, tensor, text

SIX = {"0": struct.pack("<6f", *range(6))}

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(10)[::2],
    np.zeros((0, 3)),
    np.array(5.0),
    np.array([True, False]),
    np.array(["ab", "c"]),
    np.array([b"ab", b"c"]),
    np.array(["2020-01-01"], "M8[D]"),
    np.array([1, 2], "m8[25s]"),
    np.arange(3, dtype=">f4"),
    np.array([1, "a", None], object),
    np.array([(1, 2.5)], np.dtype([("a", "<i4"), ("b", ">f8")])),
    np.array([([1, 2],)], np.dtype([("a", "<i4", (2,))])),
    np.array([(1, 2)], np.dtype({"names": ["a", "b"], "formats": ["u1", "<i4"], "offsets": [0, 4], "itemsize": 12})),
    np.array([1j], np.complex64),
    np.array([1.5], np.float16),
    np.array([b"abc"], "V3"),
]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_an_array_comes_back_equal(array: npt.NDArray[Any], protocol: int) -> None:
    found = loaded(pickle.dumps([array, array], protocol))
    assert isinstance(found, list)
    assert found[0] is found[1]
    assert isinstance(found[0], np.ndarray)
    assert (found[0].dtype, found[0].shape) == (array.dtype, array.shape)
    assert found[0].flags.f_contiguous == array.flags.f_contiguous or not array.flags.forc
    np.testing.assert_array_equal(found[0], array)


@pytest.mark.parametrize("old", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_both_names_of_numpys_module_are_known(old: bytes) -> None:
    data = pickle.dumps(ARRAYS[0], 2).replace(b"numpy._core.multiarray", old).replace(b"numpy.core.multiarray", old)
    np.testing.assert_array_equal(loaded(data), ARRAYS[0])


SCALARS = [np.float64(1.5), np.float32(2.5), np.int64(3), np.bool_(True), np.str_("x"), np.complex64(1j), np.bytes_(b"x")]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("value", [*SCALARS, np.datetime64("2020-01-01"), np.uint8(255)], ids=repr)
def test_a_scalar_comes_back_as_its_own_type(value: object, protocol: int) -> None:
    found = loaded(pickle.dumps(value, protocol))
    assert type(found) is type(value)
    assert found == value


@pytest.mark.parametrize("dtype", ["f4", ">i8", "U5", "O", "M8[ns]", [("a", "i4"), ("b", ">f8")]], ids=str)
def test_a_dtype_comes_back_equal(dtype: Any) -> None:
    assert loaded(pickle.dumps(np.dtype(dtype), 2)) == np.dtype(dtype)


@pytest.mark.parametrize("cls", [np.float32, np.ndarray, np.bool_, np.str_, np.int64])
def test_a_class_of_numpy_is_that_class(cls: type) -> None:
    assert loaded(pickle.dumps(cls, 2)) is cls


@pytest.mark.parametrize("bits", [np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64])
def test_a_generator_goes_on_where_it_was(bits: Any) -> None:
    generator = np.random.Generator(bits(5))
    generator.random(3)
    again = loaded(pickle.dumps(generator, 2))
    assert isinstance(again, np.random.Generator)
    assert again.random(5).tolist() == generator.random(5).tolist()


def test_an_old_random_state_goes_on_where_it_was() -> None:
    state = np.random.RandomState(5)
    state.normal(size=3)
    again = loaded(pickle.dumps(state, 2))
    assert isinstance(again, np.random.RandomState)
    assert again.normal(size=3).tolist() == state.normal(size=3).tolist()


def test_the_state_of_numpys_own_generator_comes_back() -> None:
    state = np.random.RandomState(1).get_state()
    found: Any = loaded(pickle.dumps(state, 2))
    assert found[0] == "MT19937"
    np.testing.assert_array_equal(found[1], state[1])  # type: ignore[index]


def test_python_2_spelled_the_bytes_of_an_array_as_text() -> None:
    made = call("numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray"), b"K\x00\x85", b"U\x01b")
    kind = call("numpy", "dtype", b"U\x02f4", b"K\x00", b"K\x01") + b"(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    for value in (1.5, -1e10):  # of which the first is UTF-8 and the second is not
        state = b"(K\x01" + numbers(1) + kind + b"I00\nU\x04" + struct.pack("<f", value) + b"tb."
        np.testing.assert_array_equal(loaded(made + state), np.array([value], np.float32))


def test_arrays_that_hold_objects_hold_what_those_become() -> None:
    inner = np.arange(3)
    value = np.empty(2, object)
    value[0], value[1] = inner, [inner]
    found = loaded(pickle.dumps([value, inner], 2))
    assert isinstance(found, list)
    assert found[0][0] is found[0][1][0] is found[1]


WRONG = [
    NumpyArray(NumpyDtype("f4"), (3,), data=b"1234"),
    NumpyArray(NumpyDtype("f4"), (-1,), data=b""),
    NumpyArray(NumpyDtype("f4"), (2**40, 2**40), data=b""),
    NumpyArray(NumpyDtype("O"), (1,), data=b"12345678"),
    NumpyArray(NumpyDtype("f4"), (2,), data=[1]),
    NumpyArray(NumpyDtype("f4"), (1,), data=["x"]),
    NumpyArray(NumpyDtype("i4,f8"), (1,), data=b"123456789012"),
    NumpyArray(NumpyDtype("f3"), (1,), data=b"123"),
    NumpyArray(NumpyDtype("V", names=("a",)), (1,), data=b"123"),
    NumpyArray(NumpyDtype("V", names=("a",), fields={"a": (NumpyDtype("O"), 0)}, size=8), (1,), data=b"12345678"),
    NumpyArray(NumpyDtype("M8", unit=(b"nonsense", 1)), (1,), data=b"12345678"),
]


@pytest.mark.parametrize("told", WRONG, ids=range(len(WRONG)))
def test_an_array_that_cannot_be_is_a_format_error_or_stays_as_it_is(told: NumpyArray) -> None:
    with pytest.raises(FormatError, match="numpy array"):
        materialize([told])
    assert materialize([told], keep=True) == [told]


def test_tensors_on_one_storage_are_views_of_one_array() -> None:
    data = b"](" + tensor("0", 6, (2, 3), (3, 1)) + tensor("0", 6, (3, 2), (1, 3)) + tensor("0", 6, (2,), (2,), 1) + b"e."
    found = loaded(data, storages=SIX)
    assert isinstance(found, list)
    whole, turned, part = found
    assert (whole.tolist(), turned.tolist(), part.tolist()) == ([[0, 1, 2], [3, 4, 5]], [[0, 3], [1, 4], [2, 5]], [1, 3])
    whole[0, 1] = 9
    assert turned[1, 0] == part[0] == 9


def test_a_tied_tensor_is_one_array() -> None:
    data = b"](" + tensor("0", 6, (6,), (1,)) + b"q\x00h\x00\x85h\x00e."
    found = loaded(data, storages=SIX)
    assert isinstance(found, list)
    assert found[0] is found[1][0] is found[2]


def test_a_storage_alone_is_an_array_of_its_elements() -> None:
    data = b"](" + stored("0", 6) + tensor("0", 6, (6,), (1,)) + stored("1", 3, "QUInt4x2Storage") + b"e."
    found = loaded(data, storages={**SIX, "1": b"abc"})
    assert isinstance(found, list)
    assert found[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.shares_memory(found[0], found[1])
    assert found[2].tobytes() == b"abc"


def test_every_container_holds_arrays_in_the_end() -> None:
    made = tensor("0", 6, (6,), (1,)) + b"q\x00"
    held = [
        b"h\x00\x85",
        b"](h\x00e",
        b"}K\x01h\x00s",
        call("collections", "deque", b"](h\x00e"),
        call("collections", "OrderedDict") + b"K\x01h\x00s",
        call("collections", "defaultdict", name("builtins", "list")) + b"K\x01h\x00s",
        call("collections", "Counter") + b"K\x01h\x00s",
    ]
    found = loaded(b"](" + made + b"".join(held) + b"e.", storages=SIX)
    assert isinstance(found, list)
    for container in found[1:]:
        items = list(container.values()) if isinstance(container, dict) else list(container)
        assert items[0] is found[0], container


def test_objects_with_attributes_hold_arrays_in_the_end() -> None:
    made = tensor("0", 6, (6,), (1,)) + b"q\x00"
    state = b"}" + text("t") + b"h\x00sb"
    held = call("argparse", "Namespace") + state + call("collections", "OrderedDict") + state + call("m", "C", b"h\x00") + state
    found = loaded(b"](" + made + held + b"e.", "keep", SIX)
    assert isinstance(found, list)
    array, space, ordered, kept = found
    assert space.t is ordered.__dict__["t"] is kept.args[0] is kept.attributes["t"] is array


def test_a_tuple_without_arrays_is_not_made_anew() -> None:
    inner = (1, 2)
    value = [inner, (inner, NumpyArray(NumpyDtype("f4"), (1,), data=b"1234"))]
    materialize(value)
    assert value[0] is inner
    assert value[1][0] is inner
    assert isinstance(value[1][1], np.ndarray)


def test_a_tensor_that_is_a_key_stays_one() -> None:
    found = loaded(b"}" + tensor("0", 6, (6,), (1,)) + b"q\x00}" + text("step") + b"h\x00ss.", storages=SIX)
    assert isinstance(found, dict)
    ((key, value),) = found.items()
    assert isinstance(key, Tensor)
    assert value["step"].tolist() == key.numpy().tolist()


def test_a_scalar_that_is_a_key_is_one_of_numpy() -> None:
    assert loaded(pickle.dumps({np.int64(3): 1}, 2)) == {3: 1}
    assert loaded(pickle.dumps({np.int64(3)}, 2)) == {3}
    assert loaded(pickle.dumps(frozenset([np.int64(3)]), 2)) == frozenset([3])


def test_a_dict_keeps_its_order_and_kind() -> None:
    found = loaded(pickle.dumps(OrderedDict([(np.int64(2), 0), (np.int64(1), 1)]), 2))
    assert isinstance(found, OrderedDict)
    assert list(found.items()) == [(2, 0), (1, 1)]
    found.move_to_end(np.int64(2))
    assert list(found) == [1, 2]
    more = loaded(pickle.dumps(defaultdict(list, {np.int64(1): [1]}), 2))
    assert isinstance(more, defaultdict)
    assert more[2] == []


def test_a_tensor_without_numpy_form_is_named_or_stays_lazy() -> None:
    meta = call("torch._utils", "_rebuild_meta_tensor_no_storage", name("torch", "int8"), numbers(2), numbers(1), b"\x89")
    data = b"}" + text("a") + b"](" + tensor("0", 6, (6,), (1,)) + meta + b"es."
    with pytest.raises(UnsupportedError, match=r"a\.1: a tensor on device meta has no values"):
        loaded(data, storages=SIX)
    found = loaded(data, "keep", SIX)
    assert isinstance(found, dict)
    assert isinstance(found["a"][0], np.ndarray)
    assert isinstance(found["a"][1], Tensor)


def test_a_tensor_past_its_storage_is_a_format_error() -> None:
    with pytest.raises(FormatError, match="does not fit its storage"):
        loaded(tensor("0", 6, (2, 3), (4, 1)) + b".", storages=SIX)
    with pytest.raises(FormatError, match="20 bytes long, expected 24"):
        loaded(tensor("0", 6, (2,), (1,)) + b".", storages={"0": SIX["0"][:20]})
    with pytest.raises(FormatError, match="storage 0 is missing"):
        loaded(tensor("0", 6, (2,), (1,)) + b".")


def test_a_value_that_contains_itself_is_settled_too() -> None:
    inner: list[Any] = [np.arange(2)]
    inner.append((inner, {"x": inner}))
    found = loaded(pickle.dumps(inner, 2))
    assert isinstance(found, list)
    assert isinstance(found[0], np.ndarray)
    assert found[1][0] is found[1][1]["x"] is found


def test_an_unknown_object_keeps_its_tuple_of_arguments() -> None:
    found = loaded(call("m", "C", number(1), text("a")) + b".", "keep")
    assert isinstance(found, Opaque)
    assert found.args == (1, "a")


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (2, 0, 1)])
def test_an_array_has_its_axes_in_the_order_that_it_had(axes: tuple[int, ...], protocol: int) -> None:
    array = np.arange(24.0).reshape(2, 3, 4).transpose(axes)
    data = pickle.dumps(array, protocol)
    found: Any = ptzip.load(data)
    np.testing.assert_array_equal(found, array)
    assert found.strides == pickle.loads(data).strides
    assert ptzip.scan(data).ok
