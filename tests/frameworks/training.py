"""Checkpoints of loops and frameworks that train any network."""

import argparse
import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.frameworks.case import Case
from tests.frameworks.networks import SIZE, computed, network, numbers, trained
from tests.frameworks.torchvision_import import define_operators

define_operators()

PINS = "torch==2.13.0 torchvision==0.28.0 lightning==2.6.6 timm==1.0.31 mmengine==0.10.7 fastai==2.8.12 skorch==1.4.0 \
pytorch-ignite==0.5.5 pytorch-metric-learning==2.9.0 torch_geometric==2.8.1 stable-baselines3==2.9.2 torchrl==0.14.1 \
tensordict==0.14.3 deepspeed==0.19.8 numpy==2.4.6 ml_dtypes zstandard safetensors rich"


def _load(path: Path) -> Any:
    return torch.load(path, weights_only=False)


# torch


def write_torch(folder: Path) -> Path:
    """As the tutorials of torch do, with an average, a scheduler and a scaler."""
    net, optimizer = trained()
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
    average.update_parameters(net)
    states = {
        "epoch": 3,
        "model_state_dict": net.state_dict(),
        "ema_state_dict": average.state_dict(),
        "optimizer_state_dict": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10).state_dict(),
        "scaler": torch.amp.GradScaler("cpu").state_dict(),
        "rng": {"torch": torch.get_rng_state(), "cuda": []},
        "loss": 0.25,
    }
    torch.save(states, folder / "torch.pt")
    return folder / "torch.pt"


def outputs_torch(path: Path) -> list[torch.Tensor]:
    states, net = torch.load(path, weights_only=True), network()
    net.load_state_dict(states["model_state_dict"])
    average = torch.optim.swa_utils.AveragedModel(network())
    average.load_state_dict(states["ema_state_dict"])
    return [computed(net), computed(average)]


def write_module(folder: Path) -> Path:
    """A whole module beside its optimizer object, which refers to the parameters."""
    net, optimizer = trained()
    torch.save({"model": net, "optimizer": optimizer, "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 5)}, "last.pth")
    return folder / "last.pth"


def outputs_module(path: Path) -> torch.Tensor:
    return computed(_load(path)["model"])


# Lightning


def _lightning(*callbacks: Any) -> Any:
    import lightning.pytorch as pl

    class Lit(pl.LightningModule):
        def __init__(self, rate: float = 0.01) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.net = network()

        def training_step(self, batch: Any, _: int) -> Any:
            loss = nn.functional.mse_loss(self.net(batch[0]), batch[0])
            self.log("loss", loss)
            return loss

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), lr=self.hparams.rate)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1)]

    return Lit, pl.Trainer(
        max_epochs=3,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        callbacks=list(callbacks),
    )


def _write_lightning(folder: Path, *callbacks: Any) -> Path:
    kind, trainer = _lightning(*callbacks)
    torch.manual_seed(0)
    trainer.fit(kind(), torch.utils.data.DataLoader(torch.utils.data.TensorDataset(numbers()), batch_size=8))
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


def write_lightning(folder: Path) -> Path:
    from lightning.pytorch.callbacks import EarlyStopping

    return _write_lightning(folder, EarlyStopping("loss"))


def write_lightning_swa(folder: Path) -> Path:
    from lightning.pytorch.callbacks import StochasticWeightAveraging

    return _write_lightning(folder, StochasticWeightAveraging(0.01, swa_epoch_start=1))


def write_lightning_ema(folder: Path) -> Path:
    from lightning.pytorch.callbacks import EMAWeightAveraging

    return _write_lightning(folder, EMAWeightAveraging(decay=0.9))


def outputs_lightning(path: Path) -> torch.Tensor:
    kind, _ = _lightning()
    return computed(kind.load_from_checkpoint(path, weights_only=False).net)


def write_fabric(folder: Path) -> Path:
    from lightning.fabric import Fabric

    fabric = Fabric(accelerator="cpu", devices=1)
    net, optimizer = fabric.setup(*trained())
    fabric.backward(net(numbers()).square().sum())
    optimizer.step()
    fabric.save(folder / "last.ckpt", {"model": net, "optimizer": optimizer, "iteration": 4, "hparams": {"rate": 0.01}})
    return folder / "last.ckpt"


