"""Checkpoints of Catalyst."""

from pathlib import Path

import torch

from tests.frameworks.case import Case
from tests.frameworks.networks import computed, network, trained

PINS = "torch==2.13.0 catalyst==22.4 setuptools<81 numpy==2.4.6 ml_dtypes zstandard safetensors rich"


def write_catalyst(folder: Path) -> Path:
    """What its callback saves of a whole runner."""
    from catalyst.utils.torch import pack_checkpoint, save_checkpoint

    net, optimizer = trained()
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2])
    packed = pack_checkpoint(model=net, optimizer=optimizer, scheduler=scheduler, epoch_step=3, epoch_metrics={"loss": 0.5})
    save_checkpoint(packed, str(folder / "last.pth"))
    return folder / "last.pth"


def outputs_catalyst(path: Path) -> torch.Tensor:
    from catalyst.utils.torch import load_checkpoint, unpack_checkpoint

    net = network()
    unpack_checkpoint(load_checkpoint(str(path)), model=net)
    return computed(net)


CASES = (Case("catalyst", "catalyst", write_catalyst, outputs_catalyst),)
