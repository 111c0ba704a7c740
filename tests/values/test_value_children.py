"""Names of tensors: those of a state dict, wherever in a checkpoint a tensor is.

A name never hides a tensor, and naming never takes longer than there are tensors to name.
"""

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

import pytest

import ptzip
from ptzip.errors import LimitError
from ptzip.tensors.tensor import Tensor
from ptzip.values.opaque import Opaque
from ptzip.values.tensor_names import named_tensors
from ptzip.values.torch_values import Device as TorchDevice
from ptzip.values.torch_values import Dtype, Generator
from tests.corpus import CORPUS, needs_corpus

A, B, C = Tensor("float32", (1,), (1,)), Tensor("float32", (2,), (1,)), Tensor("float32", (3,), (1,))


def module(cls: str = "Net", **attributes: object) -> Opaque:
    """A pickled `nn.Module`; parameters, buffers and modules are dicts of their own."""
    return Opaque("models", cls, (), state={"training": True, "_parameters": {}, "_buffers": {}, "_modules": {}, **attributes})


def named(value: object) -> dict[str, Tensor]:
    return dict(named_tensors(value))


def test_a_bare_tensor_has_the_empty_name() -> None:
    assert named(A) == {"": A}


def test_a_bare_state_dict_has_no_prefix() -> None:
    assert named(OrderedDict({"conv.weight": A, "conv.bias": B})) == {"conv.weight": A, "conv.bias": B}


def test_dict_keys_and_indices_are_parts_of_the_name() -> None:
    assert named({"a": [{"b": (A, B)}, C]}) == {"a.0.b.0": A, "a.0.b.1": B, "a.1": C}


def test_a_module_is_named_as_its_state_dict_is() -> None:
    conv = module(_parameters={"weight": A, "bias": None}, _buffers={"mean": B})
    root = {"model": module(_modules={"0": conv}), "ema": module(_modules={"0": module(_parameters={"weight": C})})}
    assert named(root) == {"model.0.weight": A, "model.0.mean": B, "ema.0.weight": C}


def test_a_plain_attribute_of_a_module_is_called_by_its_name() -> None:
    assert named({"model": module(stride=A, hyp={"anchors": B})}) == {"model.stride": A, "model.hyp.anchors": B}


def test_only_a_module_has_parts_without_a_name() -> None:
    assert named({"_modules": A, "x": {"_parameters": {"w": B}}}) == {"_modules": A, "x._parameters.w": B}
    assert named(Opaque("m", "C", (), state={"_parameters": {"w": A}})) == {"_parameters.w": A}


def test_tied_tensors_appear_under_each_name() -> None:
    assert named({"a": A, "b": [A]}) == {"a": A, "b.0": A}


def test_a_module_that_stands_twice_is_named_twice_as_in_a_state_dict() -> None:
    shared = module(_parameters={"weight": A})
    assert named({"model": shared, "ema": shared}) == {"model.weight": A, "ema.weight": A}
    assert named(module(_modules={"a": shared, "b": shared})) == {"a.weight": A, "b.weight": A}


def test_another_object_that_stands_twice_is_named_once() -> None:
    held = Opaque("m", "Trainer", (), state={"t": A})
    assert named([held, held]) == {"0.t": A}


def test_tensors_of_unknown_objects_are_found_wherever_they_hold_them() -> None:
    held = Opaque("m", "C", (A,), kwargs={"k": B}, items=[C], pairs=[("p", A)], state=[B])
    assert named({"x": held}) == {"x.0": A, "x.k": B, "x.0 (2)": B, "x.0 (3)": C, "x.p": A}


def test_components_appear_with_the_tensor_that_they_make() -> None:
    whole = Tensor("float32", (2,), layout="sparse_coo", components={"indices": A, "values": B}, attributes={"note": [C]})
    assert named({"s": whole}) == {"s": whole, "s.indices": A, "s.values": B, "s.note.0": C}


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (3, "3"),
        (None, "None"),
        (True, "True"),
        (1.5, "1.5"),
        (b"x", "b'x'"),
        ((1, "a"), "(1, 'a')"),
        (Dtype("int8"), "torch.int8"),
        (Opaque("__builtin__", "len"), "builtins.len"),
        (TorchDevice("cuda", 1), "cuda:1"),
        ("", ""),
        ("a.b", "a.b"),
        ("😀", "😀"),
    ],
)
def test_a_key_is_named_by_its_text(key: object, name: str) -> None:
    assert named({key: A}) == {name: A}


def test_a_key_without_a_short_text_is_named_by_its_place_and_looked_into() -> None:
    assert named({"first": None, A: {"step": B}, "k" * 2000: C}) == {"1": A, "1.step": B, "2": C}
    assert named({((1,),): A}) == {"0": A}


def test_no_name_hides_a_tensor() -> None:
    found = named({"a.b": A, "a": {"b": B}, 3: C, "3": A})
    assert found == {"a.b": A, "a.b (2)": B, "3": C, "3 (2)": A}


def test_other_containers_are_looked_into() -> None:
    generator = Generator(TorchDevice("cpu"), state=A)
    held: dict[str, Any] = {"n": SimpleNamespace(t=B), "g": generator, "o": OrderedDict()}
    held["o"].extra = C
    assert named(held) == {"n.t": B, "g.state": A, "o.extra": C}


def test_a_value_may_contain_itself() -> None:
    net = module(_parameters={"w": A})
    net.state["parent"] = [net]  # type: ignore[index]
    assert named({"model": net}) == {"model.w": A}


def test_a_name_may_be_deeper_than_python_can_call_itself() -> None:
    value: object = A
    for _ in range(10_000):
        value = [value]
    assert named(value) == {".".join(["0"] * 10_000): A}


def test_what_doubles_at_every_level_and_holds_no_tensor_takes_no_time() -> None:
    value: object = {"x": 1}
    for _ in range(1000):
        value = [value, value]
    assert named(value) == {}


def test_more_names_than_the_limit_are_refused() -> None:
    value: object = A
    for _ in range(30):
        value = [value, value]
    with pytest.raises(LimitError, match="1,001 paths"):
        named_tensors(value, 1000)


def test_longer_names_than_the_limit_are_refused() -> None:
    with pytest.raises(LimitError, match="257 characters"):
        named_tensors({"x" * 128: A, "y" * 129: A}, 2)


@needs_corpus
def test_the_two_models_of_a_checkpoint_do_not_collide() -> None:
    with ptzip.open(CORPUS / "yolo" / "y5_v70_n_sgd.last.pt") as checkpoint:
        found = checkpoint.tensors()
    assert found["model.model.0.conv.weight"] is not found["ema.model.0.conv.weight"]
    assert found["model.model.0.conv.weight"].shape == found["ema.model.0.conv.weight"].shape == (16, 3, 6, 6)
