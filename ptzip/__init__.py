"""ptzip opens PyTorch checkpoints without torch, shows what is in them and makes them small.

Nothing of a file is ever executed. The names below are loaded when first used, so that `import ptzip` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptzip.api import average, convert, diff, inspect, load, repair, scan, slim, verify
    from ptzip.averaging.report import AverageReport
    from ptzip.checkpoint import Checkpoint
    from ptzip.checkpoint import open_checkpoint as open
    from ptzip.converting.report import ConvertReport
    from ptzip.diffing.report import DiffReport
    from ptzip.errors import Anomaly, EditError, FormatError, LimitError, PtzipError, UnsupportedError
    from ptzip.inspecting.report import InspectReport
    from ptzip.limits import Limits
    from ptzip.repairing.report import RepairReport
    from ptzip.scanning.report import Finding, ScanReport, Severity, Verdict
    from ptzip.slimming.report import SlimReport
    from ptzip.tensors.tensor import Tensor
    from ptzip.values.opaque import Opaque
    from ptzip.verifying.report import VerifyReport

__version__ = "0.1.0"

__all__ = [
    "Anomaly",
    "AverageReport",
    "Checkpoint",
    "ConvertReport",
    "DiffReport",
    "EditError",
    "Finding",
    "FormatError",
    "InspectReport",
    "LimitError",
    "Limits",
    "Opaque",
    "PtzipError",
    "RepairReport",
    "ScanReport",
    "Severity",
    "SlimReport",
    "Tensor",
    "UnsupportedError",
    "Verdict",
    "VerifyReport",
    "average",
    "convert",
    "diff",
    "inspect",
    "load",
    "open",
    "repair",
    "scan",
    "slim",
    "verify",
]

_HOMES = {
    **dict.fromkeys(("average", "convert", "diff", "inspect", "load", "repair", "scan", "slim", "verify"), "api"),
    **dict.fromkeys(("Anomaly", "EditError", "FormatError", "LimitError", "PtzipError", "UnsupportedError"), "errors"),
    **dict.fromkeys(("Finding", "ScanReport", "Severity", "Verdict"), "scanning.report"),
    "AverageReport": "averaging.report",
    "Checkpoint": "checkpoint",
    "ConvertReport": "converting.report",
    "DiffReport": "diffing.report",
    "InspectReport": "inspecting.report",
    "Limits": "limits",
    "Opaque": "values.opaque",
    "RepairReport": "repairing.report",
    "SlimReport": "slimming.report",
    "Tensor": "tensors.tensor",
    "VerifyReport": "verifying.report",
    "open": "checkpoint",
}
"""Public name -> the module that defines it."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ptzip' has no attribute {name!r}")
    home = import_module(f"ptzip.{_HOMES[name]}")
    value = getattr(home, "open_checkpoint" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
