"""The names that a loader would import, and which of them are known to do no harm.

Rule: harmless is only what makes a tensor, a container or a number, by its exact name; everything else is listed.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from ptzip.formats.part import Part
from ptzip.pickling.nodes import Call, Global
from ptzip.tensors.dtypes import BY_NAME, BY_STORAGE, BY_TENSOR

HARMLESS = frozenset(
    {
        *BY_STORAGE,
        *BY_TENSOR,
        *(f"torch.{name}" for name in BY_NAME),
        *(
            f"{home}.{name}"
            for home in ("builtins", "__builtin__")
            for name in ("set", "frozenset", "complex", "slice", "range")
        ),
        *(f"{home}.{name}" for home in ("builtins", "__builtin__") for name in ("bytes", "bytearray", "object", "xrange")),
        *(f"collections.{name}" for name in ("OrderedDict", "Counter", "deque")),
        *(f"{home}._reconstructor" for home in ("copyreg", "copy_reg")),
        *(f"numpy.{home}.multiarray.{name}" for home in ("core", "_core") for name in ("scalar", "_reconstruct")),
        *("numpy.dtype", "numpy.ndarray", "_codecs.encode", "argparse.Namespace"),
        *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
        *(
            f"{home}.{name}"
            for home in ("pathlib", "pathlib._local")
            for name in ("Path", "PosixPath", "PurePath", "PurePosixPath", "WindowsPath", "PureWindowsPath")
        ),
        *("torch.Size", "torch.Tensor", "torch.device", "torch.serialization._get_layout"),
        *(f"torch.{name}" for name in ("per_tensor_affine", "per_channel_affine", "per_channel_affine_float_qparams")),
        *("torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer", "torch.storage.TypedStorage"),
        *(
            f"torch._utils._rebuild_{name}"
            for name in ("tensor", "tensor_v2", "tensor_v3", "parameter", "parameter_with_state")
        ),
        *(f"torch._utils._rebuild_{name}" for name in ("qtensor", "sparse_tensor", "sparse_csr_tensor", "nested_tensor")),
        *(f"torch._utils._rebuild_{name}" for name in ("meta_tensor_no_storage", "device_tensor_from_numpy", "xla_tensor")),
        *("torch._utils._rebuild_device_tensor_from_cpu_tensor",),
    }
)

LANGUAGE = sys.stdlib_module_names | {"__builtin__", "copy_reg", "nt", "posix", "commands", "exceptions"}
"""Modules of Python itself, those of Python 2 and of other systems too."""


class Imported(NamedTuple):
    """One name: how often the pickles import it, and whether anything of it is called."""

    path: str
    times: int
    is_called: bool
    is_harmless: bool

    @property
    def is_of_python(self) -> bool:
        """Whether it is of Python itself, which is where most of what does harm comes from."""
        return self.path.partition(".")[0] in LANGUAGE


def imported(parts: Iterable[Part]) -> tuple[Imported, ...]:
    """All names of some pickles, those to be looked at first."""
    calls = [call for part in parts for call in part.pickle.calls]
    counts = Counter(call.path for call in calls if isinstance(call, Global))
    called = {call.path for call in calls if isinstance(call, Call)}
    found = [Imported(path, count, path in called, path in HARMLESS) for path, count in counts.items()]
    return tuple(sorted(found, key=lambda name: (name.is_harmless, not name.is_of_python, name.path)))
