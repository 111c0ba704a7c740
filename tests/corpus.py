"""The corpus of real and generated checkpoints, in `../shared/corpus` beside the repository.

Users do not have it. Without it, the tests that need it are skipped with that reason, except in CI, where they fail.
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

needs_corpus = pytest.mark.skipif(not CORPUS.is_dir() and not IS_CI, reason="needs ../shared/corpus")


def files(*folders: str) -> list[Path]:
    """All files of some corpus folders except manifests; empty if the corpus is missing."""
    return [path for folder in folders for path in sorted((CORPUS / folder).rglob("*")) if _is_checkpoint(path)]


def _is_checkpoint(path: Path) -> bool:
    """Whether it is a file to open by itself; an index opens as its whole folder."""
    return path.is_file() and path.name not in ("manifest.json", ".metadata", "latest")


@functools.cache
def manifest(folder: str) -> dict[str, Any]:
    """The manifest of a corpus folder: what torch read from its files."""
    found: dict[str, Any] = json.loads((CORPUS / folder / "manifest.json").read_text())
    return found


def parameters(*folders: str) -> list[Any]:
    """One pytest parameter for each file, or a skipped one (in CI: a failing one) if the corpus is missing."""
    found = [pytest.param(path, id=str(path.relative_to(CORPUS))) for path in files(*folders)]
    return found or [pytest.param(CORPUS / "missing", marks=needs_corpus, id="corpus missing")]
