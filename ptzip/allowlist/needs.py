"""What loading a pickle needs that not every loader has: a system, a version of Python, numpy or torch, a package, a device.

Names pin a pickle: the same object is pickled under other names by other versions. The table was tried with the real ones:
Python 3.8 to 3.14, numpy 1.24 to 2.5, torch 1.6 to 2.13 (`tests/portable/matrix.py`).
"""

from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ptzip.allowlist.python_modules import PYTHON_MODULES
from ptzip.allowlist.table import pair
from ptzip.pickling.nodes import Atom, Call, Global, Node, Persistent, Pickle, Tuple, plain, state, text
from ptzip.tensors.references import KEY, LOCATION, MARKS, STORAGE_ITEMS
from ptzip.tensors.torch_names import DATED, Release


class Need(NamedTuple):
    """Something that loading needs, the names in the pickle that need it, and how often these are used.

    `is_portable`: whether `slim --portable` writes the same without it.
    """

    what: str
    names: tuple[str, ...]
    times: int
    is_portable: bool


class Moved(NamedTuple):
    """What a name needs, and the name of the same object that every loader has; "" where there is none. `is_portable`: whether
    a rename, or another call, does without it."""

    needs: tuple[str, ...]
    new: str = ""
    is_portable: bool = True


POSIX, WINDOWS = "Linux or macOS", "Windows"
PYTHON_2, PYTHON_39, PYTHON_313 = "Python 2", "Python 3.9 or later", "Python 3.13 or later"
NUMPY_1, NUMPY_124, NUMPY_125, NUMPY_126, NUMPY_2 = (
    *("numpy 1", "numpy 1.24 or later", "numpy 1.25 or later"),
    *("numpy 1.26 or later", "numpy 2"),
)

CLASSES_OF = "classes of "
"""How the need of a package begins."""

STORAGE = "storage"
"""The name given in a need of a device, which comes from persistent ids and not from names in the pickle."""

PATH = "pathlib.Path"
"""A path of the system that loads it, in every version of Python."""

RECONSTRUCT = "numpy.core.multiarray._reconstruct"
"""The old name, which numpy 2 promises to old pickles (`numpy/core/multiarray.py`); numpy 1 has the new one from 1.26 on."""

