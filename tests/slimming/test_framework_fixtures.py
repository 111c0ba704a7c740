"""Checkpoints that frameworks wrote (`tests/frameworks`), slimmed without them: the same as when they loaded the result."""

from pathlib import Path

import pytest

import ptzip
from tests.frameworks import golden

ROWS = golden.read()
QUANTISED = [name for name, row in ROWS.items() if any("quantised" in note for note in row["notes"])]


@pytest.mark.parametrize("name", ROWS)
def test_slimming_does_what_the_framework_was_tried_with(name: str, tmp_path: Path) -> None:
    report = ptzip.slim(golden.FOLDER / name, tmp_path / "out", check=True, scan=False)
    expected = {key: value for key, value in ROWS[name].items() if key not in ("framework", "difference")}
    assert golden.row(report, tmp_path / "out") == expected


def test_every_checkpoint_has_its_row() -> None:
    assert {path.name for path in golden.FOLDER.iterdir()} == {*ROWS, "README.md", golden.TABLE.name}
    assert len({row["framework"] for row in ROWS.values()}) >= 25


@pytest.mark.parametrize("name", QUANTISED)
def test_quantised_layers_keep_every_byte(name: str, tmp_path: Path) -> None:
    """The layer between others, `net.2`, which are cast."""
    ptzip.slim(golden.FOLDER / name, tmp_path / "out", scan=False)
    with ptzip.open(golden.FOLDER / name) as before, ptzip.open(tmp_path / "out") as after:
        assert before.keys() == after.keys()
        for tensor_name, tensor in after.items():
            old = before[tensor_name]
            if tensor_name.startswith("net.2."):
                assert tensor.dtype == old.dtype, tensor_name
                assert tensor.storage is None or tensor.tobytes() == old.tobytes(), tensor_name
            else:
                assert tensor.dtype == "float16", tensor_name


@pytest.mark.parametrize("name", [name for name in QUANTISED if "bitsandbytes" in name and "whole" in name])
def test_a_module_whose_scales_are_no_buffers_has_no_plain_form(name: str, tmp_path: Path) -> None:
    with pytest.raises(ptzip.EditError, match=r"net has no plain form: bitsandbytes.nn.modules.Linear\w+ keeps quantised"):
        ptzip.slim(golden.FOLDER / name, tmp_path / "out", plain=True, scan=False)
