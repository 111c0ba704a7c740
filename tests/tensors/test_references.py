"""Persistent ids and rebuild calls are read as torch means them, and anything of another form is left alone."""

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ptzip
from ptzip.errors import FormatError
from ptzip.pickling.new_nodes import atom, named
from ptzip.pickling.nodes import Atom, Call, List, Node, Persistent, Slot, Tuple, walk
from ptzip.tensors.dtypes import BY_NAME
from ptzip.tensors.references import (
    TensorRef,
    parameter_arguments,
    storage_ref,
    storage_refs,
    tensor_ref,
    tensor_ref_on,
    tensor_slot,
)
from tests.corpus import CORPUS, manifest, needs_corpus

UNDERSTOOD = {f"torch._utils _rebuild_{name}" for name in ("tensor", "tensor_v2", "parameter")}
"""The rebuild functions that are read; a file that uses no other must be understood wholly."""

ODD = {
    "syn/same_key_two_classes.pt": "one storage that says two dtypes",
    "t213/memo_33k_proto2.pt": "the manifest lists one of its many tensors",
}


def tuple_of(*items: Node) -> Tuple:
    return Tuple("TUPLE", None, list(items))


def numbers(*values: int) -> Tuple:
    return tuple_of(*map(atom, values))


def pid(key: Any = "7", numel: Any = 24, kind: Node | None = None, location: Any = "cpu", first: Any = "storage") -> Persistent:
    """A persistent id as torch spells it."""
    cls = named("torch", "FloatStorage") if kind is None else kind
    return Persistent("BINPERSID", None, [tuple_of(atom(first), cls, atom(key), atom(location), atom(numel))])


def call(name: str, *arguments: Node) -> Call:
    return Call("REDUCE", None, [named("torch._utils", name), tuple_of(*arguments)])


def rebuilt(offset: int = 0, shape: tuple[int, ...] = (2, 3), stride: tuple[int, ...] = (3, 1), numel: int = 24) -> Call:
    """A call of `_rebuild_tensor_v2`."""
    hooks = Call("REDUCE", None, [named("collections", "OrderedDict"), tuple_of()])
    arguments = (pid(numel=numel), atom(offset), numbers(*shape), numbers(*stride), atom(False), hooks)
    return call("_rebuild_tensor_v2", *arguments)


def found(node: Node) -> TensorRef:
    result = tensor_ref(node)
    assert result is not None
    return result


# Storages


def test_a_persistent_id_says_class_key_location_and_length() -> None:
    reference = storage_ref(pid(location="cuda:0"))
    assert reference is not None
    assert (reference.dtype, reference.key, reference.location) == (BY_NAME["float32"], "7", "cuda:0")
    assert (reference.numel, reference.size) == (24, 96)


@pytest.mark.parametrize(
    "node",
    [
        pytest.param(atom("storage"), id="no id"),
        pytest.param(Persistent("PERSID", "7"), id="a text"),
        pytest.param(Persistent("BINPERSID", None, [atom("storage")]), id="no tuple"),
        pytest.param(Persistent("BINPERSID", None, [tuple_of(atom("storage"))]), id="too few items"),
        pytest.param(pid(first="module"), id="a module"),
        pytest.param(pid(location=None), id="no location"),
        pytest.param(pid(numel="24"), id="a text as length"),
        pytest.param(pid(numel=True), id="a truth value as length"),
        pytest.param(pid(numel=-1), id="a negative length"),
        pytest.param(pid(kind=atom("torch.FloatStorage")), id="a text as class"),
    ],
)
def test_an_id_of_another_form_is_no_storage(node: Node) -> None:
    assert storage_ref(node) is None


def test_an_unknown_storage_class_is_an_error_that_names_it() -> None:
    with pytest.raises(FormatError, match=r"storage 7 is of class os\.system, which is no storage class of torch"):
        storage_ref(pid(kind=named("os", "system")))


def test_ids_of_one_key_are_one_storage_with_the_dtype_of_the_first() -> None:
    half = named("torch", "HalfStorage")
    groups = storage_refs([pid("b", 2), pid("a", 3), atom(1), pid("b", 4, half)])
    assert list(groups) == ["b", "a"]
    assert (groups["b"].dtype.name, groups["b"].size, len(groups["b"].references)) == ("float32", 8, 2)


# Tensors


def test_a_rebuild_call_is_a_tensor() -> None:
    node = rebuilt(offset=5, shape=(2, 3), stride=(1, 2))
    read = found(node)
    assert (read.node, read.offset, read.shape, read.stride) == (node, 5, (2, 3), (1, 2))


def test_the_call_of_the_first_versions_is_a_tensor_too() -> None:
    assert found(call("_rebuild_tensor", pid(), atom(0), numbers(2), numbers(1))).shape == (2,)


def test_a_shape_may_be_a_torch_size() -> None:
    size = Call("REDUCE", None, [named("torch", "Size"), tuple_of(numbers(4, 5))])
    assert found(call("_rebuild_tensor", pid(), atom(0), size, numbers(5, 1))).shape == (4, 5)


