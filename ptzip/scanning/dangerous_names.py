"""Which names that are not allowed are known to be dangerous.

This never lets a file pass, since whatever is not allowed is reported in any case; it separates malicious from merely unknown.
Dangerous are all names of Python itself except those that honest pickles contain; every public function of torch and numpy that
a pickle calls, since their objects are rebuilt by private functions; and of other packages, names that sound like running,
loading or fetching something, and calls with a command, code, a path or a URL as an argument.
"""

import functools
import re
from _compat_pickle import NAME_MAPPING
from collections import deque
from itertools import chain, islice

from ptzip.allowlist.python_modules import PYTHON_2, PYTHON_MODULES
from ptzip.pickling.nodes import Atom, Call, Global, Node, plain

INERT_MODULES = frozenset(
    (
        *("abc", "array", "bisect", "calendar", "cmath", "codecs", "collections", "collections.abc", "contextlib", "copy"),
        *("dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "http", "io"),
        *("ipaddress", "itertools", "json", "logging", "math", "ntpath", "numbers", "operator", "pathlib", "pathlib._local"),
        *("posixpath", "genericpath", "queue", "random", "re", "statistics", "string", "struct", "textwrap", "time", "types"),
        *("typing", "unicodedata", "urllib.parse", "uuid", "warnings", "weakref", "zoneinfo", "threading", "inspect", "zlib"),
        *("_collections", "_collections_abc", "_functools", "_io", "_operator", "_random", "_struct", "_codecs", "base64"),
        *("ast", "configparser", "optparse", "csv", "xml.etree.ElementTree"),
        *("copyreg", "copy_reg", "exceptions", "binascii", "signal", "socket", "ssl", "json.decoder", "json.encoder"),
    )
)
"""Modules of Python from which honest pickles import classes and plain functions."""

HARMFUL_NAMES = {
    **dict.fromkeys(("operator", "_operator"), frozenset(("attrgetter", "methodcaller", "getitem", "call", "setitem"))),
    **dict.fromkeys(("functools", "_functools"), frozenset(("reduce",))),
    **dict.fromkeys(("io", "_io", "codecs"), frozenset(("open", "open_code", "FileIO", "decode", "EncodedFile"))),
    "_codecs": frozenset(("decode", "lookup", "register")),
    "itertools": frozenset(("starmap", "accumulate", "filterfalse", "groupby", "takewhile", "dropwhile")),
    "logging": frozenset(("FileHandler", "basicConfig", "shutdown")),
    "threading": frozenset(("Thread", "Timer", "settrace", "setprofile")),
    "dataclasses": frozenset(("make_dataclass",)),
    "typing": frozenset(("get_type_hints",)),
    "weakref": frozenset(("finalize",)),
    "contextlib": frozenset(("ExitStack", "AsyncExitStack")),
    **dict.fromkeys(("copyreg", "copy_reg"), frozenset(("add_extension", "remove_extension", "constructor", "pickle"))),
}
"""Dangerous names of these modules: they call or look up their arguments, or open files."""

INERT_PRIVATE = frozenset(
    (
        *("re._compile", "sre_compile._compile", "array._array_reconstructor", "zoneinfo.ZoneInfo._unpickle"),
        *("random._inst", "copyreg.__newobj_ex__", "copyreg._reconstructor", "copyreg.__newobj__", "uuid.UUID"),
        *("os.stat_result", "os.terminal_size", "os.statvfs_result", "os.times_result", "platform.uname_result"),
    )
)
"""Private functions of Python that its own objects are rebuilt by, and result types of dangerous modules."""

ENUMS_ONLY = frozenset(
    ("signal", "socket", "ssl", "http", "inspect", "ast", "configparser", "optparse", "csv", "xml.etree.ElementTree")
)
"""Modules from which honest pickles import only classes and enumerations."""

INERT_BUILTINS = frozenset(
    (
        *("getattr", "print", "len", "abs", "min", "max", "sum", "sorted", "reversed", "zip", "enumerate", "iter", "next"),
        *("hash", "id", "repr", "ascii", "chr", "ord", "hex", "oct", "bin", "round", "pow", "divmod", "isinstance", "type"),
        *("issubclass", "callable", "property", "classmethod", "staticmethod", "any", "all", "format", "super", "memoryview"),
    )
)

EXCEPTIONS = ("Error", "Exception", "Warning", "Exit", "Interrupt", "Iteration", "Group")
"""How the names of the exceptions of Python end."""

CODE_PICKLERS = frozenset(("cloudpickle", "dill"))
"""Picklers of functions and classes. Their own functions return the types that are called next, or results that are discarded.
"""

TORCH_LIKE = frozenset(("torch", "numpy", "torchvision", "torchaudio"))
INERT_FUNCTIONS = frozenset(
    (
        *("torch.nn.backends.thnn._get_thnn_function_backend", "torch.fx.graph_module.reduce_graph_module"),
        *("torch.fx.graph_module.reduce_package_graph_module", "torch.fx.graph_module.reduce_deploy_graph_module"),
        *("numpy.datetime64", "numpy.timedelta64", "numpy.ma.core._mareconstruct", "numpy.poly1d", "numpy.matrix"),
    )
)

CLASS_WORDS = frozenset(("popen", "subprocess", "shell", "command", "cmd"))
STRONG = (
    "system popen exec eval run spawn shell command cmd subprocess import compile script install download url connect request"
)
WEAK = "load loads read open save write dump remove delete unlink fetch start main register hook call invoke send post serve"
WORDS = r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+"
STRONG_STEMS, WEAK_WORDS = tuple(STRONG.split()), frozenset(WEAK.split())

_TOOLS = r"(?:rm|curl|wget|bash|sh|python3?|nc|touch|cat|echo|chmod|sudo|powershell|cmd(?:\.exe)?)"
CODE = (
    r"\bimport\s+\w|__(?:import|builtins|class|subclasses|globals|code)__|\$\(|&&|\blambda\b\s*:|\b(?:exec|eval|system|popen|print)\("
    rf"|^\s*{_TOOLS}\s+\S|[|;]\s*{_TOOLS}\b"
)
"""Found in commands and programs."""

LOCATION = r"/|~/|\.\./|[A-Za-z]:\\|\w+://"
MODE = r"[wax]b?\+?|rb?\+|[wax]\+?b?"
"""An absolute path or a URL, and the mode to open a file for writing."""

MOST_TEXTS = 200
MOST_LETTERS = 1 << 12
"""The number of arguments of a call that are checked, and characters of each."""

MOST_REMEMBERED = 256
"""Names that are not looked at again: a pickle may call one many times."""

SPECIAL = r"(^|\.)__\w+__(\.|$)"


def renamed(module: str, name: str) -> tuple[str, str]:
    """The Python 3 name for one of Python 2, which pickles up to protocol 2 have (`Lib/_compat_pickle.py`)."""
    found = NAME_MAPPING.get((module, name))
    return found or (PYTHON_2.get(module, module), name)


@functools.lru_cache(MOST_REMEMBERED)
def of_name(module: str, name: str) -> str:
    """Why a name is dangerous even if it is only imported; "" where that is unknown."""
    module, name = renamed(module, name)
    if re.search(SPECIAL, name) and f"{module}.{name}" not in INERT_PRIVATE:
        return f"{name} gives access to anything, whatever names are forbidden"
    if "." in name and not _is_inner_class(module, name):
        return f"the dotted name {name} is an attribute inside {module}"
    if module in ("builtins", "__builtin__"):
        is_inert = name in INERT_BUILTINS or name.endswith(EXCEPTIONS)
        return "" if is_inert else f"the builtin {name} runs code or gives access to anything"
    if module.partition(".")[0] in PYTHON_MODULES and not _is_inert(module, name):
        return f"{module} is a module of Python that can run code or access files, processes or the network"
    return ""


def of_call(module: str, name: str, call: Call) -> str:
    """Why a call is dangerous; "" where that is unknown."""
    why = "" if _is_hint(name, call) else of_name(module, name)
    if why or f"{module}.{name}" in INERT_FUNCTIONS or call.op in ("NEWOBJ", "NEWOBJ_EX"):
        return why
    root, last = renamed(module, name)[0].partition(".")[0], name.rpartition(".")[2]
    if root in PYTHON_MODULES:
        return ""
    if why := _of_function(root, name):
        return why
    if root in CODE_PICKLERS:
        return _of_code_pickler(last, call)
    if last and _runs(last):
        return f"the name {name} sounds like running, loading or fetching something"
    return _evidence(call, is_class=last.lstrip("_")[:1].isupper())


def of_trusted(module: str, name: str) -> str:
    """Why a name cannot be trusted; "" where that is up to the user."""
    return of_name(module, name) or _of_function(module.partition(".")[0], name)


def _of_function(root: str, name: str) -> str:
    is_function = root in TORCH_LIKE and name.rpartition(".")[2][:1].islower()
    return f"{name} is a function of {root} that rebuilds no object of {root}" if is_function else ""


def _of_code_pickler(name: str, call: Call) -> str:
    """Functions of dill and cloudpickle: the public ones load, and `subimport` imports the module it is given."""
    if name == "subimport":
        given = _texts(call)
        odd = next((module for module in given if not module.replace(".", "").replace("_", "").isalnum()), None)
        return f"it imports {odd!r}" if odd else next((why for module in given if (why := of_name(module, "anything"))), "")
    return f"{name} loads or runs its arguments" if name[:1].islower() else ""


def is_own(module: str) -> bool:
    """Whether a module belongs to Python, torch or numpy, whose names are known."""
    return module.partition(".")[0] in PYTHON_MODULES | TORCH_LIKE


def _is_hint(name: str, call: Call) -> bool:
    """A type hint: `operator.getitem(typing.List, int)`, or types joined by `functools.reduce(operator.or_, ...)`."""
    first = plain(call.arguments[0]) if call.arguments else None
    if not isinstance(first, Global):
        return False
    is_or = first.name == "or_" and first.module in ("operator", "_operator")
    return (name == "getitem" and first.module == "typing") or (name == "reduce" and is_or)


def _evidence(call: Call, is_class: bool) -> str:
    """Which argument looks like a command, code, a path or a URL. A class may get a path, unless with a mode for writing."""
    given = _texts(call)
    found = next((value for value in given if re.search(CODE, value)), None)
    if found is None and (not is_class or any(re.fullmatch(MODE, value) for value in given)):
        found = next((value for value in given if re.match(LOCATION, value)), None)
    return f"the argument {found[:60]!r} looks like a command, code, a path or a URL" if found is not None else ""


@functools.lru_cache(MOST_REMEMBERED)
def _runs(name: str) -> bool:
    words = [word.lower() for word in re.findall(WORDS, name)]
    if name.lstrip("_")[:1].isupper():
        return bool(CLASS_WORDS.intersection(words))
    is_strong = any(word.startswith(stem) or word.endswith(stem) for word in words for stem in STRONG_STEMS)
    return is_strong or (name[:1].islower() and bool(WEAK_WORDS.intersection(words)))


def _is_inner_class(module: str, name: str) -> bool:
    """A class or method inside a class of another package, as protocol 4 writes it."""
    path = f"{module}.{name}"
    return path in INERT_PRIVATE or (not is_own(module) and not PYTHON_MODULES.intersection(name.split(".")[:-1]))


def _is_inert(module: str, name: str) -> bool:
    if f"{module}.{name}" in INERT_PRIVATE:
        return True
    if module not in INERT_MODULES or name in HARMFUL_NAMES.get(module, ()):
        return False
    is_class = name.lstrip("_")[:1].isupper()
    return is_class if module in ENUMS_ONLY or name.startswith("_") else True


def _texts(call: Call) -> list[str]:
    """The texts among the arguments of a call, also inside tuples and lists."""
    found, pending = list[str](), deque[Node](islice(call.arguments, MOST_TEXTS))
    for _ in range(MOST_TEXTS):
        if not pending:
            break
        node = plain(pending.popleft())
        if isinstance(node, Atom):
            found += [node.value[:MOST_LETTERS]] if isinstance(node.value, str) else []
        elif not isinstance(node, Call):
            pending.extend(islice(chain(node.parts, *(step.items for step in node.steps[:MOST_TEXTS])), MOST_TEXTS))
    return found
