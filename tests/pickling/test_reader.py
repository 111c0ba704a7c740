"""Reading a pickle: what python loads is read to the same meaning, and nothing that a loader would run is lost.

Every limit and every anomaly has its test here; that a stream is written back as it was is held in `test_pickler`.
"""

import contextlib
import io
import mmap
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.errors import EditError, LimitError
from ptzip.limits import Limits
from ptzip.pickling.nodes import Atom, Call, Detour, Global, Node, Persistent, Pickle, Tuple, plain, walk
from ptzip.pickling.opcode_effects import EFFECTS
from ptzip.pickling.opcodes import BY_NAME
from ptzip.pickling.reader import read_pickle
from ptzip.pickling.writer import write_pickle
from tests.pickling.random_streams import streams
from tests.pickling.sample_values import (
    PICKLERS,
    PROTOCOLS,
    Late,
    Pickler,
    Slotted,
    Thing,
    c_dumps,
    graphs,
    nests,
)
from tests.pickling.tree_evaluator import alike, evaluate

DEPTH = 100_000

each_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)


def root_of(data: bytes) -> Node:
    """The tree of a stream without anomalies."""
    found = read_pickle(data)
    assert found.anomalies == []
    assert found.root is not None
    assert found.end == len(data)
    return found.root


def broken(data: bytes) -> Pickle:
    """The result of a stream that breaks."""
    found = read_pickle(data)
    assert found.root is None
    assert found.anomalies[-1].kind in ("broken", "cut")
    return found


def kinds(data: bytes) -> list[str]:
    return [anomaly.kind for anomaly in read_pickle(data).anomalies]


def paths(calls: list[Node]) -> list[str]:
    """What was imported and called, calls with their brackets."""
    return [call.path + "()" * isinstance(call, Call) for call in calls if isinstance(call, Global | Call)]


def test_every_opcode_has_a_handler_but_those_that_end_a_stretch() -> None:
    assert set(BY_NAME) - set(EFFECTS) == {"STOP", "FRAME"}


@given(nests, st.sampled_from(PROTOCOLS), st.sampled_from(PICKLERS))
def test_a_nest_of_builtins_means_what_python_loads(value: Any, protocol: int, dumps: Pickler) -> None:
    data = dumps(value, protocol)
    assert alike(evaluate(root_of(data)), pickle.loads(data))


@given(graphs(), st.sampled_from(PROTOCOLS), st.sampled_from(PICKLERS))
def test_what_is_shared_or_contains_itself_is_one_node(value: Any, protocol: int, dumps: Pickler) -> None:
    data = dumps(value, protocol)
    assert alike(evaluate(root_of(data)), pickle.loads(data))


def test_what_python_loads_is_never_broken() -> None:
    loaded = 0
    for data in streams(2, 4000):
        try:
            value = pickle.loads(data)
        except (pickle.UnpicklingError, AttributeError, TypeError, IndexError, EOFError, ValueError, KeyError):
            continue
        loaded += 1
        found = read_pickle(data)
        assert found.root is not None
        assert (found.end, (found.anomalies and True) or alike(evaluate(found.root), value)) == (len(data), True)
    assert loaded > 500


lines = st.text("0123456789+-xXabBoOL_. ", max_size=8).map(str.encode)
WRITTEN = re.compile(rb"I(-?[1-9]\d*|0|00|01)|L(-?[1-9]\d*|0)L?")
"""INT and LONG as picklers write them."""


@given(st.sampled_from([b"I", b"L"]), lines | st.integers().map(lambda number: b"%d" % number))
def test_a_number_in_text_means_what_python_reads_or_is_odd(opcode: bytes, line: bytes) -> None:
    data = opcode + line + b"\n."
    if WRITTEN.fullmatch(opcode + line):
        assert alike(evaluate(root_of(data)), pickle.loads(data))
        return
    try:
        pickle.loads(data)
    except (ValueError, pickle.UnpicklingError):
        assert kinds(data) in (["odd number"], ["broken"])
    else:
        assert kinds(data) == ["odd number"]


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"I00\n.", False),
        (b"I01\n.", True),
        (b"I1\n.", 1),
        (b"I99999999999999999999\n.", 99999999999999999999),
        (b"L-5L\n.", -5),
        (b"\x8a\x00.", 0),
        (b"\x8a\x02\x00\x80.", -32768),
        (b"\x8b\x01\x00\x00\x00\xff.", -1),
        (b"F1e3\n.", 1000.0),
        (b"S'caf\\xc3\\xa9'\n.", "café"),
        (b"S''\n.", ""),
        (b'S"quote\\""\n.', 'quote"'),
        (b"U\x02\xc3\xa9.", "é"),
        (b"T\x01\x00\x00\x00\xff.", b"\xff"),
        (b"Vcaf\\u00e9 \\ud800\n.", "café \ud800"),
        (b"\x8c\x01a.", "a"),
        (b"\x96\x01\x00\x00\x00\x00\x00\x00\x00a.", bytearray(b"a")),
        (b"\x88.", True),
        (b"N.", None),
    ],
)
def test_a_value_means_what_a_loader_holds(data: bytes, value: Any) -> None:
    assert alike(evaluate(root_of(data)), value)


