"""Folders of torch.distributed.checkpoint that old versions of torch wrote (`tests/frameworks/old_dcp_folders.py`)."""

import json
from typing import Any

import pytest

import ptzip
from tests.corpus import FIXTURES
from tests.frameworks.tensor_facts import read_facts

FOLDERS = FIXTURES / "old_folders"
EXPECTED: dict[str, dict[str, Any]] = json.loads((FOLDERS / "expected.json").read_text())


@pytest.mark.parametrize("name", EXPECTED)
def test_the_tensors_are_what_that_torch_loads(name: str) -> None:
    with ptzip.open(FOLDERS / name) as checkpoint:
        assert {path: read_facts(tensor) for path, tensor in checkpoint.items()} == EXPECTED[name]
        assert {"epoch", "name"} <= set(checkpoint.top_level_keys)
    assert ptzip.verify(FOLDERS / name, values=True).ok
    assert ptzip.scan(FOLDERS / name).ok
