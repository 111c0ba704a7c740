"""Nodes to values: what a loader would build, and nothing run.

What the standard library pickles comes back equal, one object stays one, and whatever is not known is named or kept.
"""

import math
import pickle
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import FormatError, LimitError, UnsupportedError
from ptzip.values.builder import build
from ptzip.values.opaque import Opaque
from tests.values import pickle_parts
from tests.values.pickle_parts import built, call, kept, name, number, text

PROTOCOLS = range(6)

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
KEYS = st.recursive(ATOMS, lambda below: st.tuples(below, below) | st.frozensets(below, max_size=3), max_leaves=4)
VALUES: st.SearchStrategy[object] = st.recursive(
    ATOMS,
    lambda below: (
        st.lists(below, max_size=4)
        | st.dictionaries(KEYS, below, max_size=4)
        | st.tuples(below, below)
        | st.sets(KEYS, max_size=4)
        | st.frozensets(KEYS, max_size=4)
        | st.builds(bytearray, st.binary())
        | st.builds(OrderedDict, st.dictionaries(KEYS, below, max_size=3))
        | st.builds(deque, st.lists(below, max_size=3))
    ),
    max_leaves=12,
)


@given(VALUES, st.sampled_from(PROTOCOLS))
def test_any_nest_of_builtins_comes_back_equal(value: object, protocol: int) -> None:
    assert built(pickle.dumps(value, protocol)) == value


@given(VALUES, st.sampled_from(PROTOCOLS))
def test_the_pure_python_pickler_is_read_as_well(value: object, protocol: int) -> None:
    assert built(pickle._dumps(value, protocol)) == value  # type: ignore[attr-defined]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_types_stay_what_they_are(protocol: int) -> None:
    value = [1, True, 1.0, "1", b"1", bytearray(b"1"), None, (1,), {1}, frozenset((1,)), 1j, range(1), slice(1, None), ...]
    found = built(pickle.dumps(value, protocol))
    assert isinstance(found, list)
    assert [type(item) for item in found] == [type(item) for item in value]
    assert found == value


@pytest.mark.parametrize("value", [math.inf, -math.inf, -0.0, 2**100, -(2**31), "\ud800", "a\x00b"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_odd_atoms_come_back_as_they_were(value: object, protocol: int) -> None:
    assert repr(built(pickle.dumps(value, protocol))) == repr(value)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_one_object_stays_one(protocol: int) -> None:
    shared: list[object] = []
    first, second, inner = _list(built(pickle.dumps([shared, shared, {"key": shared}], protocol)))
    assert first is second is inner["key"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_value_may_contain_itself(protocol: int) -> None:
    value: list[Any] = []
    value += [value, {"self": value}, (value,)]
    found = _list(built(pickle.dumps(value, protocol)))
    assert found[0] is found[1]["self"] is found[2][0] is found


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_tuple_may_contain_itself_through_a_list(protocol: int) -> None:
    inner: list[Any] = []
    value = (inner, 1)
    inner.append(value)
    found = built(pickle.dumps(value, protocol))
    assert isinstance(found, tuple)
    assert found[0][0] is found


def _list(value: object) -> list[Any]:
    assert isinstance(value, list)
    return value


DEEP = 10_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"]" * DEEP + b"N" + b"a" * DEEP + b".", id="lists"),
        pytest.param(b"N" + b"\x85" * DEEP + b".", id="tuples"),
        pytest.param(b"}K\x01" * DEEP + b"N" + b"s" * DEEP + b".", id="dicts"),
        pytest.param(b"(" * DEEP + b"N" + b"\x91" * DEEP + b".", id="frozensets"),
        pytest.param(b"(cmodule\nname\n" * DEEP + b"N" + b"o" * DEEP + b".", id="unknown objects"),
    ],
)
def test_nesting_is_deeper_than_python_can_call_itself(data: bytes) -> None:
    assert sys.getrecursionlimit() < DEEP
    value, depth = kept(b"\x80\x04" + data), 0
    while value is not None:
        depth += 1
        value = value.args[0] if isinstance(value, Opaque) and value.args else next(iter(_held(value)))
    assert depth == DEEP