@pytest.mark.parametrize(
    "node",
    [
        pytest.param(atom(1), id="no call"),
        pytest.param(call("_rebuild_sparse_tensor", pid(), atom(0), numbers(2), numbers(1)), id="another function"),
        pytest.param(call("_rebuild_tensor_v2", pid(), atom(0), numbers(2), numbers(1)), id="too few arguments"),
        pytest.param(call("_rebuild_tensor", atom(1), atom(0), numbers(2), numbers(1)), id="no storage"),
        pytest.param(call("_rebuild_tensor", pid(), atom("0"), numbers(2), numbers(1)), id="a text as offset"),
        pytest.param(call("_rebuild_tensor", pid(), atom(-1), numbers(2), numbers(1)), id="a negative offset"),
        pytest.param(call("_rebuild_tensor", pid(), atom(0), numbers(2, 3), numbers(1)), id="strides of another length"),
        pytest.param(call("_rebuild_tensor", pid(), atom(0), numbers(2), numbers(-1)), id="a negative stride"),
        pytest.param(call("_rebuild_tensor", pid(), atom(0), tuple_of(atom(True)), numbers(1)), id="a truth value as size"),
        pytest.param(call("_rebuild_tensor", pid(), atom(0), List("EMPTY_LIST"), numbers()), id="a list as shape"),
    ],
)
def test_a_call_of_another_form_is_no_tensor(node: Node) -> None:
    assert tensor_ref(node) is None


@pytest.mark.parametrize(
    ("offset", "shape", "stride", "span"),
    [
        pytest.param(0, (2, 3), (3, 1), (0, 6), id="dense"),
        pytest.param(4, (2, 3), (1, 2), (4, 10), id="transposed"),
        pytest.param(1, (4,), (3,), (1, 11), id="strided"),
        pytest.param(7, (3, 5), (1, 0), (7, 10), id="expanded"),
        pytest.param(9, (), (), (9, 10), id="scalar"),
        pytest.param(9, (3, 0), (1, 1), (0, 0), id="empty"),
    ],
)
def test_a_span_is_from_the_first_to_behind_the_last_element(
    offset: int, shape: tuple[int, ...], stride: tuple[int, ...], span: tuple[int, int]
) -> None:
    assert found(rebuilt(offset, shape, stride)).span == span


@settings(deadline=None, derandomize=True)
@given(axes=st.lists(st.tuples(st.integers(1, 4), st.integers(0, 6)), max_size=3), offset=st.integers(0, 9))
def test_a_span_reaches_as_far_as_the_elements_do(axes: list[tuple[int, int]], offset: int) -> None:
    shape, stride = tuple(size for size, _ in axes), tuple(step for _, step in axes)
    indices = itertools.product(*map(range, shape))
    places = [offset + sum(index * step for index, step in zip(each, stride, strict=True)) for each in indices]
    assert found(rebuilt(offset, shape, stride)).span == (min(places), max(places) + 1)


# Parameters and new tensors


@pytest.mark.parametrize("name", ["_rebuild_parameter", "_rebuild_parameter_with_state"])
def test_the_tensor_of_a_parameter_is_inside_its_call(name: str) -> None:
    inner = rebuilt()
    parameter = call(name, inner, atom(True), atom(None))
    holder: list[Node] = [parameter]
    slot = tensor_slot(Slot(holder, 0))
    assert slot.node is inner
    slot.put(atom(1))
    assert parameter_arguments(parameter)[0] is slot.node
    assert holder == [parameter]


def test_a_tensor_that_is_no_parameter_is_its_own_node() -> None:
    holder: list[Node] = [rebuilt()]
    slot = Slot(holder, 0)
    assert tensor_slot(slot) is slot
    assert parameter_arguments(holder[0]) == []


def test_a_view_has_the_shape_of_the_old_tensor_and_hooks_of_its_own() -> None:
    old = found(rebuilt(offset=5, shape=(2, 3), stride=(1, 2)))
    new = found(tensor_ref_on(old, pid("new", 6), 0))
    assert (new.storage.key, new.offset, new.shape, new.stride) == ("new", 0, (2, 3), (1, 2))
    assert new.node.arguments[2] is old.node.arguments[2]
    assert new.node.arguments[5] is not old.node.arguments[5]
    assert (old.storage.key, old.offset) == ("7", 5)
    assert isinstance(old.node.arguments[1], Atom)


# The corpus


def understood() -> list[Any]:
    """The zips of the corpus in which no other rebuild function stands."""
    entries = manifest("format")["files"] if CORPUS.is_dir() else []
    chosen = [entry for entry in entries if entry["kind"] == "zip" and entry.get("torch_loads") and entry["file"] not in ODD]
    names = [entry["file"] for entry in chosen if rebuilders(entry) <= UNDERSTOOD]
    return [*names] or [pytest.param("missing", marks=needs_corpus)]


def rebuilders(entry: dict[str, Any]) -> set[str]:
    return {name for name in entry["pickle"]["globals"] if "_rebuild_" in name}


@pytest.mark.parametrize("name", understood())
def test_every_tensor_of_a_file_is_found_as_torch_found_it(name: str) -> None:
    (entry,) = [each for each in manifest("format")["files"] if each["file"] == name]
    expected = {
        (each["dtype"], *map(tuple, (each["shape"], each["stride"])), each["storage_offset"], each["storage_nbytes"])
        for each in entry.get("tensors", [])
        if "dtype" in each  # an uninitialized parameter has none
    }
    assert every_tensor(CORPUS / "format" / name) == expected


def every_tensor(path: Path) -> set[tuple[Any, ...]]:
    with ptzip.open(path) as checkpoint:
        read = [result for node in walk(checkpoint.root) if (result := tensor_ref(node))]
        return {(f"torch.{t.storage.dtype.name}", t.shape, t.stride, t.offset, t.storage.size) for t in read}
