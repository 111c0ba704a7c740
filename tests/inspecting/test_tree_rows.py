"""The object as rows: bounded unless all is asked for, shared objects shown once, cycles ended."""

import pytest

import ptzip
from ptzip.inspecting.tree_rows import DEPTH, WIDTH, TreeRow, tree_rows
from ptzip.pickling.new_nodes import atom
from ptzip.pickling.nodes import List, Node, Step
from tests.small_checkpoints import Saving, called, weights

SAVING = Saving()


def tree(value: object, everything: bool = False) -> list[TreeRow]:
    return list(tree_rows(SAVING.node(value), {}, everything))


def test_plain_values_and_containers_are_rows() -> None:
    root, one, two, inner = tree({"a": 1, "b": {"c": "x"}})
    assert (root.depth, root.kind, root.below) == (0, "dict", 2)
    assert (one.depth, one.name, one.kind, one.value) == (1, "a", "int", 1)
    assert (two.name, two.kind, two.below) == ("b", "dict", 1)
    assert (inner.depth, inner.name, inner.value) == (2, "c", "x")


def test_a_short_list_of_plain_values_is_one_row() -> None:
    (row,) = tree([1, "a", None])
    assert row.value == [1, "a", None]
    assert len(tree(list(range(9)))) == 10


def test_a_tree_is_bounded_in_width_and_tells_what_it_left_out() -> None:
    found = tree({str(index): [index] for index in range(100)})
    assert len(found) == WIDTH + 2
    assert found[-1].hidden == 100 - WIDTH
    assert len(tree({str(index): [index] for index in range(100)}, everything=True)) == 101


def test_a_tree_is_bounded_in_depth() -> None:
    value: object = {}
    for _ in range(50):
        value = {"a": value}
    assert max(row.depth for row in tree(value)) == DEPTH
    assert max(row.depth for row in tree(value, everything=True)) == 50


def test_an_object_in_two_places_is_shown_once() -> None:
    shared = SAVING.node({"x": 1})
    found = tree({"a": {"b": shared}, "c": shared})
    assert [row.seen for row in found if row.seen] == ["a.b"]
    assert sum(row.name == "x" for row in found) == 1


def test_a_cycle_ends() -> None:
    root: Node = List("EMPTY_LIST")
    root.steps.append(Step("APPEND", items=[root]))
    assert [row.seen for row in tree_rows(root, {}, True)] == [None, ""]


def test_hooks_that_hold_nothing_are_left_out() -> None:
    module = SAVING.module("models.Net", {"weight": weights(4)}, _hooks=SAVING.ordered({}), _none=None, _used={"a": 1})
    names = [row.name for row in tree_rows(module, {}, False)]
    assert "_used" in names
    assert not {"_hooks", "_none"} & set(names)
    assert {"_hooks", "_none"} <= {row.name for row in tree_rows(module, {}, True)}


def test_a_tree_of_10_000_levels_is_walked_where_the_limit_admits_its_long_paths() -> None:
    root: Node = atom(7)
    for _ in range(10_000):
        root = List("LIST", None, [List("EMPTY_LIST"), root])
    assert max(row.depth for row in tree_rows(root, {}, True, most=2_000_000)) == 10_000
    with pytest.raises(ptzip.LimitError, match="--limit paths=N"):
        list(tree_rows(root, {}, True))


def test_a_size_is_shown_with_its_numbers() -> None:
    size = called("torch", "Size", SAVING.node(((1, 2, 3),)))
    (row,) = tree_rows(size, {}, False)
    assert (row.kind, row.value) == ("torch.Size", ((1, 2, 3),))
