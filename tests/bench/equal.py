"""Whether torch reads the same from two slim checkpoints: `python equal.py A B`; exit code 1 and one line if not."""

import sys
from typing import Any

import torch


def difference(first: dict[str, Any], second: dict[str, Any]) -> str | None:
    """What differs first: keys and their order, a value, or one bit of a tensor."""
    if list(first) != list(second) or list(first["model"]) != list(second["model"]):
        return "the keys"
    for key in first:
        if key != "model" and first[key] != second[key]:
            return key
    return next((name for name in first["model"] if not same(first["model"][name], second["model"][name])), None)


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    """Bit for bit, so that NaN equals itself and 0 does not equal -0."""
    if (first.dtype, first.shape) != (second.dtype, second.shape):
        return False
    return bool(torch.equal(first.reshape(-1).view(torch.uint8), second.reshape(-1).view(torch.uint8)))


def main() -> None:
    found = difference(*(torch.load(path, map_location="cpu", mmap=True) for path in sys.argv[1:]))
    if found:
        sys.exit(f"{' and '.join(sys.argv[1:])} differ in {found}")


if __name__ == "__main__":
    main()
