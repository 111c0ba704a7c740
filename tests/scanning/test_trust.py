"""A name that a user trusts is allowed exactly as written; nothing of Python itself can be trusted."""

import pytest

from ptzip.allowlist.table import TRUSTED
from ptzip.cli.scan import PRESET_NAMES
from ptzip.scanning.presets import PRESETS
from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan
from ptzip.scanning.trust import trusted
from tests.corpus import CORPUS, needs_corpus
from tests.scanning.raw_pickles import call, name, stack_global, text, valued

MODEL = valued(name("models.yolo.Model") + b")\x81}b")


@pytest.mark.parametrize("fill", [b"Na", b"(NNe", b"NNs", b"(NNu", b"(N\x90"])
def test_an_instance_of_a_trusted_class_is_filled_before_its_state_only(fill: bytes) -> None:
    made = b"\x80\x04" + name("models.Thing") + b")\x81"
    assert scan(made + fill + b"}b.", trust=["models.Thing"]).verdict is Verdict.CLEAN
    assert scan(made + b"}b" + fill + b".", trust=["models.Thing"]).verdict is Verdict.REVIEW


def test_a_trusted_name_is_allowed_and_its_neighbours_are_not() -> None:
    assert scan(MODEL).verdict == Verdict.REVIEW
    assert scan(MODEL, trust=["models.yolo.Model"]).verdict == Verdict.CLEAN
    assert scan(MODEL, trust=["models.yolo.Other", "models.yolo"]).verdict == Verdict.REVIEW
    assert scan(MODEL, trust=["yolov5"]).verdict == Verdict.CLEAN


@pytest.mark.parametrize(("keywords", "verdict"), [(b"}" + text("ndim") + b"K\x02s", Verdict.CLEAN), (b"N", Verdict.REVIEW)])
def test_keyword_arguments_are_part_of_a_trusted_call(keywords: bytes, verdict: Verdict) -> None:
    state = name("models.build") + b")" + keywords + b"Nt"  # as pandas 1.3 stores how to make its blocks
    data = valued(name("functools.partial") + name("models.build") + b"\x85R(" + state + b"b)R")
    assert scan(data).verdict is Verdict.REVIEW
    assert scan(data, trust=["models.build()"]).verdict is verdict


def test_a_class_inside_a_class_is_named_with_a_colon() -> None:
    assert trusted(["models:Outer.Inner"]) == {("models", "Outer.Inner"): TRUSTED}


def test_a_trusted_class_inside_a_class_is_allowed_as_every_protocol_spells_it() -> None:
    inner = {
        "protocol 2": call("__builtin__.getattr", name("models.Outer"), text("Inner")),
        "protocol 4": stack_global("models", "Outer.Inner"),
    }
    for spelled in inner.values():
        found = scan(valued(spelled + b")\x81"), trust=["models:Outer.Inner", "models.Outer"])
        assert found.verdict == Verdict.CLEAN, found.findings
        assert scan(valued(spelled + b")\x81"), trust=["models.Outer"]).verdict == Verdict.REVIEW


def advice(data: bytes) -> list[str]:
    """The names that the report says to trust."""
    return [finding.message.partition("--trust ")[2].partition("`")[0].strip("'") for finding in scan(data).findings]


def test_the_advice_to_trust_a_name_can_be_followed() -> None:
    for made in (b")\x81", b")R", text("x") + b"\x85\x81", text("x") + b"\x85R"):
        for class_name in (name("models.yolo.Net"), stack_global("models", "Outer.Inner")):
            data = valued(class_name + made)
            assert scan(data, trust=advice(data)).verdict == Verdict.CLEAN


def test_trust_does_not_extend_to_the_arguments_of_a_trusted_name() -> None:
    data = valued(call("models.yolo.Model", name("posix.system")))
    assert scan(data, trust=["models.yolo.Model"]).verdict == Verdict.MALICIOUS


