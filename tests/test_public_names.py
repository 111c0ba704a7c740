"""The package as it is imported: its public names, and what loading them costs.

Rule: `import ptzip` and `ptzip --help` load nothing that takes time.
"""

import ast
import importlib
import subprocess
import sys
import tomllib

import pytest

import ptzip
from tests.corpus import ROOT

HEAVY = ("construct", "numpy", "rich", "ml_dtypes", "zstandard", "zlib_ng", "numkong", "torch", "concurrent.futures")

PUBLIC = [
    *("Anomaly", "AverageReport", "Checkpoint", "ConvertReport", "DiffReport", "EditError", "Finding", "FormatError"),
    *("InspectReport", "LimitError", "Limits", "Opaque", "PtzipError", "RepairReport", "ScanReport", "Severity", "SlimReport"),
    *("Tensor", "UnsupportedError", "Verdict", "VerifyReport"),
    *("average", "convert", "diff", "inspect", "load", "open", "repair", "scan", "slim", "verify"),
]


def loaded(code: str, modules: tuple[str, ...] = HEAVY) -> set[str]:
    """Those of some modules that are loaded once some code ran in a fresh process."""
    program = f"import sys\n{code}\nprint('|', *[name for name in {modules!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.rpartition("|")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import ptzip",
        "import ptzip; ptzip.PtzipError; ptzip.Limits; ptzip.__version__",
        "import ptzip.cli.main",
        "from ptzip.cli.main import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from ptzip.cli.main import main\ntry: main(['slim', '--help'])\nexcept SystemExit: pass",
        "from ptzip.cli.main import main\ntry: main(['scan', '--help'])\nexcept SystemExit: pass",
        "from ptzip.cli.main import main\ntry: main(['diff', '--help'])\nexcept SystemExit: pass",
        "from ptzip.cli.main import main\ntry: main(['--version'])\nexcept SystemExit: pass",
        "import ptzip; ptzip.scan('fixtures/training.pt')",
    ],
)
def test_nothing_heavy_is_loaded_by(code: str) -> None:
    assert loaded(code) == set()


@pytest.mark.parametrize("command", ["scan", "verify"])
def test_a_check_of_a_file_starts_without_modules_that_are_slow_to_import(command: str) -> None:
    slow = ("dataclasses", "pathlib", "datetime", "decimal", "uuid", "inspect")
    assert loaded(f"import ptzip.cli.{command}; ptzip.{command}('fixtures/training.pt')", slow) == set()


@pytest.mark.parametrize("command", ["inspect", "inspect --records", "slim -n", "scan", "verify"])
def test_only_views_of_bytes_load_construct(command: str) -> None:
    arguments = [*command.split(), "fixtures/training.pt"]
    code = f"from ptzip.cli.main import main\ntry: main({arguments!r})\nexcept SystemExit: pass"
    assert loaded(code, ("construct",)) == set()


def test_opening_a_checkpoint_loads_no_numpy() -> None:
    code = "import ptzip\ntry: ptzip.open('README.md')\nexcept ptzip.FormatError: pass"
    assert loaded(code) <= {"concurrent.futures", "zlib_ng"}


def test_the_public_names_are_these() -> None:
    assert ptzip.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_there_and_has_a_docstring(name: str) -> None:
    assert getattr(ptzip, name).__doc__


def for_type_checkers() -> dict[str, tuple[str, str]]:
    """Public name -> (module, name in it), as the TYPE_CHECKING block says."""
    source = (ROOT / "ptzip" / "__init__.py").read_text()
    (block,) = [node for node in ast.parse(source).body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name: (str(node.module), alias.name) for node in imports for alias in node.names}


def test_type_checkers_see_exactly_the_public_names() -> None:
    assert sorted(for_type_checkers()) == sorted(ptzip.__all__)


def test_the_lazy_table_has_exactly_the_public_names() -> None:
    assert sorted(ptzip._HOMES) == sorted(ptzip.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_name_is_the_thing_that_type_checkers_see(name: str) -> None:
    module, inner = for_type_checkers()[name]
    assert getattr(ptzip, name) is getattr(importlib.import_module(module), inner)
    assert module == f"ptzip.{ptzip._HOMES[name]}"


@pytest.mark.parametrize("name", ["fatten", "Slim", "__path", "errors_", "_homes"])
def test_an_unknown_name_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'ptzip' has no attribute '{name}'"):
        getattr(ptzip, name)


def test_an_unknown_name_cannot_be_imported() -> None:
    program = "from ptzip import fatten"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert "ImportError: cannot import name 'fatten' from 'ptzip'" in done.stderr


def test_a_name_is_loaded_once() -> None:
    assert ptzip.slim is ptzip.slim
    assert "slim" in vars(ptzip)


def test_the_names_are_listed_before_they_are_used() -> None:
    program = "import ptzip; print(set(ptzip.__all__) <= set(dir(ptzip)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "True\n"


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "ptzip" / "py.typed").read_bytes() == b""


def test_the_version_is_that_of_the_project() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == ptzip.__version__


def test_python_m_ptzip_tells_the_version() -> None:
    command = [sys.executable, "-m", "ptzip", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert (done.stdout, done.stderr) == (f"ptzip {ptzip.__version__}\n", "")