def outputs_fabric(path: Path) -> torch.Tensor:
    from lightning.fabric import Fabric

    fabric, net = Fabric(accelerator="cpu", devices=1), network()
    fabric.load(path, {"model": net}, strict=False)
    return computed(net)


# timm


def write_timm(folder: Path) -> Path:
    import timm
    from timm.optim import create_optimizer_v2
    from timm.utils import CheckpointSaver, ModelEmaV3, NativeScaler

    torch.manual_seed(0)
    net = timm.create_model("resnet10t", **TIMM)
    optimizer = create_optimizer_v2(net, "adamw", lr=0.01)
    average = ModelEmaV3(net, decay=0.5)
    for _ in range(2):
        net(torch.rand(2, 3, 32, 32)).square().sum().backward()
        optimizer.step()
        average.update(net)
    arguments = argparse.Namespace(model="resnet10t", lr=0.01)
    saver = CheckpointSaver(
        net, optimizer, args=arguments, model_ema=average, amp_scaler=NativeScaler("cpu"), checkpoint_dir=str(folder)
    )
    saver.save_checkpoint(1, metric=0.5)
    return folder / "last.pth.tar"


TIMM = {"num_classes": 4, "channels": (4, 4, 8, 8), "stem_width": 4}


def outputs_timm(path: Path) -> list[torch.Tensor]:
    import timm

    images, found = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)), []
    net = timm.create_model("resnet10t", **TIMM)
    timm.models.load_checkpoint(net, str(path), use_ema=True, weights_only=False)
    with torch.no_grad():
        found.append(net.eval()(images))
    return found


# MMEngine


def _mmengine(folder: Path) -> Any:
    from mmengine.model import BaseModel
    from mmengine.runner import Runner

    class Net(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            self.net = network()

        def forward(self, inputs: Any, mode: str = "tensor", **_: Any) -> Any:
            numbers = torch.stack(list(inputs)) if isinstance(inputs, list | tuple) else inputs
            return {"loss": nn.functional.mse_loss(self.net(numbers), numbers)} if mode == "loss" else self.net(numbers)

    torch.manual_seed(0)
    return Runner(
        Net(),
        work_dir=str(folder / "work"),
        train_dataloader={
            "dataset": [{"inputs": row} for row in numbers()],
            "batch_size": 8,
            "sampler": {"type": "DefaultSampler", "shuffle": False},
            "num_workers": 0,
        },
        train_cfg={"by_epoch": True, "max_epochs": 2},
        optim_wrapper={"optimizer": {"type": "AdamW", "lr": 0.01}},
        param_scheduler={"type": "MultiStepLR", "milestones": [1]},
        custom_hooks=[{"type": "EMAHook", "momentum": 0.5}],
        default_hooks={"checkpoint": {"type": "CheckpointHook", "interval": 1}},
        experiment_name="fixture",
        log_level="ERROR",
    )


def write_mmengine(folder: Path) -> Path:
    _mmengine(folder).train()
    return folder / "work" / "epoch_2.pth"


def outputs_mmengine(path: Path) -> torch.Tensor:
    from mmengine.runner import load_checkpoint

    os.environ["TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"] = "1"  # the log in what it wrote needs a class of its own
    runner = _mmengine(path.parent.parent)
    load_checkpoint(runner.model, str(path), strict=True)
    return computed(runner.model.net)


# skorch


def _skorch() -> Any:
    from skorch import NeuralNetRegressor

    return NeuralNetRegressor(network, max_epochs=2, optimizer=torch.optim.AdamW, train_split=None, verbose=0)


def write_skorch(folder: Path) -> Path:
    net = _skorch()
    net.fit(numbers().numpy(), numbers().numpy())
    net.save_params(f_params=folder / "params.pt", f_optimizer=folder / "optimizer.pt")
    return folder / "params.pt"


def outputs_skorch(path: Path) -> torch.Tensor:
    net = _skorch().initialize()
    net.load_params(f_params=path)
    return torch.from_numpy(net.predict(numbers().numpy()))


# fastai


class Pairs(torch.utils.data.TensorDataset):
    """A dataset that a learner can be exported without."""

    def new_empty(self) -> "Pairs":
        return Pairs(*(tensor[:0] for tensor in self.tensors))


def _fastai(folder: Path) -> Any:
    from fastai.callback.core import TrainEvalCallback
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner
    from fastai.losses import MSELossFlat

    pairs = Pairs(numbers(), numbers())
    loaders = DataLoaders.from_dsets(pairs, pairs, bs=8, device="cpu")
    return Learner(loaders, network(), loss_func=MSELossFlat(), path=folder, default_cbs=False, cbs=[TrainEvalCallback])


def write_fastai(folder: Path) -> Path:
    learner = _fastai(folder)
    learner.fit(1)
    return Path(learner.save("last"))


def outputs_fastai(path: Path) -> torch.Tensor:
    learner = _fastai(path.parent.parent)
    learner.load("last", weights_only=False)
    return computed(learner.model)


def write_fastai_export(folder: Path) -> Path:
    """A pickled learner."""
    learner = _fastai(folder)
    learner.fit(1)
    learner.export("export.pkl")
    return folder / "export.pkl"


def outputs_fastai_export(path: Path) -> torch.Tensor:
    from fastai.learner import load_learner

    return computed(load_learner(path).model)


# Ignite


def write_ignite(folder: Path) -> Path:
    from ignite.engine import Engine, Events
    from ignite.handlers import Checkpoint, DiskSaver, EMAHandler

    net, optimizer = trained()
    trainer = Engine(lambda _, __: nn.functional.mse_loss(net(numbers()), numbers()).backward())
    average = EMAHandler(net, momentum=0.1)
    average.attach(trainer)
    states = {"model": net, "ema_model": average.ema_model, "optimizer": optimizer, "trainer": trainer}
    states["lr_scheduler"] = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, Checkpoint(states, DiskSaver(str(folder), require_empty=False)))
    trainer.run([0, 1], max_epochs=1)
    return next(folder.glob("*.pt"))


