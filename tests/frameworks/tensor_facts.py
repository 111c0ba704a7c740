"""What is compared of tensors that a framework wrote and ptzip reads: dtype, shape and a hash of the elements."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ptzip
from ptzip.tensors.tensor import Tensor


def agreement(folder: Path, expected: Mapping[str, list[Any]], masters: bool = False) -> str:
    """Whether ptzip reads the same tensors from a folder, in a few words; those that it reads beside them are counted."""
    try:
        with ptzip.open(folder, masters=masters) as checkpoint:
            found = {name: read_facts(tensor) for name, tensor in checkpoint.items()}
    except ptzip.PtzipError as error:
        return f"refused: {error}"
    other = [name for name in expected if found.get(name) != expected[name]]
    return (
        f"{len(other)} differ: {', '.join(other)}"
        if other
        else f"equal: {len(expected)}, and {len(found) - len(expected)} more"
    )


def read_facts(tensor: Tensor) -> list[Any]:
    """The facts of a tensor that ptzip read."""
    return [tensor.dtype, list(tensor.shape), hashlib.sha256(tensor.tobytes()).hexdigest()]


def facts(tensors: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Dtype, shape and SHA-256 of torch tensors, by name."""
    return {name: [str(one.dtype).removeprefix("torch."), list(one.shape), _hash(one)] for name, one in tensors.items()}


def _hash(tensor: Any) -> str:
    import torch

    flat = tensor.detach().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"").hexdigest()
