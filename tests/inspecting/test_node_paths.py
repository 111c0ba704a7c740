"""Dotted names of objects, and the way to one: keys, places in lists, attributes, but not what holds those of a module."""

import pytest

from ptzip.errors import EditError
from ptzip.inspecting.node_paths import children, find, is_tensor, kind, label
from ptzip.pickling.new_nodes import atom, named
from ptzip.pickling.nodes import Atom, Call, Global, List, Node, Step, Tuple, lookup
from ptzip.tensors.torch_names import may_hide_storages
from ptzip.tree.modules import attributes
from tests.cli.samples import Saving, called, weights

SAVING = Saving()


def node(value: object) -> Node:
    return SAVING.node(value)


def names(value: Node) -> list[str]:
    return [child.name for child in children(value)]


def test_the_children_of_a_dict_are_its_keys_and_those_of_a_list_its_places() -> None:
    assert names(node({"a": 1, "b": 2})) == ["a", "b"]
    assert names(node([7, 8])) == ["0", "1"]
    assert names(node((7,))) == ["0"]


def test_a_key_that_is_no_text_is_spelled() -> None:
    keys: dict[object, int] = {0: 1, None: 2, (1, "a"): 3}
    tree = Saving().node({})
    tree.steps.append(Step("SETITEMS", items=[part for key, value in keys.items() for part in (node(key), node(value))]))
    assert names(tree) == ["0", "None", "(1, a)"]
    assert label(named("torch", "float32")) == "torch.float32"


def test_what_holds_the_children_of_a_module_is_no_part_of_a_name() -> None:
    inner = SAVING.module("models.Conv", {"weight": weights(4)})
    outer = SAVING.module("models.Net", {}, stride=2)
    held = lookup(attributes(outer), "_modules")
    assert held is not None
    held.steps.append(Step("SETITEMS", items=[node("conv"), inner]))
    assert names(outer) == ["training", "conv", "stride"]
    assert is_tensor(find(outer, "conv.weight"))


def test_a_tensor_has_nothing_below_it() -> None:
    assert names(SAVING.tensor(weights(4))) == []
    assert kind(SAVING.parameter(weights(4))) == "tensor"


def test_a_set_and_an_ordered_dict_of_python_2_are_known_by_what_they_are_made_from() -> None:
    listed = List("EMPTY_LIST", steps=[Step("APPENDS", items=[node([("a"), 1]), node(["b", 2])])])
    assert names(called("collections", "OrderedDict", Tuple("TUPLE1", None, [listed]))) == ["a", "b"]
    assert names(called("__builtin__", "set", Tuple("TUPLE1", None, [node([5, 6])]))) == ["0", "1"]


def test_the_arguments_of_an_unknown_class_are_not_taken_for_children() -> None:
    assert names(called("somebody", "Thing", Tuple("TUPLE1", None, [node([5, 6])]))) == []


def test_the_state_of_an_object_with_slots_is_a_pair_of_dicts() -> None:
    made = Call("NEWOBJ", None, [named("models", "Slotted"), Tuple("EMPTY_TUPLE")])
    made.steps.append(Step("BUILD", items=[node(({"a": 1}, {"b": 2}))]))
    assert names(made) == ["a", "b"]


def test_a_key_may_hold_dots_itself() -> None:
    tree = node({"model.0": {"weight": 1}, "model": {"0.weight": 2, "0": {"bias": 3}}})
    assert value(find(tree, "model.0.weight")) in (1, 2)
    assert value(find(tree, "model.0.bias")) == 3


def value(found: Node) -> object:
    assert isinstance(found, Atom)
    return found.value


def test_a_name_that_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(EditError, match=r"nothing called c below b; there is x, y"):
        find(node({"a": 1, "b": {"x": 1, "y": 2}}), "b.c")
    with pytest.raises(EditError, match=r"nothing called q at the top; there is a"):
        find(node({"a": 1}), "q")


@pytest.mark.parametrize(
    ("made", "word"), [(atom(1), "int"), (atom(None), "None"), (atom("a"), "str"), (named("a", "b"), "name")]
)
def test_a_kind_is_one_word(made: Atom | Global, word: str) -> None:
    assert kind(made) == word


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("torch._utils._rebuild_tensor_v2", False),
        ("torch._utils._rebuild_parameter", False),
        ("collections.OrderedDict", False),
        ("torch._utils._rebuild_qtensor", True),
        ("torch._tensor._rebuild_from_type_v2", True),
        ("torch.FloatTensor", True),
        ("torch.storage._load_from_bytes", True),
    ],
)
def test_only_views_of_a_storage_are_simple_tensors(path: str, answer: bool) -> None:
    assert may_hide_storages(path) is answer


def test_a_tree_deeper_than_python_calls_is_found_through() -> None:
    tree: Node = atom(7)
    for _ in range(20_000):
        tree = List("LIST", None, [tree])
    assert value(find(tree, ".".join(["0"] * 20_000))) == 7
