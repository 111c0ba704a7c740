"""ptzip opens PyTorch checkpoints without torch, shows what is in them and makes them small.

Nothing of a file is ever executed. The names below are loaded when first used, so that `import ptzip` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ptzip.api import load, slim
    from ptzip.checkpoint import Checkpoint
    from ptzip.checkpoint import open_checkpoint as open
    from ptzip.converting.convert import convert
    from ptzip.converting.report import ConvertReport
    from ptzip.diffing.diff import diff
    from ptzip.diffing.report import DiffReport
    from ptzip.errors import Anomaly, EditError, FormatError, LimitError, PtzipError, UnsupportedError
    from ptzip.limits import Limits
    from ptzip.repairing.repair import repair
    from ptzip.repairing.report import RepairReport
    from ptzip.scanning.report import Finding, ScanReport, Severity, Verdict
    from ptzip.scanning.scan import scan
    from ptzip.slimming.report import SlimReport
    from ptzip.tensors.tensor import Tensor
    from ptzip.values.opaque import Opaque
    from ptzip.verifying.report import VerifyReport
    from ptzip.verifying.verify import verify

__version__ = "0.1.0"

__all__ = [
    "Anomaly",
    "Checkpoint",
    "ConvertReport",
    "DiffReport",
    "EditError",
    "Finding",
    "FormatError",
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
    "convert",
    "diff",
    "load",
    "open",
    "repair",
    "scan",
    "slim",
    "verify",
]

_HOMES = {
    "Anomaly": "errors",
    "Checkpoint": "checkpoint",
    "ConvertReport": "converting.report",
    "DiffReport": "diffing.report",
    "EditError": "errors",
    "Finding": "scanning.report",
    "FormatError": "errors",
    "LimitError": "errors",
    "Limits": "limits",
    "Opaque": "values.opaque",
    "PtzipError": "errors",
    "RepairReport": "repairing.report",
    "ScanReport": "scanning.report",
    "Severity": "scanning.report",
    "SlimReport": "slimming.report",
    "Tensor": "tensors.tensor",
    "UnsupportedError": "errors",
    "Verdict": "scanning.report",
    "convert": "converting.convert",
    "diff": "diffing.diff",
    "load": "api",
    "open": "checkpoint",
    "repair": "repairing.repair",
    "scan": "scanning.scan",
    "VerifyReport": "verifying.report",
    "slim": "api",
    "verify": "verifying.verify",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'ptzip' has no attribute {name!r}")
    home = import_module(f"ptzip.{_HOMES[name]}")
    value = getattr(home, "open_checkpoint" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
