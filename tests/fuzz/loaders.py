"""The real loaders, with every name that they resolve recorded and replaced by a stand-in, so that nothing is imported or run.

Only `sandbox` runs this module, in a process of its own: `python -m tests.fuzz.loaders FOLDER`. The process imports the
libraries once and then forks a child for each line "FILE FIRST" of its input. The child gives the inputs of FILE from number
FIRST on to every loader, and prints a line of JSON for each: loader -> the names it resolved. A child that an input kills, or
that hangs, is reported as a line "died STATUS".
"""

import base64
import builtins
import bz2
import collections
import contextlib
import gzip
import io
import json
import lzma
import os
import pickle
import resource
import signal
import struct
import sys
import tarfile
import types
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SECONDS = 5
"""Wall time of one input."""

MEMORY = 1 << 28
"""Bytes of address space beyond what the imports take."""

FILE_SIZE = 1 << 24
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "subprocess.", "socket.", "ctypes.", "pty.", "webbrowser.")
MOST_MEMBERS = 20

seen: set[tuple[str, str]] = set()
"""The names that the current loader resolved."""

is_faking = False
"""Whether imports are replaced."""


class Anything(type):
    def __getattr__(cls, last: str) -> Any:
        if last.startswith("__"):
            raise AttributeError(last)
        return cls

    def __setitem__(cls, _key: object, _value: object) -> None:
        pass


class StandIn(metaclass=Anything):
    """A class and a value that can be called, filled and compared with anything, so that a loader reads on."""

    def __new__(cls, *_: object, **__: object) -> "StandIn":
        return object.__new__(cls)

    def __call__(self, *_: object, **__: object) -> "StandIn":
        return StandIn()

    def ignore(*_: object) -> None:  # pickles call it on the class, too
        pass

    append = extend = add = update = __setitem__ = __setstate__ = ignore

    def __eq__(self, _: object) -> bool:
        return True

    def __hash__(self) -> int:
        return id(self)


def nested_load(data: bytes) -> object:
    return torch_load(io.BytesIO(data))


REAL: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch.storage", "_load_from_bytes"): nested_load,
}
"""What decides how a loader reads on, and is harmless."""


def resolved(module: str, last: str) -> Any:
    seen.add((module, last))
    return REAL.get((module, last), StandIn)


def persistent(ident: object) -> StandIn:
    """What is outside of a pickle. All loaders raise at the text after the P of a zip: those of Python and numpy know
    no persistent ids, and torch's are tuples.
    """
    if isinstance(ident, str) and ident.startswith("K\3\4"):
        raise pickle.UnpicklingError("this is a zip")
    return StandIn()


class CUnpickler(pickle.Unpickler):
    def find_class(self, module: str, last: str, /) -> Any:
        return resolved(module, last)

    def persistent_load(self, ident: Any, /) -> Any:
        return persistent(ident)


class PythonUnpickler(pickle._Unpickler):
    def find_class(self, module: str, last: str) -> Any:
        return resolved(module, last)

    def persistent_load(self, ident: Any) -> Any:
        return persistent(ident)


def load(file: Any, **options: Any) -> Any:
    return CUnpickler(file, **options).load()


def loads(data: bytes, **options: Any) -> Any:
    return CUnpickler(io.BytesIO(data), **options).load()


class Module:
    """A stand-in for a module, for the unpickler of `pickle.loads`, which cannot be subclassed."""

    def __getattr__(self, _: str) -> Any:
        return StandIn


@contextlib.contextmanager
def no_imports() -> Iterator[None]:
    """Whatever is imported is a stand-in; the audit hook records the names."""
    global is_faking
    real, kept = builtins.__import__, dict[str, Any]()

    def fake(name: str, *_: Any) -> Any:
        kept.setdefault(name, sys.modules.get(name))
        sys.modules[name] = Module()  # type: ignore[assignment]
        return sys.modules[name]

    builtins.__import__ = fake  # type: ignore[assignment]
    is_faking = True
    try:
        yield
    finally:
        is_faking = False
        builtins.__import__ = real
        for name, module in kept.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


class Recording(types.ModuleType):
    """The module `pickle` for libraries that take one."""

    Unpickler = CUnpickler
    load = staticmethod(load)
    loads = staticmethod(loads)
    dumps = staticmethod(pickle.dumps)
    UnpicklingError = pickle.UnpicklingError
    PickleError = pickle.PickleError


