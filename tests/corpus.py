"""Where the corpus of real and generated checkpoints is, for the tests that need it.

It lies beside the repository, in `../shared/corpus`, and users do not have it. Rule: where it is missing the tests are
skipped and say so, except in CI, where they fail.
"""

import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
CORPUS = SHARED / "corpus"
FIXTURES = ROOT / "fixtures"

IS_CI = os.environ.get("CI", "") not in ("", "0", "false")

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir() and not IS_CI, reason="needs ../shared/corpus, which is not here")


def files(*folders: str) -> list[Path]:
    """All files of some corpus folders, manifests aside; empty where the corpus is missing."""
    return [path for folder in folders for path in sorted((CORPUS / folder).rglob("*")) if _is_checkpoint(path)]


def _is_checkpoint(path: Path) -> bool:
    return path.is_file() and path.name != "manifest.json"


@functools.cache
def manifest(folder: str) -> dict[str, Any]:
    """The ground truth of a corpus folder."""
    found: dict[str, Any] = json.loads((CORPUS / folder / "manifest.json").read_text())
    return found


def parameters(*folders: str) -> list[Any]:
    """One pytest parameter for each file, or one that is skipped (fails in CI) where the corpus is missing."""
    found = [pytest.param(path, id=str(path.relative_to(CORPUS))) for path in files(*folders)]
    return found or [pytest.param(CORPUS / "missing", marks=needs_corpus, id="corpus missing")]
