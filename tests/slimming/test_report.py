"""Reports as plain data: what `--json` prints, made of a report built by hand."""

import dataclasses
import json

from ptzip.editing.account import Category, Change
from ptzip.slimming.report import CastTensor, Key, SlimReport
from ptzip.tensors.rounding import Loss

SAVED = {Category.RESULTS: 100, Category.OPTIMIZER: 400, Category.EMA: 0, Category.HALF: 200, Category.OTHER: 0}
CHANGES = (Change(Category.OPTIMIZER, "optimizer", "None"), Change(Category.OTHER, "epoch", "-1", gain=False))
REPORT = SlimReport("last.pt", "last.slim.pt", "basic", 1000, 250, SAVED, CHANGES, Loss(3, 4, 5, 6), ("a warning",))
REPORT = dataclasses.replace(
    REPORT,
    wide=("a.weight",),
    keys=(Key("epoch", "-1", 0),),
    tensors=(CastTensor(("a.weight",), "float32", "float32", 7, Loss(1)),),
    notes=("a note",),
)


def test_a_report_is_plain_data_with_these_names() -> None:
    assert REPORT.to_dict() == {
        "ok": True,
        "path": "last.pt",
        "output": "last.slim.pt",
        "recipe": "basic",
        "already_slim": False,
        "old_size": 1000,
        "new_size": 250,
        "saved": {
            "results": 100,
            "optimizer": 400,
            "ema": 0,
            "half": 200,
            "other": 0,
            "rest": 50,
        },
        "saved_share": 0.75,
        "changes": [
            {"step": "optimizer", "path": "optimizer", "what": "None"},
            {"step": "other", "path": "epoch", "what": "-1"},
        ],
        "overflowed": 3,
        "vanished": 4,
        "nan": 5,
        "infinite": 6,
        "kept_wide": ["a.weight"],
        "keys": [{"name": "epoch", "what": "-1", "size": 0}],
        "tensors": [
            {
                "names": ["a.weight"],
                "old_dtype": "float32",
                "dtype": "float32",
                "numel": 7,
                "overflowed": 1,
                "vanished": 0,
                "nan": 0,
                "infinite": 0,
            }
        ],
        "check": None,
        "warnings": ["a warning"],
        "notes": ["a note"],
    }


def test_a_report_survives_json() -> None:
    assert json.loads(json.dumps(REPORT.to_dict())) == REPORT.to_dict()


def test_a_name_that_is_no_utf8_survives_json_in_ascii() -> None:
    text = json.dumps(dataclasses.replace(REPORT, path="a\udcff.pt").to_dict())
    assert text.isascii()
    assert json.loads(text)["path"] == "a\udcff.pt"


def test_losses_that_are_not_known_yet_are_null() -> None:
    data = dataclasses.replace(REPORT, output=None, loss=None).to_dict()
    assert (data["output"], data["overflowed"], data["vanished"]) == (None, None, None)


def test_what_is_saved_adds_up() -> None:
    data = REPORT.to_dict()
    assert sum(data["saved"].values()) == data["old_size"] - data["new_size"]
