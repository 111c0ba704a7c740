"""Objects of torch's own classes: instances pass, their constructors, bombs in their states and hidden calls do not."""

import pytest

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan
from tests.scanning.raw_pickles import call, name, pickled, text

ADAM, LSTM, PARTIAL = "torch.optim.adam.Adam", "torch.nn.modules.rnn.LSTM", "functools.partial"
LINEAR = "torch.nn.modules.linear.Linear"
RANGE = call("builtins.range", b"\x8a\x06\x00\x00\x00\x00\x00\x01")
NONE = b"N"


def made(path: str, state: bytes) -> bytes:
    """An instance of a class, with a state."""
    return name(path) + b")\x81" + state + b"b"


def state(**values: bytes) -> bytes:
    return b"}" + b"".join(text(key) + value + b"s" for key, value in values.items())


def partial(path: str, given: bytes = b")", inner: str = "", attributes: bytes = NONE) -> bytes:
    """functools.partial(path, *given), as a pickler writes it."""
    return name(PARTIAL) + name(path) + b"\x85R(" + name(inner or path) + given + b"}" + attributes + b"tb"


CLEAN = {
    "an optimizer": made(ADAM, state(param_groups=b"]" + state(params=b"]", lr=b"K\x01") + b"a")),
    "a layer that packs its weights": made("torch.ao.nn.quantized.modules.conv.Conv2d", b"(K\x03K\x08t"),
    "a layer named like a method": made(LINEAR, b"}" + text("append") + made(LINEAR, b"}") + b"s"),
    "a function named like one": made(LINEAR, state(get=name("torch.nn.functional.relu"), to=name("torch.float16"))),
    "a recurrent layer": made(LSTM, state(num_layers=b"K\x02")),
    "a function of tensors": made("torch.nn.modules.transformer.TransformerEncoderLayer", state(f=name("torch._C._nn.gelu"))),
    "a member of an enumeration": call("torch.distributed.checkpoint.planner.WriteItemType", b"K\x01"),
    "a class in a class": call("__builtin__.getattr", name("torch._C._VariableFunctionsClass"), text("relu")),
    "the backend of old modules": call("torch.nn.backends.thnn._get_thnn_function_backend"),
    "a partial": partial("torch.ao.quantization.observer.MinMaxObserver"),
    "a call of a partial": partial("collections.OrderedDict") + b")R",
}
NOT_CLEAN = {
    "an item for a module": made(LINEAR, state()) + b"Na",
    "items for a module": name(LINEAR) + b")\x81(NNe",
    "members for a module": name(LINEAR) + b")\x81(N\x90",
    "entries for a module": name(LINEAR) + b")\x81" + text("a") + b"Ns",
    "a list as a state": made(LINEAR, b"]"),
    "pairs as a state": made(LINEAR, b"](" + text("a") + b"Nta"),
    "a state that is called for": made(LINEAR, call("collections.OrderedDict")),
    "two states": made(LINEAR, state()) + b"}b",
    "a parameter around an object": call("torch._utils._rebuild_parameter", made("argparse.Namespace", state()), NONE, NONE),
    "a parameter class around one": call("torch.nn.parameter.Parameter", made("argparse.Namespace", state())),
    "a function of a tensor with another object": call(
        "torch._tensor._rebuild_from_type_v2",
        name("torch._utils._rebuild_parameter"),
        name("torch.nn.parameter.Parameter"),
        b"(" + made("argparse.Namespace", state()) + b"\x88Nt",
        b"}",
    ),
    "a constructor": name("torch.nn.modules.linear.Linear") + b")R",
    "an optimizer with another object as its state": made(ADAM, state(state=made("argparse.Namespace", state()))),
    "a loop over a range": made(ADAM, state(param_groups=b"]" + state(params=RANGE) + b"a")),
    "groups that are a range": made(ADAM, state(param_groups=RANGE)),
    "too many layers": made(LSTM, state(num_layers=b"J\xff\xff\xff\x7f")),
    "a number of layers that is computed": made(LSTM, state(num_layers=call("builtins.int", text("99999999999")))),
    "a key that is computed": made(LSTM, b"}" + call("builtins.str", text("num_layers")) + b"J\xff\xff\xff\x7fs"),
    "a function that opens files": call("builtins.getattr", name("torch._C._VariableFunctionsClass"), text("from_file")),
    "a graph module": made("torch.fx.graph_module.GraphModule", state()),
    "a partial of an unknown function": partial("models.build"),
    "a partial whose state has another function": partial("collections.OrderedDict", inner="models.build"),
    "a partial with attributes": partial("collections.OrderedDict", attributes=state(__setstate__=name("models.build"))),
    "a call of a partial with a size": partial("builtins.bytearray", b"J\xff\xff\xff\x7f\x85") + b")R",
    "an object of C++ of another class": made("torch.ScriptObject", b"N" + text("__torch__.torch.classes.a.B") + b"\x86"),
    "results of a range": call("torch.return_types.max", RANGE, b"}"),
}
HARMFUL = {
    "a class for a special method": made(LINEAR, b"}" + text("__setstate__") + name("builtins.bytearray") + b"s"),
    "pairs with one": made(LINEAR, b"](" + text("__setstate__") + name("builtins.bytearray") + b"ta"),
    "a class for the method of an opcode": made(LINEAR, b"}" + text("append") + name("builtins.bytearray") + b"s"),
    "a class for a method of tensors": call(
        "torch._utils._rebuild_parameter_with_state",
        call("torch._utils._rebuild_meta_tensor_no_storage", name("torch.float32"), b")", b")", b"\x89"),
        b"\x88",
        NONE,
        state(detach=name("builtins.list")),
    ),
    "a stored function that is called": call("torch.nn.functional.relu", b"K\x01"),
    "a call of a partial of a stored function": partial("torch.nn.functional.relu") + b")R",
    "a partial of a harmful function": partial("posix.system"),
    "a call of a partial of a harmful function": partial("posix.system", text("true") + b"\x85") + b")R",
    "a harmful function in the state of a partial": partial("collections.OrderedDict", inner="posix.system") + b")R",
    "a computed function": name(PARTIAL) + call("builtins.getattr", name("posix"), text("system")) + b"\x85R)R",
}


@pytest.mark.parametrize("what", CLEAN)
def test_what_torch_writes_is_clean(what: str) -> None:
    found = scan(pickled(CLEAN[what]))
    assert found.verdict == Verdict.CLEAN, found.findings


@pytest.mark.parametrize("what", NOT_CLEAN)
def test_what_torch_does_not_write_is_not_clean(what: str) -> None:
    assert scan(pickled(NOT_CLEAN[what])).verdict == Verdict.REVIEW


@pytest.mark.parametrize("what", HARMFUL)
def test_functions_that_a_pickle_calls_itself_are_malicious_also_behind_partials(what: str) -> None:
    assert scan(pickled(HARMFUL[what])).verdict == Verdict.MALICIOUS


def test_a_pandas_block_is_judged_as_a_call_of_its_function() -> None:
    block = partial("pandas.core.internals.blocks.new_block") + b"K\x01\x85R"
    found = scan(pickled(block))
    assert found.verdict == Verdict.REVIEW
    assert any("pandas.core.internals.blocks.new_block" in finding.message for finding in found.findings)
    assert scan(pickled(block), trust=["pandas.core.internals.blocks.new_block()"]).verdict == Verdict.CLEAN


def test_a_container_with_another_method_is_malicious() -> None:
    value = call("collections.OrderedDict") + state(keys=made(LINEAR, state())) + b"b"
    assert scan(pickled(value)).verdict == Verdict.MALICIOUS