def outputs_ignite(path: Path) -> list[torch.Tensor]:
    from ignite.handlers import Checkpoint

    states = {"model": network(), "ema_model": network()}
    Checkpoint.load_objects(states, _load(path))
    return [computed(net) for net in states.values()]


# pytorch-metric-learning


def write_metric_learning(folder: Path) -> Path:
    """A loss that has weights of its own, as ArcFace, beside the network that it trains."""
    from pytorch_metric_learning import losses

    net, _ = trained()
    loss = losses.ArcFaceLoss(num_classes=4, embedding_size=SIZE)
    optimizer = torch.optim.Adam([*net.parameters(), *loss.parameters()])
    loss(net(numbers()), torch.arange(16) % 4).backward()
    optimizer.step()
    states = {"trunk": net.state_dict(), "loss": loss.state_dict(), "trunk_optimizer": optimizer.state_dict()}
    torch.save(states, folder / "last.pth")
    return folder / "last.pth"


def outputs_metric_learning(path: Path) -> list[torch.Tensor]:
    from pytorch_metric_learning import losses

    states, net = torch.load(path, weights_only=True), network()
    net.load_state_dict(states["trunk"])
    loss = losses.ArcFaceLoss(num_classes=4, embedding_size=SIZE)
    loss.load_state_dict(states["loss"])
    return [computed(net), loss.get_logits(computed(net))]


# PyTorch Geometric


def write_geometric(folder: Path) -> Path:
    from torch_geometric.data import Data
    from torch_geometric.nn import GAT

    torch.manual_seed(0)
    net = GAT(SIZE, 16, num_layers=2, out_channels=4, heads=2)
    optimizer = torch.optim.Adam(net.parameters())
    net(*_graph()).sum().backward()
    optimizer.step()
    data = Data(x=numbers(), edge_index=_graph()[1])
    torch.save({"model": net, "optimizer": optimizer.state_dict(), "data": data}, folder / "gat.pt")
    return folder / "gat.pt"


def _graph() -> tuple[torch.Tensor, torch.Tensor]:
    return numbers(), torch.stack([torch.arange(16), (torch.arange(16) + 1) % 16])


def outputs_geometric(path: Path) -> torch.Tensor:
    found = _load(path)
    assert found["data"].x.dtype == torch.float32
    with torch.no_grad():
        outputs: torch.Tensor = found["model"].float().eval()(found["data"].x, found["data"].edge_index)
    return outputs


# Reinforcement learning