WINDOWS_PATHS = frozenset(f"{module}.WindowsPath" for module in ("pathlib", "pathlib._local"))
FROM_BUFFER = frozenset(f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core"))
RANDOM = "numpy.random._pickle"
BIT_GENERATOR = f"{RANDOM}.__bit_generator_ctor"
BIT_GENERATORS = {
    f"numpy.random.{module}.{name}": name
    for module, name in (("_mt19937", "MT19937"), ("_philox", "Philox"), ("_sfc64", "SFC64"))
} | {f"numpy.random._pcg64.{name}": name for name in ("PCG64", "PCG64DXSM")}
DTYPE = "numpy.dtype"
FLAGS, ALIGNED = 7, 0x80
"""The index of the flags in the state of a dtype, and that of an aligned structure (`ndarraytypes.h`, `NPY_ALIGNED_STRUCT`)."""

DEVICE = "torch.device"
GENERATOR = "torch._C.Generator"
"""A generator of a GPU has the state of one, which that of the CPU does not take."""

REBUILD = "torch._utils._rebuild_tensor_v2"
"""With conjugate and negative bits among its arguments, which torch before 2.0 does not take."""

TORCH_VERSION = "torch.torch_version.TorchVersion"
WITH_STATE = "torch._utils._rebuild_parameter_with_state"
FROM_CPU = "torch._utils._rebuild_device_tensor_from_cpu_tensor"
TYPED_VIEW = "torch._utils._rebuild_tensor_v3"
FORMER_UNTYPED, UNTYPED = "torch.storage._UntypedStorage", "torch.storage.UntypedStorage"

FIRST_ZIP = (1, 6)
"""Releases of torch up to this one, the first that reads zips, are no need."""

SINCE = {row.path: row.since for row in DATED if row.since and row.since > FIRST_ZIP}

_RECORDS = ("recarray", "record")
_MOVED = {
    "pathlib.PosixPath": Moved((POSIX,), PATH),
    "pathlib.WindowsPath": Moved((WINDOWS,), PATH),
    "pathlib._local.PosixPath": Moved((POSIX, PYTHON_313), PATH),
    "pathlib._local.WindowsPath": Moved((WINDOWS, PYTHON_313), PATH),
    **{
        f"pathlib._local.{name}": Moved((PYTHON_313,), f"pathlib.{name}")
        for name in ("Path", "PurePath", "PurePosixPath", "PureWindowsPath")
    },
    "numpy._core.multiarray._reconstruct": Moved((NUMPY_126,), RECONSTRUCT),
    "numpy._core.multiarray.scalar": Moved((NUMPY_126,), "numpy.core.multiarray.scalar"),
    "numpy.core.numeric._frombuffer": Moved((NUMPY_1,)),
    "numpy._core.numeric._frombuffer": Moved((NUMPY_2,)),
    **{f"numpy.core.records.{name}": Moved((NUMPY_1,), f"numpy.{name}") for name in _RECORDS},
    **{f"numpy.{home}.{name}": Moved((NUMPY_2,), f"numpy.{name}") for home in ("rec", "_core.records") for name in _RECORDS},
    "numpy.bool": Moved((NUMPY_2,), "numpy.bool_"),
    "numpy.unicode_": Moved((NUMPY_1,), "numpy.str_"),
    "numpy.string_": Moved((NUMPY_1,), "numpy.bytes_"),
    "numpy.chararray": Moved((NUMPY_1,), is_portable=False),
    FORMER_UNTYPED: Moved(("torch 1.11 or 1.12",)),
}

_MODULES = {
    "zoneinfo": PYTHON_39,
    **dict.fromkeys(("numpy.dtypes", "numpy.exceptions"), NUMPY_125),
    **dict.fromkeys(("numpy.char", "numpy.rec", "numpy.strings", "numpy.linalg._linalg"), NUMPY_2),
    "numpy.linalg.linalg": NUMPY_1,
}
"""What the modules need whose names none else has."""

_CORES = {"numpy.core": NUMPY_1, "numpy._core": NUMPY_2}
_UFUNCS = "_multiarray_umath"
"""The module of numpy's core that has the functions which `numpy` has too."""

_OWN = frozenset((*PYTHON_MODULES, "numpy", "torch"))


def moved(module: str, name: str, protocol: int | None) -> Moved | None:
    """What only some loaders have of a name; None where all have it.

    Loaders translate the names of Python 2 below protocol 3 (`Lib/_compat_pickle.py`), as picklers do then.
    """
    found = _MOVED.get(f"{module}.{name}")
    if found is not None:
        return found
    if (protocol or 0) > 2 and (module in IMPORT_MAPPING or (module, name) in NAME_MAPPING):
        new = ".".join(NAME_MAPPING.get((module, name)) or (IMPORT_MAPPING[module], name))
        return Moved((PYTHON_2,), new) if new != f"{module}.{name}" else None
    if module in _MODULES:
        return Moved((_MODULES[module],), is_portable=False)
    core, _, inner = module.rpartition(".")
    if core in _CORES and inner == _UFUNCS and not name.startswith("_"):
        return Moved((_CORES[core],), f"numpy.{name}")
    is_core = module in _CORES or core in _CORES
    return Moved((_CORES.get(core) or _CORES[module],), is_portable=False) if is_core and not _is_kept(module, name) else None


def _is_kept(module: str, name: str) -> bool:
    """Whether numpy 2 promises a name of the core of numpy 1 to old pickles."""
    return (module, name) in (("numpy.core", "_ufunc_reconstruct"), pair(RECONSTRUCT), ("numpy.core.multiarray", "scalar"))


def needs_of(pickle: Pickle) -> tuple[Need, ...]:
    """What loading a pickle needs, as far as its globals, calls and persistent ids say."""
    return needs(pickle.calls, pickle.persistents, pickle.protocol)


def needs(calls: Iterable[Node], persistents: Iterable[Persistent], protocol: int | None) -> tuple[Need, ...]:
    """The same of globals and calls and of persistent ids."""
    return joined_needs((*_of_names(calls, protocol), *_of_devices(persistents)))


def since_torch(release: Release) -> str:
    """The need of a release of torch, or a later one."""
    return f"torch {release[0]}.{release[1]} or later"


def joined_needs(found: Iterable[Need]) -> tuple[Need, ...]:
    """Each need once; first what `slim --portable` removes."""
    groups: dict[tuple[bool, str], list[Need]] = {}
    for one in found:
        groups.setdefault((not one.is_portable, one.what), []).append(one)
    return tuple(
        Need(
            what, tuple(dict.fromkeys(name for one in group for name in one.names)), sum(one.times for one in group), not stays
        )
        for (stays, what), group in sorted(groups.items())
    )


def _of_names(nodes: Iterable[Node], protocol: int | None) -> Iterator[Need]:
    names, calls = dict[tuple[str, str], list[Global]](), dict[int, list[Call]]()
    for node in nodes:
        if isinstance(node, Global):
            names.setdefault((node.module, node.name), []).append(node)
        elif isinstance(node, Call) and node.op != "INST":
            calls.setdefault(id(node.parts[0]), []).append(node)
    is_typed = pair(TYPED_VIEW) in names
    for (module, name), found in names.items():
        of_name = [call for node in found for call in calls.get(id(node), ())]
        for what, is_portable in _of_name(module, name, protocol, is_typed):
            yield Need(what, (f"{module}.{name}",), len(of_name) or len(found), is_portable)
        for call in of_name:
            yield from _of_call(f"{module}.{name}", call)


def _of_call(path: str, call: Call) -> Iterator[Need]:
    """What a call needs by what it is given, whatever its name needs."""
    if path.startswith(f"{RANDOM}.") and len(call.arguments) == 2:
        yield Need(NUMPY_124, (path,), 1, True)
    kind = plain(call.arguments[0]) if path in (BIT_GENERATOR, GENERATOR) and call.arguments else None
    if isinstance(kind, Global):
        yield Need(NUMPY_2, (kind.path,), 1, True)
    if isinstance(kind, Call) and (device := named_device(kind)):
        yield Need(f"device {device}", (GENERATOR,), 1, False)
    if path == REBUILD and len(call.arguments) > MARKS:
        yield Need(since_torch((2, 0)), (REBUILD,), 1, False)
    if path == DTYPE and unsigned_flags(call) is not None:
        yield Need(NUMPY_2, (DTYPE,), 1, True)


def named_device(call: Call) -> str | None:
    """The kind of device of `torch.device(kind, index)` that a machine may lack; None for any other call."""
    kind = text(plain(call.arguments[0])) if call.path == DEVICE and call.arguments else None
    return kind if kind is not None and is_device(kind) else None


def unsigned_flags(dtype: Call) -> int | None:
    """The flags of an aligned structure as numpy 2 writes them, which numpy 1 cannot read; None for any others."""
    built = state(dtype)
    given = plain(built.parts[FLAGS]) if isinstance(built, Tuple) and len(built.parts) > FLAGS else None
    flags = given.value if isinstance(given, Atom) else None
    return flags if isinstance(flags, int) and ALIGNED <= flags < 2 * ALIGNED else None


def _of_name(module: str, name: str, protocol: int | None, is_typed: bool) -> Iterator[tuple[str, bool]]:
    """What a name needs, and whether it is portable; `is_typed` is whether an untyped storage may have to stay one."""
    path, root = f"{module}.{name}", module.partition(".")[0]
    if (one := moved(module, name, protocol)) is not None:
        yield from ((what, one.is_portable) for what in one.needs)
    elif path in SINCE:
        yield since_torch(SINCE[path]), path in (TORCH_VERSION, WITH_STATE, FROM_CPU) or (path == UNTYPED and not is_typed)
    elif root not in _OWN:
        yield f"{CLASSES_OF}{root}", False


def _of_devices(persistents: Iterable[Persistent]) -> Iterator[Need]:
    seen = set[tuple[str, str | None]]()
    for node in persistents:
        parts = node.id.parts if isinstance(node.id, Tuple) else []
        location = text(plain(parts[LOCATION])) if len(parts) >= STORAGE_ITEMS and text(plain(parts[0])) == "storage" else None
        if location is not None and is_device(location) and (one := (location, text(plain(parts[KEY])))) not in seen:
            seen.add(one)
            yield Need(f"device {location}", (STORAGE,), 1, True)


def is_device(location: str) -> bool:
    """Whether a location is a device that a machine may lack."""
    return location.partition(":")[0] not in ("cpu", "meta")
