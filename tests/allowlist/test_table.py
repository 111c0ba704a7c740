"""The allow list: what it must hold, and what it must never hold."""

import importlib

import pytest

from ptzip.allowlist.table import ALLOWED, is_allowed, pair
from ptzip.allowlist.torch_modules import MODULES
from ptzip.scanning import dangerous_names as harm
from ptzip.values.constructors import CONSTRUCTORS, NAMES

CALLING = ("eval", "exec", "open", "getattr", "__import__", "map", "filter", "print", "compile", "input", "vars", "type")


@pytest.mark.parametrize("path", sorted({*NAMES, *CONSTRUCTORS}))
def test_what_load_rebuilds_is_allowed(path: str) -> None:
    assert is_allowed(*pair(path))


def test_what_weights_only_takes_is_allowed() -> None:
    unpickler = pytest.importorskip("torch._weights_only_unpickler")
    assert [path for path in unpickler._get_allowed_globals() if not is_allowed(*pair(path))] == []


@pytest.mark.parametrize("path", MODULES)
def test_every_module_of_the_list_is_a_module_of_torch(path: str) -> None:
    torch = pytest.importorskip("torch")
    home, name = pair(path)
    found = getattr(importlib.import_module(home), name, None)
    if found is None:
        assert name in ("_LinearWithBias", "Container", "NLLLoss2d", "CrossMapLRN2d"), "gone from torch, or never there"
    else:
        assert issubclass(found, torch.nn.Module)


def test_no_name_is_dotted_or_special() -> None:
    assert [name for _, name in ALLOWED if "." in name] == []
    assert [
        name for _, name in ALLOWED if name.startswith("__") and not name.endswith(("_ctor", "_SeedSequence", "newobj__"))
    ] == []


@pytest.mark.parametrize("name", CALLING)
def test_no_builtin_that_runs_or_reaches_anything_is_allowed(name: str) -> None:
    assert not is_allowed("builtins", name)
    assert not is_allowed("__builtin__", name)


def test_nothing_that_is_allowed_is_known_for_harm_but_by_its_module() -> None:
    odd = {(module, name) for module, name in ALLOWED if harm.of_name(module, name)}
    assert {module for module, _ in odd} <= {"builtins", "__builtin__", "argparse"}
    assert all(
        f"builtins.{name}" in CONSTRUCTORS or f"__builtin__.{name}" in NAMES for module, name in odd if "builtin" in module
    )


def test_a_part_of_an_allowed_path_is_not_allowed() -> None:
    assert is_allowed("torch.nn.modules.linear", "Linear")
    assert not is_allowed("torch.nn", "modules.linear.Linear")
    assert not is_allowed("torch", "nn.modules.linear.Linear")
    assert not is_allowed("torch.nn.modules.linear", "Linear.__init__")