CODE = text("__import__('os').system('true')")
CALLS = {
    "REDUCE": name("models.yolo.Model") + CODE + b"\x85R",
    "REDUCE without arguments": name("models.yolo.Model") + b")R",
    "NEWOBJ with an argument": name("models.yolo.Model") + CODE + b"\x85\x81",
    "NEWOBJ_EX with a keyword": name("models.yolo.Model") + b")}" + text("activation") + CODE + b"s\x92",
    "INST": b"(" + CODE + b"imodels.yolo\nModel\n",
    "INST without arguments": b"(imodels.yolo\nModel\n",
    "OBJ": b"(" + name("models.yolo.Model") + CODE + b"o",
    "__newobj__": call("copyreg.__newobj__", name("models.yolo.Model"), CODE),
    "__newobj_ex__": call("copyreg.__newobj_ex__", name("models.yolo.Model"), CODE + b"\x85", b"}"),
    "a class method": call("builtins.getattr", name("models.yolo.Model"), text("load")) + CODE + b"\x85R",
    "a dict of code": name("models.yolo.Model") + b"}" + text("activation") + CODE + b"s\x85R",
}


@pytest.mark.parametrize("way", CALLS)
def test_a_trusted_class_is_instantiated_and_never_called(way: str) -> None:
    for trust in ("models.yolo.Model", "yolov5"):
        assert scan(valued(CALLS[way], 4), trust=[trust]).verdict != Verdict.CLEAN


def test_trust_never_makes_a_call_less_serious() -> None:
    data = valued(CALLS["REDUCE"])
    assert scan(data).verdict == scan(data, trust=["models.yolo.Model"]).verdict == Verdict.MALICIOUS


@pytest.mark.parametrize("way", ["REDUCE without arguments", "INST without arguments", "REDUCE", "OBJ"])
def test_calls_are_trusted_only_with_parentheses(way: str) -> None:
    data = valued(CALLS[way].replace(CODE, text("small")), 4)
    assert scan(data, trust=["models.yolo.Model"]).verdict == Verdict.REVIEW
    assert scan(data, trust=["models.yolo.Model()"]).verdict == Verdict.CLEAN


def test_an_enumeration_of_a_preset_is_called_with_one_value() -> None:
    member = "transformers.training_args.OptimizerNames"
    assert scan(valued(call(member, text("adamw"))), trust=["transformers"]).verdict == Verdict.CLEAN
    for arguments in ((), (text("a"), text("b")), (name(member),), (b"}",)):
        assert scan(valued(call(member, *arguments)), trust=["transformers"]).verdict == Verdict.REVIEW
    assert scan(valued(call(member, text("adamw"))), trust=[member]).verdict == Verdict.REVIEW


def test_trust_does_not_loosen_the_allow_list() -> None:
    data = valued(call("torch.Tensor", b"J\xff\xff\xff\x7f"))
    assert scan(data, trust=["torch.Tensor()"]).verdict == Verdict.REVIEW


def test_a_report_says_what_was_trusted_and_what_for() -> None:
    found = scan(MODEL, trust=["lightning", "yolov5"])
    assert found.to_dict()["trust"] == ["lightning", "yolov5"]
    assert found.to_dict()["trusted"] == ["models.yolo.Model"]
    assert scan(MODEL).trusted == ()


@pytest.mark.parametrize(
    "wrong", ["os.system", "builtins.eval", "subprocess.Popen", "models", "models.*", "", "x.__builtins__", "torch.hub.load()"]
)
def test_what_cannot_be_trusted_is_an_error(wrong: str) -> None:
    with pytest.raises(ValueError, match="cannot be trusted"):
        trusted([wrong])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_holds_exact_names_of_classes(preset: str) -> None:
    found = trusted([preset])
    assert found
    for (module, inner), row in found.items():
        assert module.replace(".", "").replace("_", "").isalnum()
        assert all(part.isidentifier() for part in inner.split("."))
        if row.check is not None:  # functions are only stored
            trusted([f"{module}:{inner}"])


def test_help_lists_the_presets() -> None:
    assert tuple(PRESETS) == PRESET_NAMES


@needs_corpus
@pytest.mark.parametrize(
    ("preset", "file"),
    [
        ("ultralytics", "yolo/ul_8.4.190_v8n.last.pt"),
        ("yolov5", "yolo/y5_v70_n_sgd.last.pt"),
        ("yolov5", "yolo/y5_v70_s_sgd.blog.pt"),
        ("transformers", "real/rxnmapper/training_args.bin"),
        ("transformers", "real/gh__margotwagner__roberta_psychotherapy_eval/training_args.bin"),
    ],
)
def test_with_its_preset_a_checkpoint_of_a_project_is_clean(preset: str, file: str) -> None:
    assert scan(CORPUS / file, trust=[preset]).verdict == Verdict.CLEAN
