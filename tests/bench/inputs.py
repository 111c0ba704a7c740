"""Creates the inputs of the benchmarks: `python inputs.py MEGABYTES PATH`.

A plain dict of float32 tensors under `model` in the five-key layout of a training checkpoint, half of its bytes optimizer
state. The shapes are those of a YOLOv5s (57 MB), otherwise of transformer blocks up to the size; 0 MB are ten small tensors.
All tensors are views of one block of random numbers at different offsets, so gigabytes are written from megabytes of memory.
"""

import sys
from typing import Any

import numpy as np
import torch

Shape = tuple[int, ...]

WIDTH = 1024
"""Of the transformer blocks, in elements."""


def convolution(inside: int, outside: int, kernel: int) -> list[Shape]:
    """A convolution without a bias, and the weight and bias of its normalization."""
    return [(outside, inside, kernel, kernel), (outside,), (outside,)]


def c3(inside: int, outside: int, repeats: int) -> list[Shape]:
    """YOLOv5's C3 block."""
    half = outside // 2
    ends = convolution(inside, half, 1) * 2 + convolution(2 * half, outside, 1)
    return ends + (convolution(half, half, 1) + convolution(half, half, 3)) * repeats


def yolov5s() -> list[Shape]:
    """The 177 parameters of a YOLOv5s of 80 classes (`models/yolov5s.yaml` of v7.0)."""
    backbone = convolution(3, 32, 6) + convolution(32, 64, 3) + c3(64, 64, 1) + convolution(64, 128, 3) + c3(128, 128, 2)
    backbone += convolution(128, 256, 3) + c3(256, 256, 3) + convolution(256, 512, 3) + c3(512, 512, 1)
    pooling = convolution(512, 256, 1) + convolution(1024, 512, 1)
    up = convolution(512, 256, 1) + c3(512, 256, 1) + convolution(256, 128, 1) + c3(256, 128, 1)
    down = convolution(128, 128, 3) + c3(256, 256, 1) + convolution(256, 256, 3) + c3(512, 512, 1)
    detect = [shape for inside in (128, 256, 512) for shape in ((255, inside, 1, 1), (255,))]
    return backbone + pooling + up + down + detect


def transformer(numbers: int) -> list[Shape]:
    """As many blocks as fit in so many numbers; the rest is the embedding."""
    wide = [(3 * WIDTH, WIDTH), (WIDTH, WIDTH), (4 * WIDTH, WIDTH), (WIDTH, 4 * WIDTH)]
    block: list[Shape] = [*wide, *((shape[0],) for shape in wide), *[(WIDTH,)] * 4]
    blocks, rest = divmod(numbers, count(block))
    return [(rest // WIDTH, WIDTH), *block * blocks]


def count(shapes: list[Shape]) -> int:
    return int(sum(np.prod(shape) for shape in shapes))


def tensors(shapes: list[Shape], block: np.ndarray[Any, Any], first: int) -> list[torch.Tensor]:
    """One tensor of each shape, each with a storage of its own."""
    starts = range(first, first + len(shapes))
    return [torch.from_numpy(block[at : at + count([shape])].reshape(shape)) for at, shape in zip(starts, shapes, strict=True)]


def checkpoint(shapes: list[Shape]) -> dict[str, Any]:
    """What a training loop saves: the weights, and one momentum buffer for each."""
    length = max(count([shape]) for shape in shapes) + 2 * len(shapes)
    block = np.random.default_rng(0).standard_normal(length, np.float32) * np.float32(0.05)
    model = {f"layer{index}.weight": tensor for index, tensor in enumerate(tensors(shapes, block, 0))}
    state = {index: {"momentum_buffer": tensor} for index, tensor in enumerate(tensors(shapes, block, len(shapes)))}
    optimizer = {"state": state, "param_groups": [{"lr": 0.01, "momentum": 0.937, "params": list(state)}]}
    return {"epoch": 12, "best_fitness": 0.5, "training_results": "0.1 " * 1000, "model": model, "optimizer": optimizer}


def main() -> None:
    megabytes, path = int(sys.argv[1]), sys.argv[2]
    shapes: list[Shape] = (
        [(64, 64)] * 10 if not megabytes else yolov5s() if megabytes < 100 else transformer(megabytes * 10**6 // 8)
    )
    torch.save(checkpoint(shapes), path)


if __name__ == "__main__":
    main()
