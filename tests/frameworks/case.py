"""What a case is: how a framework writes a checkpoint, and what its own loader then computes."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple


class Case(NamedTuple):
    """`write` lets the framework write a checkpoint into an empty folder, and gives the path of the file that is slimmed.

    `outputs` loads the file at that path, as users of the framework do, and computes with it: one tensor, or several. It is
    called twice, for what the framework wrote and for the slim file in its place. They differ by at most `tolerance` times the
    largest output.
    """

    name: str
    package: str
    write: Callable[[Path], Path]
    outputs: Callable[[Path], Any]
    tolerance: float = 5e-3


def largest_difference(before: Any, after: Any) -> float:
    """The largest difference of outputs, relative to the largest number of their tensor. NaN counts as infinite."""
    pairs = list(zip(_tensors(before), _tensors(after), strict=True))
    differences = [float((old - new).abs().max() / old.abs().max().clamp(min=1e-6)) for old, new in pairs]
    return max(float("inf") if difference != difference else difference for difference in differences)


def _tensors(outputs: Any) -> list[Any]:
    found = outputs if isinstance(outputs, Iterable) and not hasattr(outputs, "detach") else [outputs]
    return [tensor.detach().float() for tensor in found]