recording = Recording("pickle")
torch: Any = None
numpy: Any = None
joblib: Any = None


def torch_load(file: Any) -> object:
    return torch.load(file, weights_only=False, pickle_module=recording) if torch else None


def prepare_torch() -> None:
    global torch
    import torch as imported

    torch = imported
    torch.set_num_threads(1)
    torch.jit.load = lambda *_, **__: None  # its interpreter, in C++, resolves no names of Python


def prepare_numpy() -> None:
    global numpy
    import numpy as imported
    from numpy.lib import _format_impl, _npyio_impl

    numpy = imported
    _format_impl.pickle = _npyio_impl.pickle = recording  # type: ignore[attr-defined]
    REAL["numpy", "dtype"] = numpy.dtype
    REAL["numpy", "ndarray"] = numpy.ndarray


def prepare_joblib() -> None:
    global joblib
    import joblib as imported
    from joblib import numpy_pickle, numpy_pickle_compat, numpy_pickle_utils

    joblib = imported
    numpy_pickle.pickle = recording
    numpy_pickle_utils._IO_BUFFER_SIZE = 1 << 12  # of compressed files; 1 MiB takes longer than all other loaders
    for unpickler in (numpy_pickle.NumpyUnpickler, numpy_pickle_compat.ZipNumpyUnpickler):
        unpickler.find_class = lambda _, module, last: resolved(module, last)
    wrapper = numpy_pickle.NumpyArrayWrapper
    REAL["joblib.numpy_pickle", "NumpyArrayWrapper"] = wrapper
    REAL["copyreg", "_reconstructor"] = lambda cls, *_: object.__new__(cls)


# --- loaders: each is called with the path of a file and its bytes --------------------------------------------------------


def by_file(path: str, _: bytes) -> None:
    with Path(path).open("rb") as file:
        load(file)


def by_python(path: str, _: bytes) -> None:
    with Path(path).open("rb") as file:
        PythonUnpickler(file).load()


def by_bytes(_: str, data: bytes) -> None:
    """The C unpickler sees all bytes at once, so that frames matter less than in a file."""
    with no_imports():
        pickle.loads(data, buffers=[b"a"] * 9)


def by_stream(_: str, data: bytes) -> None:
    """A file that cannot be peeked into."""
    loads(data, buffers=[b"a"] * 9)


def by_latin1(_: str, data: bytes) -> None:
    loads(data, encoding="latin1")


def in_a_row(_: str, data: bytes) -> None:
    file = io.BytesIO(data)
    for _row in range(MOST_MEMBERS):
        load(file, encoding="bytes")


def by_pandas(path: str, data: bytes) -> None:
    """`pandas.read_pickle`, which decompresses first."""
    for magic, opener in ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ", lzma.open)):
        if data.startswith(magic):
            with opener(path) as file:
                load(file)


def by_torch(path: str, _: bytes) -> None:
    torch_load(path)


def by_torch_stream(_: str, data: bytes) -> None:
    torch_load(io.BytesIO(data))


def by_numpy(path: str, _: bytes) -> None:
    found = numpy.load(path, allow_pickle=True)
    if isinstance(found, numpy.lib.npyio.NpzFile):
        for name in found.files[:MOST_MEMBERS]:
            with contextlib.suppress(Exception):
                found[name]


def by_joblib(path: str, _: bytes) -> None:
    joblib.load(path)


def each(members: Iterator[bytes]) -> None:
    """Members as their users load them: pickles, arrays, checkpoints."""
    for data in members:
        attempts: list[Callable[[], object]] = [lambda data=data: loads(data)]  # type: ignore[misc]
        if data.startswith(b"\x93NUMPY") and numpy:
            attempts.append(lambda data=data: numpy.load(io.BytesIO(data), allow_pickle=True))  # type: ignore[misc]
        elif data.startswith(b"PK\3\4") or data[1:3] == b"\x02\x8a":
            attempts.append(lambda data=data: torch_load(io.BytesIO(data)))  # type: ignore[misc]
        for attempt in attempts:
            with contextlib.suppress(Exception):
                attempt()


def by_zipfile(path: str, _: bytes) -> None:
    def members(archive: zipfile.ZipFile) -> Iterator[bytes]:
        for info in archive.infolist()[:MOST_MEMBERS]:
            with contextlib.suppress(Exception):
                yield archive.read(info)
        for name in archive.namelist()[:MOST_MEMBERS]:
            with contextlib.suppress(Exception):
                yield archive.read(name)

    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            each(members(archive))