@pytest.mark.parametrize(
    "data",
    [
        b"Ix\n.",
        b"I\xff\n.",
        b"Lx\n.",
        b"L\n.",
        b"Fx\n.",
        b"Sabc\n.",
        b"S'abc\n.",
        b"S'\n.",
        b"S'\\x'\n.",
        b"V\\u12\n.",
    ],
)
def test_text_that_is_no_value_breaks_as_it_does_in_python(data: bytes) -> None:
    with pytest.raises((ValueError, pickle.UnpicklingError)):
        pickle.loads(data)
    assert broken(data).anomalies[0].offset == 0


DIFFERENT = {b"I09": 9, b"I010": 8, b"I0x10": 16, b"I-010": -8, b"L010L": 10, b"L0x10": 16, b"I 5": 5, b"I1_0": 10}
"""Numbers in other spellings than those of picklers, and what a version of Python reads."""


@pytest.mark.parametrize(("line", "value"), DIFFERENT.items())
def test_a_number_that_versions_of_python_read_differently_is_odd(line: bytes, value: int) -> None:
    root = read_pickle(line + b"\n.").root
    assert root is not None
    assert evaluate(root) == value
    assert kinds(line + b"\n.") == ["odd number"]


@pytest.mark.parametrize("data", [b"I-5\n.", b"I0\n.", b"I00\n.", b"L5\n.", b"L-5L\n."])
def test_a_number_as_picklers_write_it_is_not(data: bytes) -> None:
    assert kinds(data) == []


def test_a_tuple_that_contains_itself_is_reached_by_a_detour() -> None:
    inner: list[Any] = []
    inner.append((inner,))
    root = root_of(pickle.dumps(inner[0], 2))
    assert isinstance(root, Detour)
    whole = plain(root)
    assert isinstance(whole, Tuple)
    assert plain(whole.parts[0].steps[-1].items[0]) is whole


@each_protocol
def test_the_protocol_is_that_of_the_stream(protocol: int) -> None:
    assert read_pickle(pickle.dumps([], protocol)).protocol == (protocol if protocol > 1 else None)


def test_several_pickles_in_a_row_are_read_one_by_one() -> None:
    values: list[Any] = [[1, 2], "two", {"three": (4, 5)}, None]
    data = b"junk" + b"".join(pickle.dumps(value, protocol) for protocol, value in enumerate(values)) + b"more"
    at, found = 4, []
    for _ in values:
        read = read_pickle(data, at)
        assert (read.start, read.anomalies) == (at, [])
        assert read.root is not None
        assert write_pickle(read) == data[at : read.end]
        found.append(evaluate(read.root))
        at = read.end
    assert found == values
    assert data[at:] == b"more"


def test_a_mapped_file_is_read_like_bytes(tmp_path: Path) -> None:
    data = pickle.dumps(["text", b"bytes", 1 << 100, 1.5, Thing], 4)
    (tmp_path / "pickle").write_bytes(data)
    with (tmp_path / "pickle").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert write_pickle(read_pickle(mapped)) == data


def test_offsets_are_those_of_the_opcodes() -> None:
    assert [(node.op, node.offset) for node in walk(root_of(b"\x80\x02]q\x00(K\x01X\x01\x00\x00\x00aNe."))] == [
        ("EMPTY_LIST", 2),
        ("BININT1", 6),
        ("BINUNICODE", 8),
        ("NONE", 14),
    ]


def test_calls_come_in_the_order_in_which_a_loader_would_run_them() -> None:
    data = pickle.dumps([Thing(a=Slotted(1)), Thing()], 2)
    thing, slotted = "tests.pickling.sample_values.Thing", "tests.pickling.sample_values.Slotted"
    assert paths(read_pickle(data).calls) == [thing, f"{thing}()", slotted, f"{slotted}()", f"{thing}()"]


