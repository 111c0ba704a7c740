"""A limit is said before memory and time are taken, and the message names the flag that raises it."""

import re
import time

import pytest

import ptzip
from ptzip.errors import LimitError
from ptzip.formats.container import Part, nothing_stored
from ptzip.limits import DEFAULT_LIMITS, SCAN_LIMITS, Limits, limits_from
from ptzip.pickling.nodes import MEMOIZED, List
from ptzip.pickling.reader import COSTS, read_pickle
from ptzip.scanning.regions import LARGE, PART_COST, Budget
from ptzip.values.builder import build
from ptzip.values.opaque import Opaque
from tests.bench.growth import SHAPES

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


def test_calls_and_names_cost_more_opcodes_than_numbers() -> None:
    data = b"cm\nn\n)R."
    cost = COSTS["GLOBAL"] + 1 + COSTS["REDUCE"] + 1
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


@pytest.mark.parametrize("shape", SHAPES)
def test_a_scan_of_a_bomb_ends_soon(shape: str) -> None:
    """20,000 parts took up to 30 s where every part was compared with all others; they take 0.5 s."""
    start = time.process_time()
    ptzip.scan(b"\x80\x02" + SHAPES[shape](20_000) + b".")
    assert time.process_time() - start < 8
