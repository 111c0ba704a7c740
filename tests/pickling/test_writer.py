"""Writing a pickle: an unedited one comes out as it went in, byte for byte, and an edited one loads with the right value.

Identity is tried over every kind of value, protocol and pickler; edits are loaded by both of python's unpicklers.
"""

import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import EditError
from ptzip.pickling.frames import FRAME_TARGET
from ptzip.pickling.new_nodes import assign, atom, memoized, named
from ptzip.pickling.nodes import Detour, List, Node, Pickle, Slot, Step, lookup, slot_of, walk
from ptzip.pickling.reader import read_pickle
from ptzip.pickling.writer import write_pickle
from tests.pickling.random_streams import streams
from tests.pickling.sample_values import (
    PICKLERS,
    PROTOCOLS,
    UNPICKLERS,
    Keeping,
    Kept,
    Listed,
    Pickler,
    PureKeeping,
    Slotted,
    Thing,
    discard,
    graphs,
    kept,
    nests,
    objects,
    recursive,
)
from tests.pickling.tree_evaluator import alike, evaluate

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
each_pickler = pytest.mark.parametrize("dumps", PICKLERS)


def check(data: bytes) -> None:
    """A stream is read without anomalies and written as it was."""
    found = read_pickle(data)
    assert found.anomalies == []
    assert write_pickle(found) == data


@given(nests, st.sampled_from(PROTOCOLS), st.sampled_from(PICKLERS))
def test_any_nest_of_builtins_is_written_as_it_was_read(value: Any, protocol: int, dumps: Pickler) -> None:
    check(dumps(value, protocol))


@given(graphs(), st.sampled_from(PROTOCOLS), st.sampled_from(PICKLERS))
def test_shared_and_recursive_values_are_written_as_they_were_read(value: Any, protocol: int, dumps: Pickler) -> None:
    check(dumps(value, protocol))


@given(graphs(), st.sampled_from(PROTOCOLS))
def test_an_optimized_pickle_is_written_as_it_was_read(value: Any, protocol: int) -> None:
    data = pickletools.optimize(pickle.dumps(value, protocol))
    found = read_pickle(data)
    assert found.anomalies == []
    assert write_pickle(found) == data


@pytest.mark.parametrize("value", list(objects()), ids=lambda value: type(value).__name__)
@each_pickler
def test_an_object_is_written_as_it_was_read(value: Any, dumps: Pickler) -> None:
    lowest = 2 if isinstance(value, Slotted) else 0  # python refuses slots below
    for protocol in PROTOCOLS[lowest:]:
        check(dumps(value, protocol))


@pytest.mark.parametrize("value", list(recursive()), ids=lambda value: type(value).__name__)
@each_pickler
def test_what_contains_itself_is_written_as_it_was_read(value: Any, dumps: Pickler) -> None:
    lowest = 2 if isinstance(value, Listed) else 0  # python runs out of its stack below
    for protocol in PROTOCOLS[lowest:]:
        check(dumps(value, protocol))


@each_protocol
@pytest.mark.parametrize("kind", [Keeping, PureKeeping])
def test_persistent_ids_are_written_as_they_were_read(protocol: int, kind: type) -> None:
    identity: Any = "7" if protocol == 0 else ("storage", Thing, "0", "cpu", 64)
    check(kept([Kept(identity), {"again": Kept(identity)}], protocol, kind))


@each_protocol
@each_pickler
@pytest.mark.parametrize("count", [1, 2, 999, 1000, 1001, 2500])
def test_batches_are_written_as_they_were_read(count: int, protocol: int, dumps: Pickler) -> None:
    check(dumps([list(map(str, range(count))), dict.fromkeys(range(count)), set(range(count))], protocol))


SIZES = (0, 1, 3, 4, 255, 256, FRAME_TARGET - 10, FRAME_TARGET - 1, FRAME_TARGET, FRAME_TARGET + 1, 3 * FRAME_TARGET)


@pytest.mark.parametrize("protocol", [4, 5])
@each_pickler
@pytest.mark.parametrize("kind", [str, bytes, bytearray])
def test_frames_are_written_as_they_were_read(kind: Callable[[bytes], Any], protocol: int, dumps: Pickler) -> None:
    for size in SIZES:
        large = "x" * size if kind is str else kind(bytes(size))
        check(dumps(["before", large, "x" * 100, large, "behind"], protocol))


