"""The recipe of `ptzip slim` written with torch, for a plain dict of tensors: `python torch_way.py INPUT OUTPUT`.

As lean as torch allows: the input is mapped, so what is not used (the optimizer) is not read.
"""

import sys

import torch


def main() -> None:
    source, target = sys.argv[1:]
    checkpoint = torch.load(source, map_location="cpu", mmap=True)
    slim = {
        "epoch": -1,
        "best_fitness": checkpoint["best_fitness"],
        "training_results": None,
        "model": {name: tensor.half() for name, tensor in checkpoint["model"].items()},
        "optimizer": None,
    }
    torch.save(slim, target)


if __name__ == "__main__":
    main()
