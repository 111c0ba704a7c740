"""A name that a user trusts is allowed exactly as written; nothing of Python itself can be trusted."""

import pytest

from ptzip.scanning.report import Verdict
from ptzip.scanning.scan import scan
from ptzip.scanning.trust import PRESETS, trusted
from tests.corpus import CORPUS, needs_corpus
from tests.scanning.raw_pickles import call, name, stack_global, text, valued

MODEL = valued(name("models.yolo.Model") + b")\x81}b")


def test_a_trusted_name_is_allowed_and_its_neighbours_are_not() -> None:
    assert scan(MODEL).verdict == Verdict.REVIEW
    assert scan(MODEL, trust=["models.yolo.Model"]).verdict == Verdict.CLEAN
    assert scan(MODEL, trust=["models.yolo.Other", "models.yolo"]).verdict == Verdict.REVIEW
    assert scan(MODEL, trust=["yolov5"]).verdict == Verdict.CLEAN


def test_a_class_inside_a_class_is_named_with_a_colon() -> None:
    assert trusted(["models:Outer.Inner"]) == {("models", "Outer.Inner")}


def test_a_trusted_class_inside_a_class_is_allowed_as_every_protocol_spells_it() -> None:
    inner = {
        "protocol 2": call("__builtin__.getattr", name("models.Outer"), text("Inner")),
        "protocol 4": stack_global("models", "Outer.Inner"),
    }
    for spelled in inner.values():
        found = scan(valued(spelled + b")\x81"), trust=["models:Outer.Inner", "models.Outer"])
        assert found.verdict == Verdict.CLEAN, found.findings
        assert scan(valued(spelled + b")\x81"), trust=["models.Outer"]).verdict == Verdict.REVIEW


def test_the_advice_to_trust_a_name_can_be_followed() -> None:
    for class_name in (name("models.yolo.Net"), stack_global("models", "Outer.Inner")):
        data = valued(class_name + b")\x81")
        advice = [finding.message.partition("--trust ")[2].partition("`")[0] for finding in scan(data).findings]
        assert scan(data, trust=advice).verdict == Verdict.CLEAN


def test_trust_does_not_extend_to_the_arguments_of_a_trusted_name() -> None:
    data = valued(call("models.yolo.Model", name("posix.system")))
    assert scan(data, trust=["models.yolo.Model"]).verdict == Verdict.MALICIOUS


@pytest.mark.parametrize(
    "wrong", ["os.system", "builtins.eval", "subprocess.Popen", "models", "models.*", "", "x.__builtins__"]
)
def test_what_cannot_be_trusted_is_an_error(wrong: str) -> None:
    with pytest.raises(ValueError, match="cannot be trusted"):
        trusted([wrong])


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_holds_exact_names_of_classes(preset: str) -> None:
    assert PRESETS[preset]
    for module, inner in PRESETS[preset]:
        assert module.replace(".", "").replace("_", "").isalnum()
        assert inner.isidentifier()
        trusted([f"{module}.{inner}"])


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
