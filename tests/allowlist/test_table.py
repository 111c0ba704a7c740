"""The allow list: what it must hold, and what it must never hold."""

import pytest

from ptzip.allowlist.table import ALLOWED, LARGEST, OPAQUE, ROW_OF_SUFFIX, TRUSTED, TRUSTED_CALL, is_allowed, pair
from ptzip.scanning import dangerous_names
from ptzip.values.builder import FUNCTIONS

CALLING = ("eval", "exec", "open", "getattr", "__import__", "map", "filter", "print", "compile", "input", "vars", "type")


def functions(module: str, name: str) -> set[str]:
    """The functions that a row names."""
    row = ALLOWED[module, name]
    return {*row.rebuild.split()[:1], row.value, row.state} - {"", OPAQUE}


@pytest.mark.parametrize(("module", "name"), ALLOWED)
def test_every_function_that_a_row_names_exists(module: str, name: str) -> None:
    assert functions(module, name) <= FUNCTIONS.keys()


def test_every_rebuild_function_is_named_by_a_row() -> None:
    assert set().union(*(functions(*name) for name in ALLOWED)) == FUNCTIONS.keys()


def test_a_name_that_is_rebuilt_may_be_called_and_what_takes_a_state_too() -> None:
    assert [name for name, row in ALLOWED.items() if (row.rebuild or row.state) and row.check is None] == []


def test_only_these_modules_are_rebuilt() -> None:
    """A module that is new here is a decision, not an accident."""
    modules = {module.split(".")[0] for module, name in ALLOWED if functions(module, name)}
    python = "builtins __builtin__ _codecs collections argparse types datetime decimal fractions uuid pathlib"
    assert modules == {*python.split(), "torch", "numpy"}


def test_both_spellings_of_a_module_are_rebuilt_alike() -> None:
    for (module, name), row in ALLOWED.items():
        for old, new in (("__builtin__", "builtins"), ("numpy.core", "numpy._core"), ("torch.tensor", "torch._tensor")):
            if module.startswith(old) and name not in ("unicode", "xrange", "long"):
                assert ALLOWED[module.replace(old, new), name].rebuild == row.rebuild


def test_what_weights_only_takes_is_allowed() -> None:
    unpickler = pytest.importorskip("torch._weights_only_unpickler")
    assert [path for path in unpickler._get_allowed_globals() if not is_allowed(*pair(path))] == []


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
    odd = {(module, name) for module, name in ALLOWED if dangerous_names.of_name(module, name)}
    assert {module for module, _ in odd} <= {"builtins", "__builtin__", "argparse"}
    assert all(ALLOWED[name].rebuild or ALLOWED[name].value for name in odd if "builtin" in name[0])


def test_a_part_of_an_allowed_path_is_not_allowed() -> None:
    assert is_allowed("torch.nn.modules.linear", "Linear")
    assert not is_allowed("torch.nn", "modules.linear.Linear")
    assert not is_allowed("torch", "nn.modules.linear.Linear")
    assert not is_allowed("torch.nn.modules.linear", "Linear.__init__")


def test_every_row_says_how_large_its_result_may_be() -> None:
    rows = {*ALLOWED.values(), *ROW_OF_SUFFIX.values(), TRUSTED, TRUSTED_CALL}
    assert {row.returns for row in rows} == set(LARGEST)
    assert all(LARGEST.values())
