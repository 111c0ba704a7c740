"""What is below a node and what its path is: keys, items, attributes, but not the dicts of a module that hold its members."""

import pytest

from ptzip.errors import EditError
from ptzip.pickling.new_nodes import atom, named
from ptzip.pickling.nodes import Atom, Call, Global, List, Node, Step, Tuple, lookup
from ptzip.tensors.torch_names import may_hide_storages
from ptzip.tree.children import find_node, node_at, node_children, node_key_text, node_paths
from ptzip.tree.kinds import is_tensor, kind
from ptzip.tree.modules import attributes
from tests.small_checkpoints import Saving, called, weights

SAVING = Saving()


def node(value: object) -> Node:
    return SAVING.node(value)


def names(value: Node) -> list[str | None]:
    return [child.part for child in node_children(value)]


def filled(pairs: list[tuple[Node, Node]]) -> Node:
    """A dict with keys that are any nodes."""
    tree = Saving().node({})
    tree.steps.append(Step("SETITEMS", items=[part for pair in pairs for part in pair]))
    return tree


def value(found: Node) -> object:
    assert isinstance(found, Atom)
    return found.value


def test_the_children_of_a_dict_are_its_keys_and_those_of_a_list_its_indices() -> None:
    assert names(node({"a": 1, "b": 2})) == ["a", "b"]
    assert names(node([7, 8])) == ["0", "1"]
    assert names(node((7,))) == ["0"]


def test_a_key_that_is_not_text_is_named_as_python_prints_it() -> None:
    keys = (0, None, 1.5, True, (1, "a"), Atom("SHORT_BINBYTES", b"x"), called("_codecs", "encode", node(("x", "latin1"))))
    tree = filled([(node(key), node(index)) for index, key in enumerate(keys)])
    assert names(tree) == ["0", "None", "1.5", "True", "(1, 'a')", "b'x'", "b'x'"]
    assert node_key_text(named("torch", "float32")) == "torch.float32"
    assert node_key_text(called("torch", "device", node(("cuda", 1)))) == "cuda:1"
    assert node_key_text(named("__builtin__", "int")) == node_key_text(named("builtins", "int")) == "builtins.int"


def test_a_key_without_a_short_text_is_named_by_its_position_and_is_a_child_as_well() -> None:
    tensor = SAVING.tensor(weights(4))
    tree = filled([(node("a"), node(1)), (tensor, node(2)), (node("k" * 2000), node(3)), (node(1 << 100_000), node(4))])
    assert names(tree) == ["a", "1", "1", "2", "3"]
    assert node_children(tree)[1].value is tensor


def test_the_dicts_of_a_module_are_not_part_of_a_path() -> None:
    inner = SAVING.module("models.Conv", {"weight": weights(4)})
    outer = SAVING.module("models.Net", {}, stride=2)
    held = lookup(attributes(outer), "_modules")
    assert held is not None
    held.steps.append(Step("SETITEMS", items=[node("conv"), inner]))
    assert names(outer) == ["training", "conv", "stride"]
    assert is_tensor(find_node(outer, "conv.weight").value)


def test_only_a_module_has_dicts_without_a_name() -> None:
    made = Call("NEWOBJ", None, [named("a", "B"), Tuple("EMPTY_TUPLE")], [Step("BUILD", items=[node({"_parameters": {}})])])
    assert names(made) == ["_parameters"]
    assert names(node({"_modules": 1})) == ["_modules"]


def test_an_object_with_a_list_named_like_the_dicts_of_a_module_keeps_its_items() -> None:
    made = Call("NEWOBJ", None, [named("a", "B"), Tuple("EMPTY_TUPLE")], [Step("BUILD", items=[node({"_modules": ["x"]})])])
    assert names(made) == ["0"]


def test_a_strided_tensor_has_nothing_below_it() -> None:
    assert names(SAVING.tensor(weights(4))) == []
    assert kind(SAVING.parameter(weights(4))) == "tensor"