def test_any_stream_without_anomalies_is_written_as_it_was_read() -> None:
    clean = [found for data in streams(1, 5000) if not (found := read_pickle(data)).anomalies]
    assert len(clean) > 500
    assert any(isinstance(node, Detour) for found in clean for node in walk(found.root or atom(None)))
    written = {write_pickle(found) for found in clean}
    assert written <= set(streams(1, 5000))


def test_a_stream_with_anomalies_is_not_written() -> None:
    for data in (b"NN0.", b"N2\x86.", b"N", b"N(0."):
        with pytest.raises(EditError, match="the pickle cannot be rewritten"):
            write_pickle(read_pickle(data))
    with pytest.raises(EditError, match="it has no root"):
        write_pickle(Pickle(None))


def edited(data: bytes, change: Callable[[Node], None]) -> bytes:
    """The stream after a change of its tree."""
    found = read_pickle(data)
    assert found.root is not None
    change(found.root)
    return write_pickle(found)


def loads(data: bytes) -> Any:
    """What both of python's unpicklers make of a stream, which must be the same."""
    one, other = (load(data) for load in UNPICKLERS)
    assert alike(one, other)
    return one


@each_protocol
@each_pickler
def test_a_value_first_written_in_a_removed_part_is_written_at_its_next_use(protocol: int, dumps: Pickler) -> None:
    shared = ["shared", ("text", 1.5)]
    data = dumps({"first": {"deep": [shared]}, "second": shared, "third": (shared, "shared")}, protocol)
    for value, change in (
        ({"first": None}, lambda root: assign(root, "first", atom(None))),
        ({}, lambda root: discard(root, "first")),
    ):
        found = loads(edited(data, change))
        assert found == value | {"second": shared, "third": (shared, "shared")}
        assert found["second"] is found["third"][0]


@each_protocol
def test_removed_classes_are_imported_at_their_next_use(protocol: int) -> None:
    data = pickle.dumps({"first": Thing(a=1), "second": [Thing(a=2), Thing(b=3)]}, protocol)
    found = pickle.loads(edited(data, lambda root: discard(root, "first")))
    assert [thing.__dict__ for thing in found["second"]] == [{"a": 2}, {"b": 3}]


def contains_itself(root: Node) -> bool:
    """Whether the tree has a tuple that contains itself, which only its own pickler can spell."""
    return any(isinstance(node, Detour) for node in walk(root))


@given(graphs(), graphs(), st.booleans(), st.sampled_from(PROTOCOLS), st.sampled_from(PICKLERS))
def test_after_any_removal_the_rest_loads_with_its_value(
    gone: Any, kept_value: Any, is_shared: bool, protocol: int, dumps: Pickler
) -> None:
    value = {"gone": [gone, kept_value] if is_shared else gone, "kept": [kept_value, gone[0]] if is_shared else kept_value}
    data = dumps(value, protocol)
    found = read_pickle(data)
    assert found.root is not None
    is_hard = contains_itself(found.root)
    discard(found.root, "gone")
    try:
        changed = loads(write_pickle(found))
    except EditError:
        assert is_hard
    else:
        assert alike(changed, {"kept": pickle.loads(data)["kept"]})


@each_protocol
def test_a_tuple_that_contains_itself_is_not_made_twice(protocol: int) -> None:
    inner: list[Any] = []
    inner.append((inner,))
    data = pickle.dumps({"first": inner[0], "second": inner[0]}, protocol)
    with pytest.raises(EditError, match="contains itself"):
        edited(data, lambda root: discard(root, "first"))
    found = pickle.loads(edited(data, lambda root: discard(root, "second")))
    assert found["first"][0][0] is found["first"]


def test_a_slot_that_is_put_twice_is_no_trap() -> None:
    data = b"](X\x01\x00\x00\x00aq\x00X\x01\x00\x00\x00bq\x00h\x00e."
    assert loads(data) == ["a", "b", "b"]
    check(data)
    root = read_pickle(data).root
    assert root is not None
    holder = root.steps[0].items
    holder.append(holder[0])  # the slot of "a" belongs to "b" by now
    with pytest.raises(EditError, match="a memo slot was reused"):
        write_pickle(Pickle(root))