@pytest.mark.parametrize(
    ("data", "calls"),
    [
        (b"cos\nsystem\n(S'ls'\ntR.", ["os.system", "os.system()"]),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x02ls\x85R.", ["os.system", "os.system()"]),
        (b"(S'ls'\nios\nsystem\n.", ["os.system", "os.system()"]),
        (b"(cos\nsystem\nS'ls'\no.", ["os.system", "os.system()"]),
        (b"cos\nPath\n)\x81.", ["os.Path", "os.Path()"]),
        (b"cos\nPath\n)}\x92.", ["os.Path", "os.Path()"]),
        (b"\x82\x05.", ["copyreg.extension 5"]),
        (b"\x83\x05\x01.", ["copyreg.extension 261"]),
        (b"\x84\x05\x00\x01\x00.", ["copyreg.extension 65541"]),
        (b"cos\nsystem\n.", ["os.system"]),
    ],
)
def test_every_way_to_import_and_to_call_is_seen(data: bytes, calls: list[str]) -> None:
    assert paths(read_pickle(data).calls) == calls


def test_a_call_that_is_popped_is_still_a_call() -> None:
    found = read_pickle(b"cos\nsystem\n(S'ls'\ntR0N.")
    assert paths(found.calls) == ["os.system", "os.system()"]
    assert [anomaly.kind for anomaly in found.anomalies] == ["popped"]
    assert isinstance(found.root, Atom)


def test_a_call_that_is_popped_by_an_honest_pickler_is_still_a_call() -> None:
    found = read_pickle(pickle.dumps(Late(), 4))
    assert "tests.pickling.sample_values.set_state()" in paths(found.calls)
    assert [anomaly.kind for anomaly in found.anomalies] == ["popped"]


def test_a_stream_that_breaks_keeps_what_was_run_and_says_where() -> None:
    data = b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00ls\x85R\xfe"
    found = broken(data)
    assert paths(found.calls) == ["os.system", "os.system()"]
    assert found.end == found.anomalies[0].offset == len(data) - 1
    assert str(found.anomalies[0]) == f"byte 0xfe is not a pickle opcode (at byte {len(data) - 1})"


def test_a_stream_cut_off_anywhere_is_distinguished_from_an_invalid_one() -> None:
    for protocol in PROTOCOLS:
        data = pickle.dumps([Thing(a="text", b=b"bytes", c=1 << 80), 1.5, {"k": (1, 2)}], protocol)
        for length in range(len(data)):
            anomaly = broken(data[:length]).anomalies[-1]
            assert anomaly.offset is not None
            assert anomaly.kind == "cut"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "without STOP"),
        (b".", "needs a value, but the pickle's stack is empty"),
        (b"a.", "needs a value"),
        (b"Na.", "needs a value"),
        (b"R.", "needs a value"),
        (b"q\x00.", "needs a value"),
        (b"0.", "needs a value"),
        (b"N(q\x00.", "needs a value"),
        (b"N(Q.", "needs a value"),
        (b"N(.", "needs a value"),
        (b"t.", "needs a mark"),
        (b"1.", "needs a mark"),
        (b"]K\x01e.", "needs a mark"),
        (b"(Nd.", "DICT has a key without a value"),
        (b"}(Nu.", "SETITEMS has a key without a value"),
        (b"(o.", "OBJ has no class"),
        (b"h\x00.", "memo slot 0 is fetched but was never put"),
        (b"Nq\x00h\x01.", "memo slot 1 is fetched"),
        (b"Npx\n.", "memo slot b'x' is invalid, expected a number"),
        (b"Np-1\n.", "memo slot b'-1' is invalid"),
        (b"NN\x93.", "the operands of STACK_GLOBAL are not two strings"),
        (b"P\xff\n.", "a persistent id is not ASCII"),
        (b"\x80\x06N.", "protocol 6, expected at most 5"),
        (b"\x00N.", "byte 0x00 is not a pickle opcode"),
        (b"c\xff\nb\n.", "not UTF-8"),
    ],
)
def test_a_stream_that_no_loader_takes_is_broken(data: bytes, message: str) -> None:
    anomaly = broken(data).anomalies[-1]
    assert message in anomaly.message
    assert anomaly.offset is not None
    with pytest.raises(Exception):  # noqa: B017, PT011 (python raises nearly every kind of error)
        pickle.loads(data)


