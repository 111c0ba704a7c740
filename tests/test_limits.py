"""A limit is said before memory and time are taken, and the message names the flag that raises it."""

import re
import time

import pytest

import ptzip
from ptzip.errors import LimitError
from ptzip.formats.container import Part, nothing_stored
from ptzip.limits import DEFAULT_LIMITS, SCAN_LIMITS, Limits, limits_from
from ptzip.pickling import reader
from ptzip.pickling.machine import LIMIT
from ptzip.pickling.nodes import MEMOIZED, List
from ptzip.pickling.opcode_effects import FEW_ITEMS
from ptzip.pickling.reader import COSTS, read_pickle, read_seen
from ptzip.scanning.regions import LARGE, PART_COST, Budget
from ptzip.values.builder import build
from ptzip.values.opaque import Opaque
from tests.bench.shapes import PICKLES

BOMBS = {
    "opcodes": b"N" * 99 + b".",
    "marks": b"(" * 99 + b".",
    "nesting": b"]" * 99 + b".",
    "memo_index": b"Nr\xff\xff\0\0.",
}


@pytest.mark.parametrize("name", BOMBS)
def test_the_message_names_the_flag_that_raises_the_limit(name: str) -> None:
    with pytest.raises(LimitError, match=re.escape(f"raise it with `--limit {name}=N`")):
        read_pickle(BOMBS[name], limits=DEFAULT_LIMITS._replace(**{name: 50}))


def test_limits_are_given_by_name_and_others_are_errors() -> None:
    assert limits_from({"opcodes": 7}) == DEFAULT_LIMITS._replace(opcodes=7)
    assert limits_from({"opcodes": 7}, SCAN_LIMITS) == SCAN_LIMITS._replace(opcodes=7)
    assert limits_from(None) is DEFAULT_LIMITS
    with pytest.raises(ValueError, match="there is no limit 'opcode', expected one of opcodes, marks"):
        limits_from({"opcode": 7})
    with pytest.raises(ValueError, match="the limit opcodes is 0, expected a positive number"):
        limits_from({"opcodes": 0})


def test_a_pickle_in_no_record_of_a_zip_has_no_more_bytes_than_one_that_is() -> None:
    data = b"C\x0a" + bytes(10) + b"."
    assert read_pickle(data, limits=Limits(pickle_bytes=12)).root is not None
    with pytest.raises(LimitError, match="raise it with `--limit pickle_bytes=N`"):
        read_pickle(data, limits=Limits(pickle_bytes=11))


def test_a_long_text_of_a_large_pickle_is_refused_before_it_takes_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "LARGE", 1000)
    data = b"\x8d" + (400).to_bytes(8, "little") + b"a" * 400 + b"N0" * 400 + b"."
    assert read_seen(data, limits=Limits(pickle_bytes=2001)).root is not None
    (limit,) = read_seen(data, limits=Limits(pickle_bytes=2000)).anomalies
    assert (limit.kind, limit.offset) == (LIMIT, 0)


def test_tuples_cost_more_opcodes_than_what_is_in_them() -> None:
    assert read_pickle(b"NN\x86.").cost == 2 + COSTS["TUPLE2"] + 1


def test_calls_and_names_cost_more_opcodes_than_numbers() -> None:
    data = b"cm\nn\n)R."
    cost = COSTS["GLOBAL"] + COSTS["EMPTY_TUPLE"] + COSTS["REDUCE"] + 1
    assert read_pickle(data, limits=Limits(opcodes=cost)).cost == cost
    with pytest.raises(LimitError):
        read_pickle(data, limits=Limits(opcodes=cost - 1))


def test_all_pickles_of_a_scan_share_one_budget() -> None:
    budget = Budget(Limits(opcodes=10), 0)
    assert budget.read(b"NNNN00000.", 0).opcodes > 0
    assert budget.opcodes > PART_COST
    with pytest.raises(LimitError, match="the file has more opcodes and parts than the limit of 10;"):
        budget.count_part()


def test_a_large_file_may_hold_more_unless_a_limit_is_given() -> None:
    most = SCAN_LIMITS.opcodes
    assert [Budget(SCAN_LIMITS, size).limits.opcodes for size in (0, LARGE, 100 * LARGE)] == [most, 2 * most, 4 * most]
    assert Budget(SCAN_LIMITS._replace(opcodes=100), LARGE).limits.opcodes == 100


def test_the_name_of_a_computed_function_does_not_grow_with_each_call() -> None:
    found = build(Part("a pickle", read_pickle(b"\x80\x02K\x01" + b")\x81" * 5000 + b"."), nothing_stored), unknown="keep")
    assert isinstance(found, Opaque)
    assert found.path == "the value of an object of int"


def test_values_that_are_only_memoized_share_their_step() -> None:
    root = read_pickle(b"\x80\x04](N\x94N\x94e.").root
    assert isinstance(root, List)
    assert all(item.steps is MEMOIZED for item in root.steps[0].items)


def long(number: int) -> bytes:
    data = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + len(data).to_bytes(4, "little") + data


TOWER = b"K\x01K\x02\x86q\0" + b"".join(b"h%c\x86q%c" % (level, level + 1) for level in range(34))
"""A tuple of twice the same tuple, 34 times, whose hash takes 2 ** 34 steps."""