def write_stable_baselines3(folder: Path) -> Path:
    from stable_baselines3 import PPO
    from stable_baselines3.common import save_util

    save_util.get_system_info = lambda print_info: ({}, "")  # a description of the machine
    net = PPO("MlpPolicy", "CartPole-v1", n_steps=32, batch_size=16, policy_kwargs={"net_arch": [16]}, seed=0, device="cpu")
    net.learn(64)
    net.save(folder / "ppo.zip")
    return folder / "ppo.zip"


def outputs_stable_baselines3(path: Path) -> torch.Tensor:
    from stable_baselines3 import PPO

    net = PPO.load(path, device="cpu")
    states = torch.rand(8, 4, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        outputs: torch.Tensor = net.policy.get_distribution(states).distribution.logits
    return outputs


def write_torchrl(folder: Path) -> Path:
    """A loss with target networks, a replay buffer, and optimizers, as in the examples of torchrl."""
    from torchrl.data import LazyTensorStorage, ReplayBuffer

    loss = _torchrl()
    optimizer = torch.optim.Adam(loss.parameters())
    buffer = ReplayBuffer(storage=LazyTensorStorage(16))
    buffer.extend(numbers())
    torch.save({"loss": loss.state_dict(), "optim": optimizer.state_dict(), "buffer": buffer.state_dict()}, folder / "dqn.pt")
    return folder / "dqn.pt"


def _torchrl() -> Any:
    from torchrl.modules import QValueActor
    from torchrl.objectives import DQNLoss

    actor = QValueActor(network(), in_keys=["observation"], action_space="one-hot")
    return DQNLoss(actor, action_space="one-hot", delay_value=True)


def outputs_torchrl(path: Path) -> torch.Tensor:
    from tensordict import TensorDict

    loss = _torchrl()
    loss.load_state_dict(_load(path)["loss"])
    with loss.value_network_params.to_module(loss.value_network), torch.no_grad():
        outputs: torch.Tensor = loss.value_network.eval()(TensorDict({"observation": numbers()}, [16]))["action_value"]
    return outputs


# DeepSpeed


def _deepspeed() -> Any:
    import deepspeed

    config = {"train_batch_size": 16, "optimizer": {"type": "AdamW", "params": {"lr": 0.01, "torch_adam": True}}}
    return deepspeed.initialize(model=network(), config=config, dist_init_required=True)[0]


def write_deepspeed(folder: Path) -> Path:
    """Stage 0: one file has it all."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29531", "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    engine = _deepspeed()
    engine.backward(nn.functional.mse_loss(engine(numbers()), numbers()))
    engine.step()
    engine.save_checkpoint(str(folder), tag="last")
    return folder / "last" / "mp_rank_00_model_states.pt"


def outputs_deepspeed(path: Path) -> torch.Tensor:
    engine = _deepspeed()
    loaded, _ = engine.load_checkpoint(str(path.parent.parent), tag="last", load_module_only=True)
    assert loaded is not None
    return computed(engine.module)


CASES = (
    Case("torch", "torch", write_torch, outputs_torch),
    Case("torch-module", "torch", write_module, outputs_module),
    Case("lightning", "lightning", write_lightning, outputs_lightning),
    Case("lightning-swa", "lightning", write_lightning_swa, outputs_lightning),
    Case("lightning-ema", "lightning", write_lightning_ema, outputs_lightning),
    Case("fabric", "lightning", write_fabric, outputs_fabric),
    Case("timm", "timm", write_timm, outputs_timm),
    Case("mmengine", "mmengine", write_mmengine, outputs_mmengine),
    Case("skorch", "skorch", write_skorch, outputs_skorch),
    Case("fastai", "fastai", write_fastai, outputs_fastai),
    Case("fastai-export", "fastai", write_fastai_export, outputs_fastai_export),
    Case("ignite", "pytorch-ignite", write_ignite, outputs_ignite),
    Case("metric-learning", "pytorch-metric-learning", write_metric_learning, outputs_metric_learning),
    Case("geometric", "torch_geometric", write_geometric, outputs_geometric),
    Case("stable-baselines3", "stable_baselines3", write_stable_baselines3, outputs_stable_baselines3),
    Case("torchrl", "torchrl", write_torchrl, outputs_torchrl),
    Case("deepspeed", "deepspeed", write_deepspeed, outputs_deepspeed),
)
