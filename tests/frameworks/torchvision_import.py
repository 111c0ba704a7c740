"""Lets torchvision be imported beside torch for CPUs: its wheel on PyPI is for CUDA, and then has no operators."""

import torch

OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def define_operators() -> None:
    """Define the operators that torchvision describes on import, where its library does not load."""
    global _library
    try:
        import torchvision  # noqa: F401
    except RuntimeError:
        _library = torch.library.Library("torchvision", "DEF")
        for name in OPERATORS:
            _library.define(f"{name}{SIGNATURE}")


_library: torch.library.Library | None = None
"""Operators are gone when their library is."""