def by_stable_baselines(path: str, _: bytes) -> None:
    """`stable_baselines3.common.save_util.json_to_data`, of the member `data`."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for item in json.loads(archive.read("data").decode()).values():
                if isinstance(item, dict) and ":serialized:" in item:
                    loads(base64.b64decode(item[":serialized:"].encode()))


def by_tarfile(path: str, data: bytes) -> None:
    def members(archive: tarfile.TarFile) -> Iterator[bytes]:
        for _index, info in zip(range(MOST_MEMBERS), archive, strict=False):
            with contextlib.suppress(Exception):
                file = archive.extractfile(info)
                if file is not None:
                    yield file.read(FILE_SIZE)

    is_packed = data.startswith((b"\x1f\x8b", b"BZ", b"\xfd7"))  # to try each way takes longer than all other loaders
    with tarfile.open(path, "r:*" if is_packed else "r:") as archive:
        each(members(archive))


LOADERS: dict[str, Callable[[str, bytes], None]] = {
    "pickle.load": by_file,
    "pickle.loads": by_bytes,
    "pickle.load of a stream": by_stream,
    "pickle.load latin1": by_latin1,
    "pickles in a row": in_a_row,
    "pickle in Python": by_python,
    "pandas.read_pickle": by_pandas,
    "torch.load": by_torch,
    "torch.load of a stream": by_torch_stream,
    "numpy.load": by_numpy,
    "joblib.load": by_joblib,
    "zipfile": by_zipfile,
    "Stable-Baselines3": by_stable_baselines,
    "tarfile": by_tarfile,
}
NEEDS = {"torch": prepare_torch, "numpy": prepare_numpy, "joblib": prepare_joblib}
"""Library -> what makes it record; the loaders of a library are those whose name begins with its name."""


def prepare() -> None:
    """Import the libraries that there are, and drop the loaders of the others."""
    for library, prepared in NEEDS.items():
        try:
            prepared()
        except ImportError:
            for name in [name for name in LOADERS if name.startswith(library)]:
                del LOADERS[name]

    def refuse(*_: object) -> None:
        raise tarfile.ExtractError("no devices")

    tarfile.TarFile.makedev = tarfile.TarFile.makefifo = refuse  # type: ignore[assignment,method-assign]
    sys.addaudithook(audit)


def audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Record what was resolved past the stand-ins, and stop it; nothing may run."""
    if event == "pickle.find_class":
        seen.add((str(arguments[0]), str(arguments[1])))
        if is_faking:
            return
        raise pickle.UnpicklingError("resolved past the recorder")
    if event.startswith(FORBIDDEN):
        seen.add(("audit", event))
        raise PermissionError(event)


def confine() -> None:
    """The limits of a child."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_SIZE, FILE_SIZE))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")


def unpacked(path: str) -> list[bytes]:
    """The inputs in a file: each after its length, in four bytes."""
    data, out, at = Path(path).read_bytes(), [], 0
    while at < len(data):
        (size,) = struct.unpack_from("<I", data, at)
        out.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return out


def record(data: bytes, path: str) -> dict[str, list[str]]:
    """Loader -> the names that it resolves in the input."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(file, data)
    os.close(file)
    found = {}
    for name, loader in LOADERS.items():
        seen.clear()
        with contextlib.suppress(Exception, RecursionError):
            loader(path, data)
        names = sorted(f"{module}.{last}" for module, last in seen if "\0" not in module)  # no module has such a name
        if names:
            found[name] = names
    return found


def child(path: str, first: int) -> None:
    confine()
    for data in unpacked(path)[first:]:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)  # SIGALRM ends the process
        found = record(data, "input")
        os.write(1, json.dumps(found).encode() + b"\n")


def main() -> None:
    os.chdir(sys.argv[1])
    os.environ["TMPDIR"] = sys.argv[1]
    prepare()
    os.write(1, json.dumps(list(LOADERS)).encode() + b"\n")
    for line in sys.stdin:
        path, first = line.split()
        process = os.fork()
        if not process:
            child(path, int(first))
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if status:
            os.write(1, f"died {status}\n".encode())


if __name__ == "__main__":
    main()
