"""Checkpoints of frameworks for medical images."""

import os
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch

from tests.frameworks.case import Case
from tests.frameworks.networks import computed, network, numbers, trained
from tests.frameworks.torchvision_import import define_operators

PINS = "torch==2.13.0 torchvision==0.28.0 nnunetv2==2.8.1 monai==1.6.1 pytorch-ignite==0.5.5 numpy==2.4.6 ml_dtypes zstandard \
safetensors rich"

define_operators()

PLANS = {
    "dataset_name": "Dataset001",
    "plans_name": "plans",
    "continue_training": False,
    "image_reader_writer": "SimpleITKIO",
    "configurations": {
        "2d": {
            "data_identifier": "2d",
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": [16, 16],
            "spacing": [1.0, 1.0],
            "batch_dice": False,
            "normalization_schemes": ["ZScoreNormalization"],
            "use_mask_for_norm": [False],
            "architecture": {
                "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                "arch_kwargs": {
                    "n_stages": 2,
                    "features_per_stage": [4, 8],
                    "conv_op": "torch.nn.modules.conv.Conv2d",
                    "kernel_sizes": [[3, 3], [3, 3]],
                    "strides": [[1, 1], [2, 2]],
                    "n_conv_per_stage": [1, 1],
                    "n_conv_per_stage_decoder": [1],
                    "conv_bias": True,
                    "norm_op": "torch.nn.modules.instancenorm.InstanceNorm2d",
                    "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "nonlin"],
            },
        }
    },
}
DATASET = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "organ": 1}, "numTraining": 1, "file_ending": ".nii.gz"}


def _nnunet(folder: Path) -> Any:
    os.environ |= {"nnUNet_results": str(folder), "nnUNet_preprocessed": str(folder)}  # read on import
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    data = folder / "Dataset001" / "2d"
    data.mkdir(parents=True, exist_ok=True)
    (data / "case.npz").touch()
    torch.manual_seed(0)
    trainer = nnUNetTrainer(deepcopy(PLANS), "2d", 0, DATASET, device=torch.device("cpu"))
    trainer.initialize()
    return trainer


def write_nnunet(folder: Path) -> Path:
    trainer = _nnunet(folder)
    sum(level.square().mean() for level in trainer.network(images())).backward()
    trainer.optimizer.step()
    trainer.save_checkpoint(str(folder / "checkpoint_final.pth"))
    return folder / "checkpoint_final.pth"


def images() -> torch.Tensor:
    return torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(1))


def outputs_nnunet(path: Path) -> torch.Tensor:
    trainer = _nnunet(path.parent)
    trainer.load_checkpoint(str(path))
    with torch.no_grad():
        found: torch.Tensor = trainer.network.eval()(images())[0]
    return found


def write_monai(folder: Path) -> Path:
    """What its handler saves, with the optimizer and the trainer."""
    from ignite.engine import Engine
    from monai.handlers import CheckpointSaver

    net, optimizer = trained()
    trainer = Engine(lambda *_: net(numbers()).sum())
    states = {"net": net, "opt": optimizer, "trainer": trainer}
    CheckpointSaver(str(folder), states, save_final=True, final_filename="final.pt").attach(trainer)
    trainer.run([0], max_epochs=1)
    return folder / "final.pt"


def outputs_monai(path: Path) -> torch.Tensor:
    from ignite.engine import Engine
    from monai.handlers import CheckpointLoader

    net, trainer = network(), Engine(lambda *_: None)
    CheckpointLoader(str(path), {"net": net}, map_location="cpu").attach(trainer)
    trainer.run([0], max_epochs=1)
    return computed(net)


CASES = (Case("nnunet", "nnunetv2", write_nnunet, outputs_nnunet), Case("monai", "monai", write_monai, outputs_monai))
