"""The tree: what a node is called, what it holds, and how it is changed by assigning one place."""

import collections
import pickle
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.io.payloads import read_all
from ptzip.io.sources import FileSource
from ptzip.pickling.new_nodes import assign, atom, memoized, named
from ptzip.pickling.nodes import (
    Atom,
    Call,
    Detour,
    Dict,
    Global,
    List,
    Node,
    Persistent,
    Pickle,
    Slot,
    Step,
    Tuple,
    children,
    item_slots,
    lookup,
    pair_slots,
    pairs,
    plain,
    slot_of,
    state,
    text,
    walk,
)
from ptzip.pickling.reader import read_pickle
from ptzip.pickling.writer import write_pickle
from ptzip.zip.reader import read_archive
from tests import corpus
from tests.pickling.sample_values import (
    PICKLERS,
    PROTOCOLS,
    Keeping,
    Kept,
    PureKeeping,
    Thing,
    discard,
    graphs,
    kept,
    nests,
    objects,
    recursive,
)


def root_of(data: bytes) -> Node:
    root = read_pickle(data).root
    assert root is not None
    return root


def loaded(root: Node, protocol: int | None = 2) -> Any:
    """What python makes of a tree."""
    return pickle.loads(write_pickle(Pickle(root, protocol)))


def is_in_order(root: Node) -> bool:
    """Whether `walk` meets the nodes in the order of their opcodes, each once."""
    offsets = [node.offset for node in walk(root)]
    return offsets == sorted(set(offsets))


@given(nests | graphs(), st.sampled_from(PROTOCOLS), st.sampled_from(PICKLERS))
def test_a_walk_goes_in_the_order_of_the_stream(value: Any, protocol: int, dumps: Any) -> None:
    assert is_in_order(root_of(dumps(value, protocol)))