def test_a_frame_beyond_the_end_is_read_as_python_itself_reads_it() -> None:
    data = b"\x80\x04\x95\x09\x00\x00\x00\x00\x00\x00\x00K\x07."
    found = read_pickle(data)
    assert isinstance(found.root, Atom)
    assert found.root.value == pickle._Unpickler(io.BytesIO(data)).load() == 7
    assert [anomaly.kind for anomaly in found.anomalies][:1] == ["odd frame"]
    with pytest.raises(pickle.UnpicklingError):
        pickle.loads(data)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"N2\x86.", ["duplicate"]),
        (b"\x80\x02\x80\x02N.", ["late PROTO"]),
        (b"N\x80\x02.", ["late PROTO"]),
        (b"]q\x00h\x00Na\x86.", ["late step"]),
        (b"]q\x00q\x01.", ["put twice"]),
        (b"]r\x00\x00\x00\x00j\x00\x00\x00\x00\x86.", ["odd fetch"]),
        (b"]p0\nh\x00\x86.", ["odd fetch"]),
        (b"]p01\n.", ["odd slot"]),
        (b"]p1\ng+1\n\x86.", ["odd slot"]),
        (b"]\x94.", ["odd put"]),
        (b"\x80\x03]\x94.", ["odd put"]),
        (b"NN.", ["left over"]),
        (b"(N.", ["left over"]),
        (b"NN0.", ["popped"]),
        (b"N(0.", ["popped"]),
        (b"N(N1.", ["popped"]),
        (b"]q\x00N(00h\x00\x86.", ["popped"]),
        (b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00M\x01\x00K\x05\x86.", []),
        (b"\x80\x04\x95\x02\x00\x00\x00\x00\x00\x00\x00M\x01\x00K\x05\x86.", ["odd frame"]),
        (b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x95\x02\x00\x00\x00\x00\x00\x00\x00N.", ["odd frame"]),
        (b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00N.more", ["odd frame"]),
    ],
)
def test_a_stream_that_cannot_be_reproduced_has_an_anomaly(data: bytes, expected: list[str]) -> None:
    assert sorted(set(kinds(data))) == sorted(expected)
    with pytest.raises(EditError, match="cannot be rewritten") if expected else contextlib.nullcontext():
        write_pickle(read_pickle(data))


@each_protocol
def test_persistent_ids_are_nodes(protocol: int) -> None:
    stream = io.BytesIO()

    class Keeping(pickle.Pickler):
        def persistent_id(self, value: Any) -> Any:
            return "storage-7" if isinstance(value, Thing) else None

    Keeping(stream, protocol).dump([Thing(), 1])
    (found,) = (node for node in walk(root_of(stream.getvalue())) if isinstance(node, Persistent))
    assert found.op == ("PERSID" if protocol == 0 else "BINPERSID")
    assert isinstance(found.id, Atom)
    assert found.id.value == "storage-7"


def test_out_of_band_buffers_are_nodes() -> None:
    buffers: list[pickle.PickleBuffer] = []
    value = [pickle.PickleBuffer(b"readonly"), pickle.PickleBuffer(bytearray(b"writable"))]
    data = pickle.dumps(value, 5, buffer_callback=buffers.append)
    assert len(buffers) == 2
    assert [node.op for node in walk(root_of(data))] == ["EMPTY_LIST", "NEXT_BUFFER", "NEXT_BUFFER"]


def test_more_opcodes_than_allowed_are_a_limit_error() -> None:
    data = b"(" + b"N" * 50 + b"t."
    assert read_pickle(data, limits=Limits(opcodes=55)).root is not None
    with pytest.raises(LimitError, match="more opcodes than the limit of 54; raise it with `--limit opcodes=N`"):
        read_pickle(data, limits=Limits(opcodes=54))


def test_more_marks_than_allowed_are_a_limit_error() -> None:
    data = b"(" * 10 + b"t" * 10 + b"."
    assert read_pickle(data, limits=Limits(marks=10)).root is not None
    with pytest.raises(LimitError, match="more marks are open than the limit of 9;"):
        read_pickle(data, limits=Limits(marks=9))


@pytest.mark.parametrize("put", [b"p1000\n", b"r\xe8\x03\x00\x00"])
def test_a_memo_slot_beyond_the_allowed_is_a_limit_error(put: bytes) -> None:
    data = b"N" + put + b"."
    assert read_pickle(data, limits=Limits(memo_index=1000)).memo_end == 1001
    with pytest.raises(LimitError, match="memo slot 1,000 is above the limit of 999;"):
        read_pickle(data, limits=Limits(memo_index=999))


@pytest.mark.parametrize(
    "data",
    [
        b"]" * DEPTH + b"a" * (DEPTH - 1) + b".",
        b")" + b"\x85" * (DEPTH - 1) + b".",
        b"}K\x01" * (DEPTH - 1) + b"}" + b"s" * (DEPTH - 1) + b".",
        b"cos\nPath\n" + b")R" * (DEPTH - 1) + b".",
    ],
    ids=["lists", "tuples", "dicts", "calls"],
)
def test_nesting_has_no_limit(data: bytes) -> None:
    root = root_of(data)
    assert sum(1 for _ in walk(root)) >= DEPTH
    assert write_pickle(Pickle(root)) == data


def test_the_first_free_memo_slot_is_above_all_that_are_used() -> None:
    assert read_pickle(b"N.").memo_end == 0
    assert read_pickle(b"]q\x05.").memo_end == 6
    assert read_pickle(c_dumps([[], []], 4)).memo_end == 3
