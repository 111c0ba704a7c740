"""What a call really calls, through every helper a pickle can hide it behind."""

import pytest

from ptzip.pickling.nodes import Call, Node, Pickle, plain
from ptzip.pickling.reader import read_pickle
from ptzip.tree.calls import MOST_ATTRIBUTES, class_path, qualified_name, resolve
from tests.scanning.raw_pickles import call, name, stack_global, text

MODEL = name("models.yolo.Model")
MODULE_ID = b"(" + text("module") + MODEL + text("yolo.py") + text("source") + b"tQ"
"""The persistent id of a class with its source, which old versions of torch write."""

NUMBER = b"K\x07"


def read(value: bytes) -> Pickle:
    return read_pickle(b"\x80\x04" + value + b".")


def root(value: bytes) -> Node:
    found = read(value).root
    assert found is not None
    return plain(found)


def class_of(node: Node) -> str:
    found = qualified_name(node)
    return found.path if found else ""


def nested(levels: int) -> bytes:
    """`a.B`, looked up one attribute at a time."""
    found = name("a.B")
    for _ in range(levels):
        found = name("builtins.getattr") + b"(" + found + text("C") + b"tR"
    return found


CALLS = {
    "REDUCE": (call("a.b.f", NUMBER), "a.b.f", "call", ""),
    "NEWOBJ": (MODEL + b"(" + NUMBER + b"t\x81", "models.yolo.Model", "new", ""),
    "NEWOBJ_EX": (MODEL + b"(" + NUMBER + b"t}\x92", "models.yolo.Model", "new", ""),
    "INST": (b"(" + NUMBER + b"imodels.yolo\nModel\n", "models.yolo.Model", "call", ""),
    "OBJ": (b"(" + MODEL + NUMBER + b"o", "models.yolo.Model", "call", ""),
    "__newobj__": (call("copyreg.__newobj__", MODEL, NUMBER), "models.yolo.Model", "new", "copyreg.__newobj__"),
    "__newobj_ex__": (
        call("copyreg.__newobj_ex__", MODEL, b"(" + NUMBER + b"t", b"}"),
        "models.yolo.Model",
        "new",
        "copyreg.__newobj_ex__",
    ),
    "a dotted name": (stack_global("a", "B.C") + b"(" + NUMBER + b"tR", "a.B.C", "call", ""),
    "an attribute": (nested(2) + b"(" + NUMBER + b"tR", "a.B.C.C", "call", ""),
    "a class with its source": (MODULE_ID + b"(" + NUMBER + b"t\x81", "models.yolo.Model", "new", ""),
}


@pytest.mark.parametrize(("value", "path", "kind", "helper"), CALLS.values(), ids=CALLS)
def test_a_call_is_resolved_to_what_it_calls_and_the_arguments_that_gets(
    value: bytes, path: str, kind: str, helper: str
) -> None:
    found = resolve(root(value))
    assert found
    assert (found.path, found.kind, found.helper, found.keywords) == (path, kind, helper, None)
    assert [plain(argument).arg for argument in found.arguments] == [7]
    assert not found.has_computed_arguments
    assert class_path(root(value)) == path


@pytest.mark.parametrize("module", ["copyreg", "copy_reg"])
def test_a_reconstructed_object_has_a_class_a_base_and_contents(module: str) -> None:
    found = resolve(root(call(f"{module}._reconstructor", MODEL, name("builtins.list"), b"]")))
    assert found
    assert found.base
    assert found.contents
    assert (found.path, found.kind, list(found.arguments)) == ("models.yolo.Model", "reconstruct", [])
    assert (class_of(found.base), found.contents.op) == ("builtins.list", "EMPTY_LIST")


def test_keyword_arguments_are_kept() -> None:
    found = resolve(root(MODEL + b")}" + text("nc") + NUMBER + b"s\x92"))
    assert found
    assert found.keywords


@pytest.mark.parametrize("arguments", [b"(" + NUMBER + b"l", call("builtins.tuple")])
def test_arguments_that_are_no_tuple_are_computed(arguments: bytes) -> None:
    found = resolve(root(name("a.f") + arguments + b"R"))
    assert found
    assert (found.has_computed_arguments, list(found.arguments)) == (True, [])


def test_a_lookup_itself_is_no_call_of_its_result() -> None:
    found = resolve(root(nested(1)))
    assert found
    assert (found.kind, found.path) == ("getattr", "builtins.getattr")


def test_a_function_of_a_package_is_resolved_too() -> None:
    pickle = read(b"(" + text("reduce_package") + NUMBER + name("a.f") + b"(" + NUMBER + b"ttQ")
    found = resolve(pickle.persistents[0])
    assert found
    assert (found.kind, found.path, len(found.arguments)) == ("package", "a.f", 1)


COMPUTED = {
    "the result of a call": call("a.f") + b")R",
    "a class out of a call": call("copyreg._reconstructor", call("a.f"), name("builtins.object"), b"N"),
    "an attribute of a call": name("builtins.getattr") + b"(" + call("a.f") + text("g") + b"tR)R",
    "too many attributes": nested(MOST_ATTRIBUTES + 1) + b")R",
    "a computed attribute": name("builtins.getattr") + b"(" + name("a.B") + call("a.f") + b"tR)R",
}


@pytest.mark.parametrize("value", COMPUTED.values(), ids=COMPUTED)
def test_what_is_computed_while_loading_is_not_resolved(value: bytes) -> None:
    found = root(value)
    assert isinstance(found, Call)
    assert resolve(found) is None


def test_other_values_call_nothing() -> None:
    assert resolve(root(NUMBER)) is None
    assert class_path(root(NUMBER)) == ""