@pytest.mark.parametrize("protocol", PROTOCOLS[2:])
def test_a_walk_of_objects_goes_in_the_order_of_the_stream(protocol: int) -> None:
    for value in [*objects(), *recursive()]:
        assert is_in_order(root_of(pickle.dumps(value, protocol)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [Keeping, PureKeeping])
def test_a_walk_meets_persistent_ids_in_the_order_of_the_stream(protocol: int, kind: type) -> None:
    value = [Kept("a"), {"x": Kept("b"), "y": (Kept("c"), [Kept("a")])}, Thing(z=Kept("d"))]
    root = root_of(kept(value, protocol, kind))
    found = [text(node.id) for node in walk(root) if isinstance(node, Persistent)]
    assert found == ["a", "b", "c", "a", "d"]
    assert is_in_order(root)


@pytest.mark.parametrize("path", list(corpus.parameters("yolo")))
def test_a_walk_of_a_real_checkpoint_goes_in_the_order_of_the_stream(path: Path) -> None:
    source = FileSource(path)
    (entry,) = (entry for entry in read_archive(source).entries if entry.name.endswith("/data.pkl"))
    assert is_in_order(root_of(read_all(entry.payload)))
    source.close()


def test_a_walk_gives_parts_before_a_node_and_steps_behind_it() -> None:
    root = root_of(pickle.dumps([("part", 1), {"key": "value"}], 2))
    assert [node.op for node in walk(root)] == [
        *("EMPTY_LIST", "BINUNICODE", "BININT1", "TUPLE2"),
        *("EMPTY_DICT", "BINUNICODE", "BINUNICODE"),
    ]
    assert [node.op for node in children(root)] == ["TUPLE2", "EMPTY_DICT"]


DICTS: dict[str, bytes] = {
    "empty": b"}q\x00.",
    "EMPTY_DICT": b"}.",
    "SETITEM": b"}q\x00X\x01\x00\x00\x00aK\x01s.",
    "SETITEMS": b"}q\x00(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00bK\x02u.",
    "SETITEMS twice": b"}(X\x01\x00\x00\x00aK\x01u(X\x01\x00\x00\x00bK\x02u.",
    "DICT": b"(X\x01\x00\x00\x00aK\x01X\x01\x00\x00\x00bK\x02dq\x00.",
    "DICT and SETITEM": b"(X\x01\x00\x00\x00aK\x01dq\x00X\x01\x00\x00\x00bK\x02s.",
    "overwritten": b"}(X\x01\x00\x00\x00aK\x09X\x01\x00\x00\x00aK\x01u.",
    "OrderedDict": pickle.dumps(collections.OrderedDict(a=1, b=2), 2),
    "OrderedDict at 0": pickle.dumps(collections.OrderedDict(a=1, b=2), 0),
    "OrderedDict at 4": pickle.dumps(collections.OrderedDict(a=1, b=2), 4),
    "defaultdict": pickle.dumps(collections.defaultdict(list, a=1, b=2), 2),
    "other keys": pickle.dumps({1: 2, None: 3, b"a": 4, ("a",): 5, "b": 2}, 4),
}

each_dict = pytest.mark.parametrize("data", list(DICTS.values()), ids=list(DICTS))


@each_dict
def test_the_pairs_of_a_dict_are_those_that_python_loads(data: bytes) -> None:
    root, value = root_of(data), pickle.loads(data)
    found = {text(key): item.value for key, item in pairs(root) if isinstance(item, Atom) and text(key)}
    assert found == {key: item for key, item in value.items() if isinstance(key, str)}
    for key in ("a", "b", "missing"):
        item = lookup(root, key)
        assert (item.value if isinstance(item, Atom) else None) == value.get(key)


@each_dict
@pytest.mark.parametrize("key", ["a", "b", "new"])
def test_an_assigned_key_has_its_value_and_its_place(data: bytes, key: str) -> None:
    pickle_, value = read_pickle(data), pickle.loads(data)
    assert pickle_.root is not None
    assign(pickle_.root, key, atom("assigned"))
    value[key] = "assigned"
    changed = pickle.loads(write_pickle(pickle_))
    assert changed == value
    assert list(changed) == list(value)
    assert type(changed) is type(value)


@each_dict
@pytest.mark.parametrize("key", ["a", "b", "missing"])
def test_a_discarded_key_is_gone_and_the_rest_stays(data: bytes, key: str) -> None:
    pickle_, value = read_pickle(data), pickle.loads(data)
    assert pickle_.root is not None
    discard(pickle_.root, key)
    value.pop(key, None)
    assert pickle.loads(write_pickle(pickle_)) == value


@each_dict
def test_every_key_can_be_discarded_and_assigned_again(data: bytes) -> None:
    pickle_ = read_pickle(data)
    assert pickle_.root is not None
    for key in [text(key) for key, _ in pairs(pickle_.root)]:
        discard(pickle_.root, key or "")
    assign(pickle_.root, "one", atom(1))
    assign(pickle_.root, "two", atom(2))
    assign(pickle_.root, "one", atom(3))
    changed = pickle.loads(write_pickle(pickle_))
    assert {key: value for key, value in changed.items() if isinstance(key, str)} == {"one": 3, "two": 2}


def test_an_assigned_key_comes_before_the_state_of_an_object() -> None:
    value = collections.OrderedDict(a=1)
    value._metadata = {"version": 1}  # type: ignore[attr-defined]
    pickle_ = read_pickle(pickle.dumps(value, 2))
    assert pickle_.root is not None
    assign(pickle_.root, "b", atom(2))
    assert [step.op for step in pickle_.root.steps][-1] == "BUILD"
    changed = pickle.loads(write_pickle(pickle_))
    assert (changed, changed._metadata) == ({"a": 1, "b": 2}, {"version": 1})


def test_a_slot_is_the_place_and_not_the_value() -> None:
    root = root_of(pickle.dumps({"a": [1], "b": [2]}, 2))
    slot = slot_of(root, "a")
    assert slot is not None
    slot.put(atom("changed"))
    assert text(slot.node) == "changed"
    assert loaded(root) == {"a": "changed", "b": [2]}
    assert slot_of(root, "c") is None
    assert [type(value.node) for _, value in pair_slots(root)] == [Atom, List]


def test_lookup_in_what_is_no_dict_finds_nothing() -> None:
    for value in (None, 1, "text", [1], ("a", 1)):
        assert lookup(root_of(pickle.dumps(value, 2)), "a") is None
    assert lookup(None, "a") is None


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("value", [[], [1, 2], (), (1,), (1, 2, 3, 4), {1, 2}, frozenset({3}), collections.deque([1, 2])])
def test_items_are_those_that_python_loads(value: Any, protocol: int) -> None:
    root = root_of(pickle.dumps(value, protocol))
    if protocol < 4 and isinstance(value, set | frozenset):
        root = plain(root.arguments[0]) if isinstance(root, Call) else root
    assert [slot.node.value for slot in item_slots(root) if isinstance(slot.node, Atom)] == list(value)


def test_the_state_of_an_object_is_what_is_built_last() -> None:
    built = state(root_of(pickle.dumps(Thing(a=1), 2)))
    assert isinstance(built, Dict)
    assert [text(key) for key, _ in pairs(built)] == ["a"]
    assert state(root_of(pickle.dumps([1], 2))) is None


@pytest.mark.parametrize(
    ("data", "path", "count"),
    [
        (b"ctorch\nSize\n(K\x01K\x02tR.", "torch.Size", 2),
        (b"ctorch\nSize\n)R.", "torch.Size", 0),
        (b"ctorch\nSize\nNR.", "torch.Size", 0),
        (b"ctorch\nSize\n]R.", "torch.Size", 0),
        (b"ca\nB\n(K\x01t\x81.", "a.B", 1),
        (b"ca\nB\n(K\x01t}\x92.", "a.B", 1),
        (b"(ca\nB\nK\x01K\x02o.", "a.B", 2),
        (b"(K\x01K\x02ia\nB\n.", "a.B", 2),
        (b"K\x01)R.", "", 0),
        (b"ca\nB\n)R)R.", "", 0),
    ],
)
def test_a_call_tells_its_function_and_its_arguments(data: bytes, path: str, count: int) -> None:
    call = root_of(data)
    assert isinstance(call, Call)
    assert (call.path, len(call.arguments)) == (path, count)
    assert isinstance(call.function, Global) == bool(path)


def test_the_arguments_of_a_call_can_be_changed() -> None:
    call = root_of(b"cbuiltins\ncomplex\n(K\x01K\x02tR.")
    assert isinstance(call, Call)
    Slot(call.arguments, 1).put(atom(5))
    assert loaded(call) == complex(1, 5)


def test_a_persistent_id_in_text_is_a_node_too() -> None:
    found = root_of(b"P7 of 9\n.")
    assert isinstance(found, Persistent)
    assert text(found.id) == "7 of 9"
    assert found.id.offset == 0


def test_a_detour_is_seen_through() -> None:
    inner: list[Any] = []
    inner.append((inner,))
    root = root_of(pickle.dumps({"detour": inner[0]}, 2))
    assert isinstance(lookup(root, "detour"), Tuple)
    assert any(isinstance(node, Detour) for node in walk(root))


plain_values = st.none() | st.booleans() | st.integers(-(1 << 900), 1 << 900) | st.floats(allow_nan=False) | st.text()


@given(plain_values, st.sampled_from([2, 3, 4, 5]))
def test_a_new_atom_is_its_value_in_every_protocol(value: Any, protocol: int) -> None:
    made = atom(value)
    assert type(made.value) is type(value)
    assert made.value == value
    assert loaded(made, protocol) == value


@pytest.mark.parametrize("edge", [0, 0xFF, 0x100, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, -1, -0x80000000, -0x80000001])
def test_a_new_number_takes_the_opcode_that_python_takes(edge: int) -> None:
    assert write_pickle(Pickle(atom(edge), 2)) == pickle.dumps(edge, 2)


def test_a_new_name_is_imported_once() -> None:
    shared = named("collections", "OrderedDict")
    calls: list[Node] = [Call("REDUCE", None, [shared, Tuple("EMPTY_TUPLE")]) for _ in range(3)]
    data = write_pickle(Pickle(Tuple("TUPLE", None, calls), 2))
    assert data.count(b"OrderedDict") == 1
    assert pickle.loads(data) == (collections.OrderedDict(),) * 3


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_node_that_is_memoized_is_one_object(protocol: int) -> None:
    shared = List("EMPTY_LIST", steps=[memoized(), Step("APPEND", items=[atom(1)])])
    value = loaded(Tuple("TUPLE2", None, [shared, shared]), protocol)
    assert value == ([1], [1])
    assert value[0] is value[1]


@pytest.mark.parametrize("value", ["text", b"bytes", 5, None, [1]])
def test_only_text_is_text(value: Any) -> None:
    assert text(root_of(pickle.dumps(value, 4))) == (value if isinstance(value, str) else None)
    assert text(None) is None


def test_a_string_of_python_2_is_text_where_it_is_utf_8() -> None:
    assert text(root_of(b"U\x03abc.")) == "abc"
    assert text(root_of(b"U\x01\xff.")) is None
