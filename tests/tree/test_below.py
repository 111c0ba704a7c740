"""The same answers as a walk from each node, but each node is looked at once, in trees with shared values and cycles."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptzip.pickling.new_nodes import atom, new_list
from ptzip.pickling.nodes import Atom, List, Node, walk_unordered
from ptzip.tree.below import Below


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Lists that contain one another in any way, cycles too, and numbers."""
    count = draw(st.integers(1, 9))
    nodes: list[Node] = [*(List("LIST") for _ in range(count)), atom(0), atom(1)]
    for node in nodes[:count]:
        node.parts = draw(st.lists(st.sampled_from(nodes), max_size=4))
    return nodes


@given(graphs(), st.integers(0, 9))
def test_the_answers_are_those_of_a_walk(nodes: list[Node], wanted: int) -> None:
    fitting = nodes[wanted % len(nodes)]
    below = Below(lambda node: node is fitting)
    for node in [*nodes, *nodes]:
        assert below(node) == any(one is fitting for one in walk_unordered(node))


@pytest.mark.parametrize("has_one", [False, True])
def test_nested_and_shared_values_are_looked_at_once(has_one: bool) -> None:
    looked, shared = Counter[int](), new_list([atom(index) for index in range(500)])
    nested = [new_list([shared, atom(None if has_one else 1)])]
    for _ in range(500):
        nested.append(new_list([shared, nested[-1]]))

    def is_none(node: Node) -> bool:
        looked[id(node)] += 1
        return isinstance(node, Atom) and node.value is None

    below = Below(is_none)
    assert {below(node) for node in reversed(nested)} == {has_one}
    assert looked.total() < 3000
