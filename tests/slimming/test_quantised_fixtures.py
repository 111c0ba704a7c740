"""Checkpoints that bitsandbytes and torchao wrote, and layers as GPTQ and FP8 have them (`tests/frameworks/quantised.py`).

There they are loaded and run. Here the quantised layer, `net.2`, keeps every byte, and the layers around it are cast.
"""

from pathlib import Path

import pytest

import ptzip
from tests.corpus import FIXTURES

FILES = sorted((FIXTURES / "quantised").glob("*.pt"))


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_quantised_layer_keeps_every_byte(path: Path, tmp_path: Path) -> None:
    report = ptzip.slim(path, tmp_path / "out.pt", check=True)
    assert "quantised" in report.notes[0]
    with ptzip.open(path) as before, ptzip.open(tmp_path / "out.pt") as after:
        assert before.keys() == after.keys()
        for name, tensor in after.items():
            old = before[name]
            if name.startswith("net.2."):
                assert tensor.dtype == old.dtype, name
                assert tensor.storage is None or tensor.tobytes() == old.tobytes(), name
            else:
                assert tensor.dtype == "float16", name


def test_all_checkpoints_are_there() -> None:
    assert len(FILES) == 9
