"""Checkpoints of BasicSR, which has to be built beside torch: `pip install --no-deps --no-build-isolation basicsr==1.4.2`."""

import sys
from pathlib import Path
from typing import Any

import torch

from tests.frameworks.case import Case
from tests.frameworks.torchvision_import import define_operators

PINS = (
    "torch==2.13.0 torchvision==0.28.0 addict future lmdb opencv-python-headless pyyaml requests scikit-image scipy tqdm yapf \
wheel cython setuptools<81 numpy==2.4.6 ml_dtypes zstandard safetensors rich"
)


def _basicsr(folder: Path) -> Any:
    define_operators()
    import torchvision.transforms.functional as functional

    sys.modules["torchvision.transforms.functional_tensor"] = functional  # the name that it had
    from basicsr.models.sr_model import SRModel

    torch.manual_seed(0)
    return SRModel(
        {
            "num_gpu": 0,
            "dist": False,
            "is_train": True,
            "network_g": {"type": "RRDBNet", "num_in_ch": 3, "num_out_ch": 3, "num_feat": 8, "num_block": 1, "num_grow_ch": 4},
            "path": {"models": str(folder), "training_states": str(folder)},
            "train": {
                "ema_decay": 0.5,
                "pixel_opt": {"type": "L1Loss"},
                "optim_g": {"type": "Adam", "lr": 0.01},
                "scheduler": {"type": "MultiStepLR", "milestones": [5]},
            },
        }
    )


def write_basicsr(folder: Path) -> Path:
    """Live and averaged weights in one file."""
    net = _basicsr(folder)
    net.feed_data({"lq": images(), "gt": images().repeat(1, 1, 4, 4)})
    net.optimize_parameters(1)
    net.save(1, 1)
    return folder / "net_g_1.pth"


def images() -> torch.Tensor:
    return torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def outputs_basicsr(path: Path) -> list[torch.Tensor]:
    net, found = _basicsr(path.parent), []
    for key in ("params", "params_ema"):
        net.load_network(net.net_g, str(path), strict=True, param_key=key)
        with torch.no_grad():
            found.append(net.net_g.eval()(images()))
    return found


CASES = (Case("basicsr", "basicsr", write_basicsr, outputs_basicsr),)