def _held(value: object) -> Any:
    return value.values() if isinstance(value, dict) else value


def test_a_key_of_tuples_deeper_than_python_can_take_the_hash_of_is_over_the_limit() -> None:
    with pytest.raises(LimitError, match="key"):
        built(b"\x80\x02}N" + b"\x85" * 1000 + b"Ns.")
    with pytest.raises(LimitError, match="key"):
        built(call("builtins", "set", b"](N" + b"\x85" * 1000 + b"e") + b".")
    with pytest.raises(LimitError, match="key"):
        built(call("collections", "OrderedDict", b"](](N" + b"\x85" * 1000 + b"Nee") + b".")


@pytest.mark.parametrize("module", ["os", "posix", "builtins", "torch.hub", "subprocess"])
def test_an_unknown_call_is_named_by_the_error(module: str) -> None:
    data = call(module, "system", text("true")) + b"."
    with pytest.raises(UnsupportedError, match=rf"{module}\.system, which is not allow-listed \(at byte"):
        built(data)


def test_an_unknown_call_is_kept_with_all_that_the_pickle_tells() -> None:
    filled = call("models", "Net", number(1)) + b"(K\x02e" + b"(" + text("key") + b"K\x03u" + b"}" + text("state") + b"K\x04sb."
    found = kept(filled)
    assert isinstance(found, Opaque)
    assert (found.path, found.args, found.items, found.pairs) == ("models.Net", (1,), [2], [("key", 3)])
    assert found.state == found.attributes == {"state": 4}
    assert repr(found) == "<object of models.Net>"


def test_a_name_that_is_not_known_is_refused_only_where_it_is_part_of_the_value() -> None:
    data = b"](" + name("models", "Net") + b"e."
    with pytest.raises(UnsupportedError, match=r"contains models\.Net"):
        built(data)
    (found,) = _list(kept(data))
    assert found.is_name
    assert repr(found) == "<name models.Net>"


def test_slots_are_attributes_too() -> None:
    found = kept(call("m", "C") + b"N}" + text("a") + b"K\x01s\x86b.")
    assert isinstance(found, Opaque)
    assert found.attributes == {"a": 1}


@pytest.mark.parametrize("copyreg", ["copyreg", "copy_reg"])
def test_objects_of_protocol_0_are_of_their_class_and_hold_what_they_held(copyreg: str) -> None:
    held = b"](K\x01K\x02e"
    found = kept(call(copyreg, "_reconstructor", name("m", "C"), name("__builtin__", "list"), held) + b".")
    assert isinstance(found, Opaque)
    assert (found.path, found.items) == ("m.C", [1, 2])
    again = kept(call(copyreg, "__newobj__", name("m", "C"), number(1)) + b".")
    assert isinstance(again, Opaque)
    assert (again.path, again.args) == ("m.C", (1,))


def test_an_object_of_a_known_class_is_made_in_protocol_0_too() -> None:
    import argparse

    assert built(pickle.dumps(argparse.Namespace(a=1), 0)) == argparse.Namespace(a=1)


@pytest.mark.parametrize("module", ["builtins", "__builtin__"])
def test_getattr_gives_a_name_and_nothing_else(module: str) -> None:
    found = kept(call(module, "getattr", name("torch._C", "_VariableFunctionsClass"), text("relu")) + b".")
    assert isinstance(found, Opaque)
    assert found.path == "torch._C._VariableFunctionsClass.relu"
    assert found.is_name
    with pytest.raises(UnsupportedError, match=r"OrderedDict\.fromkeys"):
        built(call(module, "getattr", name("collections", "OrderedDict"), text("fromkeys")) + b".")


def test_what_is_called_may_be_an_attribute_and_stays_unknown() -> None:
    attribute = call("builtins", "getattr", name("m", "C"), text("make"))
    found = kept(attribute + b")R.")
    assert isinstance(found, Opaque)
    assert found.path == "m.C.make"
    assert found.args == ()


