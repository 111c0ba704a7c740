"""Skips tests marked `torch` if torch is not installed; in CI they fail. Hypothesis tries the same examples in every run."""

import importlib.util

import pytest
from hypothesis import HealthCheck, settings

from tests.corpus import IS_CI

HAS_TORCH = importlib.util.find_spec("torch") is not None

settings.register_profile("same every time", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same every time")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if HAS_TORCH:
        return
    marked = [item for item in items if item.get_closest_marker("torch")]
    if IS_CI and marked:
        pytest.exit(f"{len(marked)} tests need torch, which CI must install", returncode=1)
    for item in marked:
        item.add_marker(pytest.mark.skip(reason="needs torch (pip install torch==2.13.0)"))
