"""Checkpoints of YOLO in mid-run, of networks of a few channels."""

import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.frameworks.case import Case
from tests.frameworks.torchvision_import import define_operators

PINS = "torch==2.13.0 torchvision==0.28.0 ultralytics==8.4.190 yolov5==7.0.14 setuptools<81 numpy==2.4.6 ml_dtypes zstandard \
safetensors rich"

define_operators()

LAYERS_8 = """
nc: 2
reg_max: 4
scales: {n: [1.0, 1.0, 64]}
backbone:
- [-1, 1, Conv, [8, 3, 2]]
- [-1, 1, Conv, [8, 3, 2]]
- [-1, 1, C2f, [8, True]]
- [-1, 1, Conv, [16, 3, 2]]
- [-1, 1, SPPF, [16, 5]]
head:
- [[2, 4], 1, Detect, [nc]]
"""

LAYERS_5 = """
nc: 2
depth_multiple: 1.0
width_multiple: 1.0
anchors:
- [10, 13, 16, 30]
- [30, 61, 62, 45]
backbone:
- [-1, 1, Conv, [8, 6, 2, 2]]
- [-1, 1, Conv, [8, 3, 2]]
- [-1, 1, C3, [8]]
- [-1, 1, Conv, [16, 3, 2]]
- [-1, 1, SPPF, [16, 5]]
head:
- [[2, 4], 1, Detect, [nc, anchors]]
"""


def images() -> torch.Tensor:
    return torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def _data(folder: Path) -> Path:
    """Four images of noise with a box each."""
    import cv2

    for kind in ("images", "labels"):
        (folder / "data" / kind).mkdir(parents=True)
    noise = np.random.default_rng(0)
    for number in range(4):
        cv2.imwrite(str(folder / "data" / "images" / f"{number}.png"), noise.integers(0, 255, (32, 32, 3), dtype=np.uint8))
        (folder / "data" / "labels" / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.5 0.5\n")
    description = folder / "data.yaml"
    description.write_text(f"path: {folder / 'data'}\ntrain: images\nval: images\nnames: [cat, dog]\n")
    return description


def write_ultralytics(folder: Path) -> Path:
    from ultralytics.models.yolo.detect import DetectionTrainer

    (folder / "yolov8n.yaml").write_text(LAYERS_8)
    arguments = {"epochs": 2, "imgsz": 32, "batch": 2, "workers": 0, "plots": False, "val": False, "amp": False}
    places = {"model": "yolov8n.yaml", "data": str(_data(folder)), "project": "runs", "device": "cpu"}
    trainer = DetectionTrainer(overrides=arguments | places)
    trainer.add_callback("on_model_save", lambda trainer: shutil.copy(trainer.last, "middle.pt"))
    trainer.final_eval = lambda: None
    trainer.train()
    return folder / "middle.pt"


def outputs_ultralytics(path: Path) -> Any:
    from ultralytics.nn.tasks import load_checkpoint

    net, _ = load_checkpoint(path)
    with torch.no_grad():
        return net.float().eval()(images())[0]


def write_yolov5(folder: Path) -> Path:
    """The dict that `train.py` writes (it imports what newer libraries lack), after steps of its own optimizer and average."""
    from copy import deepcopy

    from yolov5.models.yolo import DetectionModel
    from yolov5.utils.torch_utils import ModelEMA, smart_optimizer

    (folder / "yolov5.yaml").write_text(LAYERS_5)
    torch.manual_seed(0)
    net = DetectionModel(str(folder / "yolov5.yaml"))
    average, optimizer = ModelEMA(net), smart_optimizer(net, "SGD", 0.01, 0.9, 5e-4)
    for _ in range(2):
        sum(level.square().mean() for level in net(images().repeat(2, 1, 1, 1))).backward()
        optimizer.step()
        average.update(net)
    states = {
        "epoch": 2,
        "best_fitness": np.array([0.25]),
        "model": deepcopy(net).half(),
        "ema": deepcopy(average.ema).half(),
        "updates": average.updates,
        "optimizer": optimizer.state_dict(),
        "opt": {"weights": "", "epochs": 3},
        "date": "2024-01-01T00:00:00",
        "yolov5pip_version": "7.0.14",
    }
    torch.save(states, folder / "last.pt")
    return folder / "last.pt"


def outputs_yolov5(path: Path) -> Any:
    from yolov5.models.experimental import attempt_load

    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # its loader is older than this default of torch
    with torch.no_grad():
        return attempt_load(str(path), device="cpu", fuse=False)(images())[0]


CASES = (
    Case("ultralytics", "ultralytics", write_ultralytics, outputs_ultralytics),
    Case("yolov5", "yolov5", write_yolov5, outputs_yolov5),
)