COLLIDING = [long((1 + index) * ((1 << 61) - 1)) for index in range(5000)]
"""Integers whose hash is 0."""

NAMESPACE = b"cargparse\nNamespace\n"
WORK = {
    "a nested tuple": b"}" + TOWER + b"Ns",
    "a nested tuple in a set": b"c__builtin__\nset\n](" + TOWER + b"e\x85R",
    "a nested tuple in pairs": b"ccollections\nOrderedDict\n](" + TOWER + b"N\x86e\x85R",
    "a nested tuple from a call": b"}ctorch\nSize\n" + TOWER + b"\x85RNs",
    "colliding integers": b"}(" + b"N".join(COLLIDING) + b"Nu",
    "colliding integers in a set": b"c__builtin__\nset\n](" + b"".join(COLLIDING) + b"e\x85R",
    "colliding tuples": b"}(" + b"\x85N".join(COLLIDING) + b"\x85Nu",
    "a long integer": long(1 << 8_000_000) + b"q\0}(" + b"h\0N" * 1000 + b"u",
    "a wide tuple": b"(" + b"N" * 10_000 + b"tq\0}(" + b"h\0N" * 1000 + b"u",
    "one state copied": b"}("
    + b"".join(b"X\2\0\0\0%02xN" % n for n in range(256))
    + b"uq\1"
    + NAMESPACE
    + b"q\0]("
    + b"h\0)\x81h\1b" * 30_000
    + b"e",
}


@pytest.mark.parametrize("name", WORK)
def test_shared_and_hashed_values_are_counted_before_they_are_built(name: str) -> None:
    start = time.process_time()
    with pytest.raises(LimitError, match="raise it with `--limit opcodes=N`"):
        build(Part("a pickle", read_pickle(b"\x80\x02" + WORK[name] + b"."), nothing_stored), unknown="keep")
    assert time.process_time() - start < 5


def test_equal_keys_of_many_dicts_are_no_collisions() -> None:
    data = b"\x80\x02K\1K\2\x86q\0](" + b"}h\0Ns" * 20_000 + b"e."
    assert len(build(Part("a pickle", read_pickle(data), nothing_stored))) == 20_000  # type: ignore[arg-type]


FILLED = {
    "appends": b"](" + b"N" * 12 + b"e.",
    "an append each": b"]" + b"Na" * 12 + b".",
    "a list": b"(" + b"N" * 12 + b"l.",
    "pairs": b"}(" + b"K\1N" * 12 + b"u.",
    "a pair each": b"}" + b"K\1Ns" * 12 + b".",
    "a dict": b"(" + b"K\1N" * 12 + b"d.",
    "a set": b"\x8f(" + b"N" * 12 + b"\x90.",
    "a tuple": b"(" + b"N" * (FEW_ITEMS + 12) + b"t.",
}


@pytest.mark.parametrize("name", FILLED)
def test_items_of_containers_count_as_paths_when_they_are_read(name: str) -> None:
    """Five million numbers in a list took up to 6 GiB in views and comparisons, which look at each of them."""
    assert read_pickle(FILLED[name], limits=Limits(paths=12)).root is not None
    with pytest.raises(LimitError, match="raise it with `--limit paths=N`"):
        read_pickle(FILLED[name], limits=Limits(paths=11))


def tensors(count: int) -> bytes:
    """A state dict of so many tensors, as torch.save writes it."""
    start = b"\x80\x02}q\0(" + TENSOR.replace(b"h\x01", b"ctorch._utils\n_rebuild_tensor_v2\nq\x01").replace(
        b"h\x02", b"ctorch\nFloatStorage\nq\x02"
    ).replace(b"h\x03", b"X\3\0\0\0cpuq\x03").replace(b"h\x04", b"ccollections\nOrderedDict\nq\x04")
    return start + TENSOR * (count - 1) + b"u."


TENSOR = (
    b"X\5\0\0\0layerr\0\0\1\0h\x01((X\7\0\0\0storager\1\0\1\0h\x02X\1\0\0\x000r\2\0\1\0h\x03K\4tr\3\0\1\0QK\0K\2K\2\x86r\4\0\1\0"
    b"K\2K\1\x86r\5\0\1\0\x89h\x04)Rr\6\0\1\0tr\7\0\1\0Rr\x08\0\1\0"
)


def test_the_default_limits_take_a_hundred_thousand_tensors() -> None:
    few, more = (read_pickle(tensors(count)).cost for count in (10, 20))
    assert (more - few) * 10_000 < 0.97 * DEFAULT_LIMITS.opcodes
    assert 0.25 * DEFAULT_LIMITS.paths > 100_000
    assert 0.5 * DEFAULT_LIMITS.entries > 100_000


@pytest.mark.parametrize("shape", PICKLES)
def test_a_scan_of_a_bomb_ends_soon(shape: str) -> None:
    """20,000 parts took up to 30 s where every part was compared with all others; they take 0.5 s."""
    start = time.process_time()
    ptzip.scan(b"\x80\x02" + PICKLES[shape](20_000, 0) + b".")
    assert time.process_time() - start < 8
