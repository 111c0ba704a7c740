"""What one interpreter writes, and what it loads: run by `matrix.py` with each interpreter, from Python 3.8 on.

child.py write FOLDER              writes checkpoints of several kinds; prints its versions and the files as JSON
child.py read [--windows] FILE...  prints as JSON for each file "loads", or the error or the warning
"""

from __future__ import annotations

import os
import sys

SYSTEM = "nt" if "--windows" in sys.argv else os.name
if SYSTEM == "nt":
    os.name = SYSTEM  # while pathlib is imported, so that a path is one of Windows and a PosixPath cannot be made
    for name in ("pathlib", "pathlib._local"):
        sys.modules.pop(name, None)

import pathlib

os.name = "posix"

import argparse
import io
import json
import pickle
import warnings
import zipfile
from typing import Any

try:
    import numpy
except ImportError:
    numpy = None  # type: ignore[assignment]
try:
    import torch
except ImportError:
    torch = None


class WindowsPath:
    """Pickles as a path of Windows, as this version of Python would there."""

    def __reduce__(self) -> Any:
        return pathlib.WindowsPath, pathlib.PureWindowsPath("D:\\", "runs", "exp").__reduce__()[1]


def paths() -> dict[str, Any]:
    return {
        "absolute": pathlib.PosixPath("/data", "runs"),
        "options": argparse.Namespace(save_dir=pathlib.PosixPath("runs/exp")),
    }


def windows() -> dict[str, Any]:
    return {"absolute": WindowsPath(), "options": argparse.Namespace(save_dir=WindowsPath())}


def arrays() -> dict[str, Any]:
    return {
        "array": numpy.arange(6.0).reshape(2, 3),
        "fortran": numpy.arange(6).reshape(2, 3).T,
        "objects": numpy.array([None, "a"], dtype=object),
        "records": numpy.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "scalar": numpy.float64(0.25),
        "flag": numpy.bool_(True),
        "types": [numpy.bool_, numpy.float32, numpy.dtype("f4")],
        "function": numpy.add,
    }


def generators() -> dict[str, Any]:
    made: dict[str, Any] = {
        "state": numpy.random.RandomState(3),
        "generator": numpy.random.default_rng(4),
        "bits": numpy.random.MT19937(5),
    }
    made["state"].random_sample(3)
    made["generator"].random(3)
    return made


def tensors() -> dict[str, Any]:
    weight = torch.nn.Parameter(torch.arange(4.0))
    torch.manual_seed(0)
    layer = torch.nn.Linear(2, 2)
    layer.device = torch.device("cuda", 1)
    return {"model": layer, "weight": weight, "version": torch.__version__}


def attributes() -> dict[str, Any]:
    weight = torch.nn.Parameter(torch.arange(4.0))
    weight.tag = "x"
    return {"weight": weight}


def storages() -> dict[str, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensor = torch.arange(4, dtype=torch.uint8)
        return {"storage": tensor.untyped_storage() if hasattr(tensor, "untyped_storage") else tensor.storage()}


KINDS = {"paths": paths, "windows": windows}
if numpy is not None:
    KINDS.update({"arrays": arrays, "random": generators})
if torch is not None:
    KINDS.update({"tensors": tensors, "storages": storages})
    if hasattr(torch._utils, "_rebuild_parameter_with_state"):  # torch before 2.0 does not save attributes of parameters
        KINDS["attributes"] = attributes
PROTOCOLS = (2, 5)


def shown(value: Any) -> Any:
    """A value as JSON, the same in every version."""
    if isinstance(value, pathlib.PurePath):
        return value.as_posix()
    if isinstance(value, dict):
        return {key: shown(one) for key, one in value.items()}
    if isinstance(value, argparse.Namespace):
        return shown(vars(value))
    if isinstance(value, WindowsPath):
        return "D:/runs/exp"
    if isinstance(value, type):
        return value.__name__.rstrip("_")
    name = type(value).__name__
    if name == "RandomState":
        return value.random_sample(2).tolist()
    if name == "Generator":
        return value.random(2).tolist()
    if name == "MT19937":
        return value.random_raw(2).tolist()
    if hasattr(value, "tolist"):
        tag = getattr(value, "tag", None)
        return shown(value.tolist()) if tag is None else [value.tolist(), tag]
    if torch is not None and isinstance(value, torch.nn.Module):
        return {key: one.tolist() for key, one in value.state_dict().items()}
    if "Storage" in name:
        return list(value)
    if isinstance(value, (list, tuple)):
        return [shown(one) for one in value]
    return getattr(value, "__name__", None) or str(value)


def write(folder: str) -> None:
    versions = [f"Python {sys.version_info[0]}.{sys.version_info[1]}"]
    versions += [f"numpy {numpy.__version__}"] if numpy is not None else []
    versions += [f"torch {torch.__version__}"] if torch is not None else []
    files = []
    for kind, make in KINDS.items():
        for protocol in PROTOCOLS:
            name = f"{folder}/{kind}.{protocol}.pt"
            save(make(), name, protocol)
            with open(name + ".json", "w") as file:
                json.dump(shown(make()), file)
            files.append({"kind": kind, "protocol": protocol, "file": name})
    print(json.dumps({"versions": versions, "torch": torch is not None, "files": files}))


def save(value: Any, name: str, protocol: int) -> None:
    if torch is not None:
        torch.save(value, name, pickle_protocol=protocol)
        return
    with zipfile.ZipFile(name, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(value, protocol))
        archive.writestr("archive/version", "3\n")


def load(name: str) -> Any:
    if torch is not None:
        return torch.load(name, **({"weights_only": False} if "weights_only" in torch.load.__code__.co_varnames else {}))
    with zipfile.ZipFile(name) as archive:
        (record,) = [one for one in archive.namelist() if one.endswith("data.pkl")]
        return pickle.load(io.BytesIO(archive.read(record)))


def read(names: list[str]) -> None:
    found = {}
    for name in names:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warnings.filterwarnings("ignore", message=".*TypedStorage is deprecated")
            os.name = SYSTEM  # which `pathlib.Path` looks at up to Python 3.11
            try:
                value = load(name)
            except Exception as error:
                found[name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
                continue
            finally:
                os.name = "posix"
        text = json.dumps(shown(value))
        with open(name.replace(".portable", "") + ".json") as file:
            expected = json.dumps(json.load(file))
        verdict = f"warns: {str(caught[0].message)[:60]}" if caught else "loads"
        found[name] = verdict if text == expected else f"differs: {text} is not {expected}"
    print(json.dumps(found))


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2])
    else:
        read([name for name in sys.argv[2:] if name != "--windows"])
