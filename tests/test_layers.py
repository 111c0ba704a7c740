"""Which part of ptzip may import which, checked against the imports themselves.

A layer is a module or folder directly below `ptzip/`; it imports only the layers in its row. Rows are ordered from the
ground up and a row names nothing below itself, so there are no cycles. Commands are peers and do not import one another.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.corpus import ROOT

PACKAGE = ROOT / "ptzip"

GROUND = "errors limits text notebook globs arguments json_output figures"
FILES = f"{GROUND} io zip pickling tensors formats"
"""The layers up to the one that opens files."""

OPEN = f"{FILES} tree allowlist values checkpoint"
"""The layers up to an open checkpoint."""

READ_COMMANDS = "averaging converting diffing inspecting scanning verifying repairing"
REPORTS = f"{OPEN} mapping editing recipes slimming {READ_COMMANDS}"

MAY_IMPORT = {
    "process": "",
    "errors": "",
    "text": "",
    "notebook": "text",
    "limits": "",
    "globs": "",
    "arguments": "text",
    "json_output": "notebook",
    "figures": "errors text",
    "io": "errors limits",
    "zip": "errors limits io",
    "pickling": "errors limits io",
    "tensors": "errors limits notebook io pickling",
    "formats": "errors limits text io zip pickling tensors",
    "tree": f"{GROUND} pickling tensors",
    "allowlist": "errors limits text pickling tensors tree",
    "values": f"{FILES} tree allowlist",
    "checkpoint": f"{FILES} tree allowlist values",
    "mapping": OPEN,
    "editing": f"{FILES} tree allowlist",
    "recipes": f"{FILES} tree allowlist editing",
    **dict.fromkeys(READ_COMMANDS.split(), OPEN),
    **dict.fromkeys(("averaging", "converting"), f"{OPEN} editing recipes"),
    "inspecting": f"{OPEN} mapping editing recipes",
    "repairing": f"{OPEN} editing",
    "slimming": f"{OPEN} editing recipes",
    "api": REPORTS,
    "render": f"ptzip errors text figures io tensors tree allowlist mapping editing recipes slimming {READ_COMMANDS}",
    "cli": f"process {GROUND} io ptzip api mapping inspecting scanning render",
    "__main__": "process cli",
}
"""Who may import whom. `ptzip` means the public names of the package."""

ONLY_IN = {
    "rich": ("render/progress.py",),
    "plotly": ("figures/plotly_library.py",),
    "argparse": (
        *(f"cli/{name}.py" for name in ("average", "convert", "diff", "inspect", "repair", "scan", "slim", "verify")),
        *("cli/batch/flags.py", "cli/completion.py", "cli/main.py", "cli/parser.py", "cli/printing.py"),
        *("values/rebuild_python.py", "values/value_children.py"),
    ),
    "numpy": (
        "averaging/mean.py",
        "diffing/numeric.py",
        "formats/folders/pieces.py",
        "formats/npy.py",
        "tensors/blocks.py",
        "tensors/cast_error.py",
        "tensors/index_checks.py",
        "tensors/rounding.py",
        "tensors/spread.py",
        "tensors/tensor.py",
        "tensors/to_numpy.py",
        "values/materialize.py",
        "values/numpy_objects.py",
    ),
    "construct": ("mapping/declarations.py", "mapping/located.py"),  # takes as long to import as the rest of `inspect`
    "safetensors": ("formats/safetensors.py",),
    "shtab": ("cli/completion.py",),
    "multiprocessing": ("cli/batch/pool.py",),  # many files are scanned or slimmed by several processes
    "ctypes": ("io/renames.py",),  # Python has no other way to renameat2(2)
    "zlib_ng": ("io/crc32.py",),
    "fsspec": ("io/remote.py", "io/remote_errors.py", "io/remote_output.py"),
    "aiohttp": ("io/remote.py",),
    "dask": ("cli/batch/cluster.py",),
    "distributed": ("cli/batch/cluster.py",),
    "numkong": ("tensors/rounding.py",),
    "concurrent": ("io/block_cache.py",),
    "importlib": ("__init__.py", "render/html/page.py"),  # the latter reads its template
}
"""Modules from outside, and the few files of ptzip that may import them."""

NEVER = frozenset(
    (
        *(
            "torch",
            "pickle",
            "_pickle",
            "cPickle",
            "pickletools",
            "marshal",
            "shelve",
            "dill",
            "cloudpickle",
            "joblib",
            "copyreg",
        ),
        *("subprocess", "runpy", "code", "codeop", "imp", "pty"),
        *("socket", "urllib.request", "http", "webbrowser"),
    )
)
"""Modules that load, run or fetch something."""

FORBIDDEN_NAMES = frozenset({"eval", "exec", "compile", "__import__", "breakpoint", "globals", "vars", "setattr", "delattr"})
"""Builtins through which a file could reach code; `__init__` alone needs `globals`, to keep what it loaded."""


MOST_LEVELS = 12
"""Of folders that import one another."""


class Import(NamedTuple):
    """One import: `name` is the full name of a module, or of a thing in one."""

    file: str
    line: int
    name: str
    is_hidden: bool

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line} imports {self.name}"


def files() -> list[str]:
    return sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def tree(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text(), file)


def layer(module: str) -> str:
    """The layer of a full module name: "zip" of `ptzip.zip.reader`, "ptzip" of the package itself."""
    return module.removeprefix("ptzip.").partition(".")[0]


def imports(file: str) -> Iterator[Import]:
    """All imports of a file, also inside functions."""
    whole = tree(file)
    functions = [node for node in ast.walk(whole) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
    hidden = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(whole):
        for name in _imported(node):
            yield Import(file, getattr(node, "lineno", 0), name, id(node) in hidden)


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: imports are written in full"
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


ALL_IMPORTS = [found for file in files() for found in imports(file)]
OWN_IMPORTS = [found for found in ALL_IMPORTS if layer(found.name) == "ptzip" or found.name.startswith("ptzip.")]


def module_of(file: str) -> str:
    """The full name of the module in a file."""
    return ".".join(("ptzip", *Path(file).with_suffix("").parts)).removesuffix(".__init__")


def test_the_table_is_in_order() -> None:
    known = {"ptzip"}
    for name, allowed in MAY_IMPORT.items():
        assert set(allowed.split()) <= known, f"{name} names a layer below itself"
        known.add(name)


def test_every_layer_has_its_row() -> None:
    found = {Path(file).parts[0].removesuffix(".py") for file in files()} - {"__init__"}
    assert found == set(MAY_IMPORT)


def test_there_are_at_most_twelve_levels_of_layers() -> None:
    levels: dict[str, int] = {"ptzip": 0}
    for name, allowed in MAY_IMPORT.items():
        used = {layer(found.name) for found in OWN_IMPORTS if layer(module_of(found.file)) == name}
        levels[name] = 1 + max((levels[other] for other in used & set(allowed.split())), default=0)
    assert max(levels.values()) <= MOST_LEVELS, levels


@pytest.mark.parametrize("name", MAY_IMPORT)
def test_a_layer_imports_only_what_its_row_names(name: str) -> None:
    allowed = {name, *MAY_IMPORT[name].split()}
    mine = [found for found in OWN_IMPORTS if layer(module_of(found.file)) == name]
    foreign = [found for found in mine if layer(found.name) not in allowed]
    assert [found.place for found in foreign] == []


def test_the_package_itself_imports_its_layers_by_name_only_for_type_checkers() -> None:
    at_runtime = [node for node in tree("__init__.py").body if not isinstance(node, ast.If)]
    names = [name for statement in at_runtime for name in _imported(statement)]
    assert [name for name in names if name.startswith("ptzip")] == []


def dependencies() -> dict[str, set[str]]:
    """Which module of ptzip imports which."""
    modules = {module_of(file) for file in files()}
    needs: dict[str, set[str]] = {module: set() for module in modules}
    for found in OWN_IMPORTS:
        if found.file != "__init__.py":
            inner = found.name if found.name in modules else found.name.rpartition(".")[0] or found.name
            needs[module_of(found.file)].add(inner)
    return needs


def test_no_modules_import_each_other_in_a_circle() -> None:
    needs = dependencies()
    while free := {module for module, needed in needs.items() if not needed & needs.keys()}:
        needs = {module: needed for module, needed in needs.items() if module not in free}
    assert sorted(needs) == []


def test_every_import_of_ptzip_names_a_module_that_is_there() -> None:
    modules = {module_of(file) for file in files()}
    assert set().union(*dependencies().values()) <= modules


@pytest.mark.parametrize("stranger", ONLY_IN)
def test_only_these_files_import(stranger: str) -> None:
    users = {found.file for found in ALL_IMPORTS if found.name.partition(".")[0] == stranger}
    assert users <= set(ONLY_IN[stranger])
    assert users, f"{stranger} is used nowhere: take its row out"


def test_nothing_that_loads_or_runs_code_is_imported() -> None:
    assert [found.place for found in ALL_IMPORTS if any(f"{found.name}.".startswith(f"{name}.") for name in NEVER)] == []


def test_imports_inside_functions_give_their_reason_beside_them() -> None:
    """An import inside a function ends with a comment, or follows another import of the same block that does."""
    assert [found.place for found in ALL_IMPORTS if found.is_hidden and not has_reason(found)] == []


def has_reason(found: Import) -> bool:
    lines = (PACKAGE / found.file).read_text().splitlines()
    line = found.line - 1
    while "#" not in lines[line] and "import " in lines[line - 1]:
        line -= 1
    return "#" in lines[line]


def names_used(file: str) -> Iterator[tuple[str, int]]:
    """Every plain name and every attribute of `builtins` that a file uses."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id, node.lineno
        elif (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in ("builtins", "__builtins__")
        ):
            yield node.attr, node.lineno