@each_protocol
def test_new_values_are_put_into_slots_that_are_free(protocol: int) -> None:
    data = pickle.dumps({"old": [["a"], ["b"]], "last": "text"}, protocol)

    def change(root: Node) -> None:
        shared = List("EMPTY_LIST", steps=[memoized(), Step("APPEND", items=[named("collections", "OrderedDict")])])
        assign(root, "one", shared)
        assign(root, "two", shared)
        slot = slot_of(root, "old")
        assert slot is not None
        Slot(slot.node.steps[-1].items, 0).put(shared)

    if protocol:
        found = loads(edited(data, change))
        assert found["one"] is found["two"] is found["old"][0]
        assert (found["old"][1], found["last"]) == (["b"], "text")


@pytest.mark.parametrize("count", [250, 254, 255, 256, 300])
def test_slots_beyond_a_byte_are_put_and_fetched_at_length(count: int) -> None:
    data = pickle.dumps([[] for _ in range(count)], 2)

    def change(root: Node) -> None:
        shared = List("EMPTY_LIST", steps=[memoized()])
        root.steps[-1].items += [shared, shared]

    found = loads(edited(data, change))
    assert found[-1] is found[-2] is not found[0]
    assert len(found) == count + 2


def frames(data: bytes) -> list[int]:
    """The lengths of the frames; each must end where an opcode ends."""
    ops = [(op.name, int(arg or 0) if op.name == "FRAME" else 0, at or 0) for op, arg, at in pickletools.genops(data)]
    places = {at for _, _, at in ops} | {len(data)}
    found = [(at + 9, arg) for name, arg, at in ops if name == "FRAME"]
    assert all(start + length in places for start, length in found)
    return [length for _, length in found]


LARGE = {
    "small": 1,
    "text": "x" * 300,
    "large": b"y" * 2 * FRAME_TARGET,
    "many": [str(index) * 300 for index in range(200)],
    "last": [1],
}


@each_pickler
@pytest.mark.parametrize("key", list(LARGE))
@pytest.mark.parametrize("new", [None, "longer " * 100, "long " * FRAME_TARGET], ids=["none", "text", "large"])
def test_frames_are_laid_anew_where_an_edit_moved_their_ends(dumps: Pickler, key: str, new: Any) -> None:
    data = edited(dumps(LARGE, 4), lambda root: assign(root, key, atom(new)))
    assert loads(data) == LARGE | {key: new}
    assert frames(data)


@pytest.mark.parametrize("protocol", [4, 5])
def test_new_frames_are_those_of_a_pickler(protocol: int) -> None:
    for text in ("x", "x" * 300, "x" * FRAME_TARGET, "x" * 3 * FRAME_TARGET):
        value = {"first": text, "many": [str(index) * 300 for index in range(300)]}
        data = edited(pickle.dumps(value | {"gone": [1, 2, 3]}, protocol), lambda root: discard(root, "gone"))
        assert loads(data) == value
        assert max(frames(data)) < 2 * FRAME_TARGET


@pytest.mark.parametrize("value", [None, 1, 255, 256, 65535, 65536, 1.5])
def test_a_frame_of_one_value_is_laid_as_a_pickler_lays_it(value: Any) -> None:
    found = read_pickle(pickle.dumps("something else", 4))
    found.root = atom(value)
    assert write_pickle(found) == pickle.dumps(value, 4)


@pytest.mark.parametrize("protocol", [4, 5])
def test_what_is_too_short_for_a_frame_has_none(protocol: int) -> None:
    def change(root: Node) -> None:
        root.steps.clear()

    data = edited(pickle.dumps([1, 2, 3, 4, 5], protocol), change)
    assert loads(data) == []
    assert frames(data) == []


def test_an_edit_that_moves_nothing_keeps_the_frames() -> None:
    data = pickle.dumps({"a": 1, "b": 2}, 4)
    changed = edited(data, lambda root: assign(root, "a", atom(7)))
    assert changed == data.replace(b"K\x01", b"K\x07")


def test_a_tree_of_another_protocol_says_so_itself() -> None:
    root = read_pickle(pickle.dumps({"a": (1, "b")}, 2)).root
    for protocol in (None, 2, 3, 4, 5):
        assert loads(write_pickle(Pickle(root, protocol))) == {"a": (1, "b")}


def test_what_was_written_is_read_to_the_same_meaning() -> None:
    value = {"a": [1, (2, "x")], "b": "y"}
    data = edited(pickle.dumps(value, 4), lambda root: assign(root, "c", lookup(root, "b") or root))
    root = read_pickle(data).root
    assert root is not None
    assert evaluate(root) == value | {"c": "y"}
