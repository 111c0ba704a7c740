"""A pickled module is known by its state, and what it holds is found in the order in which torch finds it."""

import pytest

from ptzip.pickling.new_nodes import named
from ptzip.pickling.nodes import Call, Node, Step, Tuple, lookup
from ptzip.tree.modules import (
    attribute,
    attributes,
    buffer_slots,
    child,
    is_module,
    last_child,
    modules,
    parameter_slots,
)
from tests.checkpoint_builder import CheckpointBuilder, instance, module, node, numbers, ordered

MADE = CheckpointBuilder()


def parameter() -> Call:
    return MADE.parameter(numbers(1))


def test_an_object_whose_state_has_modules_is_a_module() -> None:
    assert is_module(module())
    assert is_module(module("a.class.nobody.Has"))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="nothing"),
        pytest.param(node(None), id="None"),
        pytest.param(node({"_modules": {}}), id="a dict"),
        pytest.param(instance("types.SimpleNamespace", {"a": 1}), id="another object"),
        pytest.param(ordered(_modules=1), id="an OrderedDict"),
    ],
)
def test_nothing_else_is_a_module(value: Node | None) -> None:
    assert not is_module(value)


def test_the_state_of_a_class_with_slots_is_a_pair() -> None:
    state = node({"_modules": {}, "nc": 80})
    pair = instance("a.B", (state, node({"slot": 1})))
    assert attributes(pair) is state
    slot = attribute(pair, "nc")
    assert slot is not None
    assert lookup(state, "nc") is slot.node


def test_an_object_without_state_has_no_attributes() -> None:
    bare = Call("NEWOBJ", None, [named("a", "B"), Tuple("EMPTY_TUPLE")])
    assert attributes(bare) is None
    assert attribute(bare, "nc") is None


def test_the_last_build_is_the_state() -> None:
    twice = instance("a.B", {"nc": 1})
    twice.steps.append(Step("BUILD", items=[node({"nc": 2})]))
    slot = attribute(twice, "nc")
    assert slot is not None
    assert slot.node.arg == 2


def test_children_are_found_by_name_and_place() -> None:
    first, second = module(), module()
    parent = module(children={"a": first, "b": second})
    assert child(parent, "a") is first
    assert child(parent, "c") is None
    assert last_child(parent) is second
    assert last_child(module()) is None


def test_modules_come_parent_first_each_once() -> None:
    shared = module()
    left, right = module(children={"shared": shared, "none": None}), module(children={"shared": shared})
    root = module(children={"left": left, "right": right})
    assert [id(each) for each in modules(root)] == [id(each) for each in (root, left, shared, right)]


def test_a_cycle_of_modules_ends() -> None:
    parent = module(children={"a": module()})
    inner = child(parent, "a")
    assert inner is not None
    container = lookup(attributes(inner), "_modules")
    assert container is not None
    container.steps.append(Step("SETITEM", items=[node("parent"), parent]))
    assert [id(each) for each in modules(parent)] == [id(parent), id(inner)]


def test_a_tied_parameter_is_found_once() -> None:
    tied, own = parameter(), parameter()
    root = module(children={"a": module(parameters={"w": tied}), "b": module(parameters={"w": tied, "v": own})})
    assert [slot.node for slot in parameter_slots(root)] == [tied, own]


def test_a_buffer_is_found_in_each_of_its_places() -> None:
    buffer = MADE.tensor(numbers(1))
    root = module(buffers={"x": buffer}, children={"a": module(buffers={"y": buffer, "z": None})})
    assert [slot.node.op for slot in buffer_slots(root)] == ["REDUCE", "REDUCE", "NONE"]


def test_containers_may_be_ordered_dicts() -> None:
    """As in pickles of older torch versions."""
    weight = parameter()
    root = instance("a.B", {"_parameters": ordered(w=weight), "_buffers": ordered(), "_modules": ordered(a=module())})
    assert [slot.node for slot in parameter_slots(root)] == [weight]
    assert len(list(modules(root))) == 2