def test_the_components_of_a_tensor_are_named_and_cannot_be_replaced() -> None:
    layout = called("torch.serialization", "_get_layout", node(("torch.sparse_coo",)))
    parts = (SAVING.tensor(weights(2)), SAVING.tensor(weights(2)), (4,))
    sparse = called("torch._utils", "_rebuild_sparse_tensor", node((layout, parts)))
    assert [(child.part, child.slot) for child in node_children(sparse)] == [("indices", None), ("values", None)]
    nested = called("torch._utils", "_rebuild_nested_tensor", node((*parts[:2], *parts[:2])))
    assert names(nested) == ["buffer", "sizes", "strides", "offsets"]


def test_the_attributes_of_a_tensor_are_named_in_whatever_call_gives_them() -> None:
    tensor, state = SAVING.tensor(weights(2)), {"note": 1}
    assert names(called("torch._utils", "_rebuild_parameter_with_state", node((tensor, True, {}, state)))) == ["note"]
    rebuild = named("torch._utils", "_rebuild_tensor_v2")
    assert names(called("torch._tensor", "_rebuild_from_type_v2", node((rebuild, named("a", "T"), (), state)))) == ["note"]


def test_a_set_is_named_like_a_dict_and_an_ordered_dict_of_python_2_is_one() -> None:
    listed = List("EMPTY_LIST", steps=[Step("APPENDS", items=[node([("a"), 1]), node(["b", 2])])])
    assert names(called("collections", "OrderedDict", Tuple("TUPLE1", None, [listed]))) == ["a", "b"]
    assert names(called("__builtin__", "set", Tuple("TUPLE1", None, [node([5, "x"])]))) == ["5", "x"]


def test_arguments_of_an_unknown_class_are_named_by_their_index_unless_they_are_plain() -> None:
    assert names(called("somebody", "Thing", node((1, [5, 6], (2, "a"))))) == ["1"]
    assert names(called("copyreg", "__newobj__", node((named("somebody", "Thing"), [5, 6])))) == ["0"]


def test_keyword_arguments_are_named_by_their_keys() -> None:
    made = Call("NEWOBJ_EX", None, [named("somebody", "Thing"), Tuple("EMPTY_TUPLE"), node({"size": [1]})])
    assert names(made) == ["size"]


def test_the_state_of_an_object_with_slots_is_a_pair_of_dicts() -> None:
    made = Call("NEWOBJ", None, [named("models", "Slotted"), Tuple("EMPTY_TUPLE")])
    made.steps.append(Step("BUILD", items=[node(({"a": 1}, {"b": 2}))]))
    assert names(made) == ["a", "b"]
    assert node_at(made, "b") is not None


def test_a_state_that_is_not_a_dict_adds_nothing_to_a_path() -> None:
    made = Call(
        "NEWOBJ",
        None,
        [
            named("models", "Thing"),
            Tuple("EMPTY_TUPLE"),
        ],
        [Step("BUILD", items=[node([7, {"a": 8}])])],
    )
    assert [path for path, _ in node_paths(made)] == ["0", "1", "1.a"]


def test_a_key_may_have_dots_itself() -> None:
    tree = node({"model.0": {"weight": 1}, "model": {"0.weight": 2, "0": {"bias": 3}}, "": {"": 4}})
    assert value(find_node(tree, "model.0.weight").value) in (1, 2)
    assert value(find_node(tree, "model.0.bias").value) == 3
    assert value(find_node(tree, ".").value) == 4


def test_a_path_that_is_not_there_is_refused_with_what_is() -> None:
    with pytest.raises(EditError, match=r"no 'c' below 'b', which has x, y$"):
        find_node(node({"a": 1, "b": {"x": 1, "y": 2}}), "b.c")
    with pytest.raises(EditError, match=r"no 'q' at the top level, which has a$"):
        find_node(node({"a": 1}), "q")
    with pytest.raises(EditError, match=r"0, 1, .* 19, \.\.\.$"):
        find_node(node(list(range(30))), "q")


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
def test_only_strided_views_of_a_storage_are_usual_tensors(path: str, answer: bool) -> None:
    assert may_hide_storages(path) is answer


def test_a_tree_deeper_than_python_calls_is_searched() -> None:
    tree: Node = atom(7)
    for _ in range(20_000):
        tree = List("LIST", None, [tree])
    assert value(find_node(tree, ".".join(["0"] * 20_000)).value) == 7