def test_a_name_with_dots_is_none_of_the_known_ones() -> None:
    """Protocol 4 takes attributes of attributes; only whole names are in the lists."""
    data = b"\x80\x04" + text("collections") + text("OrderedDict.fromkeys") + b"\x93](K\x01e\x85R."
    with pytest.raises(UnsupportedError, match=r"collections\.OrderedDict\.fromkeys"):
        built(data)
    with pytest.raises(UnsupportedError, match=r"torch\._utils\._rebuild_tensor_v2"):
        built(b"\x80\x04" + text("torch") + text("_utils._rebuild_tensor_v2") + b"\x93)R.")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"K\x01K\x02a.", "APPEND does not fit an object of int"),
        (b"}K\x01a.", "APPEND does not fit an object of dict"),
        (b"]K\x01K\x02s.", "SETITEM does not fit an object of list"),
        (b"]}b.", "BUILD does not fit an object of list"),
        (b"}]K\x01s.", "SETITEM does not fit an object of dict"),
        (b"\x80\x04](K\x01\x90.", "ADDITEMS does not fit an object of list"),
        (b"\x80\x04\x8f(]\x90.", "ADDITEMS does not fit an object of set"),
        (b"\x80\x04(]\x91.", "a set contains a value that no set can contain"),
        (b"\x80\x02(]Nd.", "a dict has a key that no dict can have"),
        (name("m", "C") + b"K\x01R.", "arguments that are no tuple"),
        (b"\x80\x04" + name("m", "C") + b")K\x01\x92.", "keyword arguments that are no dict"),
        (call("collections", "OrderedDict") + b"}K\x01K\x02sb.", "BUILD does not fit an object of OrderedDict"),
    ],
)
def test_what_no_pickler_does_is_a_format_error(data: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        kept(data)


def test_a_broken_pickle_is_a_format_error() -> None:
    with pytest.raises(FormatError, match="a pickle is broken"):
        kept(b"](K\x01")


def test_a_buffer_from_elsewhere_is_not_supported() -> None:
    with pytest.raises(UnsupportedError, match="buffer"):
        kept(b"\x80\x05\x97.")


def test_another_persistent_id_is_named_or_kept() -> None:
    data = text("what") + b"Q."
    with pytest.raises(UnsupportedError, match="persistent id"):
        built(data)
    found = kept(data)
    assert isinstance(found, Opaque)
    assert found.args == ("what",)


def test_a_class_with_its_source_is_that_class() -> None:
    ident = b"(" + text("module") + name("models", "Net") + text("net.py") + text("class Net: ...") + b"tQ"
    found = kept(ident + b")\x81}" + text("a") + b"K\x01sb.")
    assert isinstance(found, Opaque)
    assert (found.path, found.attributes) == ("models.Net", {"a": 1})


def test_a_function_of_a_package_is_kept_with_its_arguments() -> None:
    found = kept(b"(" + text("reduce_package") + name("m", "make") + b"K\x01\x85tQ.")
    assert isinstance(found, Opaque)
    assert (found.path, found.args) == ("m.make", (1,))


def test_only_two_ways_to_treat_the_unknown_are_known() -> None:
    with pytest.raises(ValueError, match="unknown is 'run', expected one of error, keep"):
        build(pickle_parts.part(b"N."), unknown="run")


def test_a_counter_and_a_defaultdict_are_ones() -> None:
    held = {"c": Counter("aab"), "d": defaultdict(list, {"x": [1]})}
    found = built(pickle_parts.dumped(held))
    assert found == held
    assert isinstance(found, dict)
    assert found["d"].default_factory is list


def test_an_ordered_dict_keeps_its_attributes() -> None:
    data = call("collections", "OrderedDict") + b"}" + text("_metadata") + b"}sb."
    found = built(data)
    assert isinstance(found, OrderedDict)
    assert found.__dict__ == {"_metadata": {}}
