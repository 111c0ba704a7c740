"""Which names that are not allowed are dangerous. Neither answer lets a file pass."""

import pytest

from ptzip.scanning import dangerous_names

HARMFUL = (
    *("os.system", "posix.system", "nt.system", "subprocess.Popen", "commands.getoutput", "__builtin__.eval", "builtins.open"),
    *("importlib.import_module", "random._os", "uuid._get_command_stdout", "logging.FileHandler", "io.open", "signal.signal"),
    *("torch.__builtins__", "models.__loader__", "operator.attrgetter", "antigravity.x", "pip.main", "_codecs.decode"),
)

UNKNOWN = (
    *("models.yolo.Model", "torch.nn.functional.relu", "torch.optim.adam.Adam", "pandas.core.frame.DataFrame", "math.sqrt"),
    *("logging.Logger", "re._compile", "builtins.len", "exceptions.ValueError", "functools.partial", "signal.Signals"),
    *("posixpath.join", "copy.deepcopy", "typing._GenericAlias", "enum.Enum", "collections.ChainMap", "io.BytesIO"),
)


@pytest.mark.parametrize("path", HARMFUL)
def test_a_dangerous_name_has_a_reason(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert dangerous_names.of_name(module, name)


@pytest.mark.parametrize("path", UNKNOWN)
def test_names_of_honest_pickles_are_not_dangerous(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert dangerous_names.of_name(module, name) == ""


@pytest.mark.parametrize(("module", "name"), [("torch", "hub.os.popen"), ("models", "os.system"), ("numpy", "ndarray.tofile")])
def test_a_dotted_name_below_a_module_is_dangerous(module: str, name: str) -> None:
    assert dangerous_names.of_name(module, name)


def test_a_nested_class_or_method_of_another_package_is_not_dangerous() -> None:
    assert dangerous_names.of_name("models", "Outer.Inner") == ""
    assert dangerous_names.of_name("models", "Net.forward") == ""


def test_names_of_python_2_are_those_of_python_3() -> None:
    assert dangerous_names.renamed("__builtin__", "reduce") == ("functools", "reduce")
    assert dangerous_names.renamed("copy_reg", "_reconstructor") == ("copyreg", "_reconstructor")
    assert dangerous_names.renamed("models", "Net") == ("models", "Net")
