"""The treemap of bytes, and the words of figures."""

import pytest

from ptzip.figures.block_tree import MIXED, Block
from ptzip.figures.treemap import MOST_CHILDREN, treemap
from ptzip.figures.words import label


def rectangles(*blocks: Block) -> dict[str, tuple[str, int, str]]:
    """What is in a treemap: label -> the label around it, bytes, kind."""
    (trace,) = treemap("all", blocks)["data"]
    names = dict(zip(trace["ids"], trace["labels"], strict=True))
    parents = [names.get(parent, "") for parent in trace["parents"]]
    rows = zip(parents, trace["values"], trace["customdata"], strict=True)
    return dict(zip(trace["labels"], rows, strict=True))


def test_a_rectangle_has_the_bytes_of_those_in_it() -> None:
    found = rectangles(Block("model.a", 3, "weights"), Block("model.b", 4, "weights"), Block("opt", 5, "optimizer"))
    assert found == {
        "all": ("", 12, MIXED),
        "model": ("all", 7, "weights"),
        "a": ("model", 3, "weights"),
        "b": ("model", 4, "weights"),
        "opt": ("all", 5, "optimizer"),
    }


def test_a_rectangle_that_would_fill_the_one_around_it_is_joined_to_it() -> None:
    found = rectangles(Block("model.module.a", 3, "weights"), Block("model.module.b", 3, "weights"), Block("x", 1, "other"))
    assert found["a"] == ("model.module", 3, "weights")


def test_a_tensor_with_others_below_its_path_keeps_its_own_bytes() -> None:
    found = rectangles(Block("a", 3, "weights"), Block("a.b", 4, "weights"), Block("c", 1, "weights"))
    assert (found["a"][1], found["b"][1]) == (7, 4)


def test_many_small_rectangles_are_in_groups_of_neighbours() -> None:
    many = [Block(f"state.{number}", 10, "optimizer") for number in range(1000)]
    found = rectangles(*many, Block("state.large", 9000, "optimizer"), Block("x", 1, "other"))
    assert found["large"][0] == "state"
    assert found["7"][0] == "0 \u2026 25"
    assert sum(parent == "state" for parent, _, _ in found.values()) <= MOST_CHILDREN
    assert len(found) > 1000


def test_a_path_of_very_many_parts_is_cut() -> None:
    found = rectangles(Block(".".join("a" * 5000), 1, "weights"), Block("b", 1, "weights"))
    assert len(found) == 3


@pytest.mark.parametrize("text", ["<b>x</b>", "&lt;", "a & b", "$\\alpha$", "<a href='javascript:x'>"])
def test_labels_have_no_markup(text: str) -> None:
    assert not set(label(text)) & set("<>$")
    assert "&" not in label(text).replace("&lt;", "").replace("&gt;", "").replace("&amp;", "").replace("&#36;", "")