@pytest.mark.parametrize("file", files())
def test_no_builtin_that_runs_code_is_used(file: str) -> None:
    allowed = {"globals"} if file == "__init__.py" else set[str]()
    assert [place for place in names_used(file) if place[0] in FORBIDDEN_NAMES - allowed] == []


@pytest.mark.parametrize("file", files())
def test_no_system_call_that_starts_a_program_is_used(file: str) -> None:
    starters = ("system", "popen", "startfile", "fork", "forkpty")
    used = [node.attr for node in ast.walk(tree(file)) if isinstance(node, ast.Attribute)]
    assert [name for name in used if name in starters or name.startswith(("exec", "spawn", "posix_spawn"))] == []


@pytest.mark.parametrize("file", files())
def test_getattr_is_called_with_literal_names_only(file: str) -> None:
    """`getattr` with a name out of a file is how a pickle reaches what nobody allowed."""
    calls = [node for node in ast.walk(tree(file)) if isinstance(node, ast.Call) and _is_getattr(node)]
    fixed = [node for node in calls if isinstance(node.args[1], ast.Constant)]
    assert [node.lineno for node in calls if node not in fixed] == ([] if file != "__init__.py" else [calls[0].lineno])


def _is_getattr(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Name) and node.func.id in ("getattr", "hasattr")


@pytest.mark.parametrize("file", files())
def test_a_module_opens_by_saying_what_it_is(file: str) -> None:
    if (PACKAGE / file).stat().st_size:
        assert ast.get_docstring(tree(file))
