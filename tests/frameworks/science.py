"""Checkpoints of frameworks for statistics, graphs and time series."""

from pathlib import Path
from typing import Any

import torch

from tests.frameworks.case import Case
from tests.frameworks.networks import numbers
from tests.frameworks.torchvision_import import define_operators

PINS = "torch==2.13.0 torchvision==0.28.0 pyro-ppl==1.9.2 gpytorch==1.15.2 pykeen==1.11.1 \
pytorch-forecasting==1.8.0 numpy==2.4.6 ml_dtypes zstandard safetensors rich"

define_operators()


# Pyro


def write_pyro(folder: Path) -> Path:
    """The store of all parameters, with their constraints, and beside it the states of the optimizers."""
    import pyro

    pyro.clear_param_store()
    torch.manual_seed(0)
    pyro.param("loc", torch.randn(24))
    pyro.param("scale", torch.rand(24) + 0.5, constraint=pyro.distributions.constraints.positive)
    optimizer = pyro.optim.Adam({"lr": 0.01})
    parameters = [pyro.param(name).unconstrained() for name in ("loc", "scale")]
    sum(parameter.square().sum() for parameter in parameters).backward()
    optimizer(parameters)
    torch.save({"params": pyro.get_param_store().get_state(), "optim": optimizer.get_state()}, folder / "store.pt")
    return folder / "store.pt"


def outputs_pyro(path: Path) -> list[Any]:
    import pyro

    pyro.clear_param_store()
    pyro.get_param_store().set_state(torch.load(path, weights_only=False)["params"])
    return [pyro.param("loc"), pyro.param("scale")]


# GPyTorch


def _process() -> Any:
    import gpytorch

    class Process(gpytorch.models.ExactGP):
        def __init__(self) -> None:
            super().__init__(numbers(), numbers()[:, 0], gpytorch.likelihoods.GaussianLikelihood())
            self.mean_module = gpytorch.means.ConstantMean()
            kernel = gpytorch.kernels.RBFKernel(ard_num_dims=24, lengthscale_prior=gpytorch.priors.GammaPrior(3.0, 6.0))
            self.covar_module = gpytorch.kernels.ScaleKernel(kernel)

        def forward(self, points: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(points), self.covar_module(points))

    return Process()


def write_gpytorch(folder: Path) -> Path:
    import gpytorch

    process = _process().train()
    optimizer = torch.optim.Adam(process.parameters(), lr=0.1)
    likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(process.likelihood, process)
    for _ in range(3):
        (-likelihood(process(numbers()), numbers()[:, 0])).backward()
        optimizer.step()
    torch.save({"model": process.state_dict(), "optimizer": optimizer.state_dict()}, folder / "gp.pth")
    return folder / "gp.pth"


def outputs_gpytorch(path: Path) -> Any:
    process = _process()
    process.load_state_dict(torch.load(path, weights_only=True)["model"])
    return process.eval()(numbers(32)[16:]).mean


# PyKEEN


def write_pykeen(folder: Path) -> Path:
    """The checkpoint of its training loop, with random states of four generators."""
    from pykeen.datasets import Nations
    from pykeen.models import TransE
    from pykeen.training import SLCWATrainingLoop

    triples = Nations().training
    model = TransE(triples_factory=triples, embedding_dim=8, random_seed=0)
    loop = SLCWATrainingLoop(model=model, triples_factory=triples, optimizer=torch.optim.Adam(model.parameters()))
    loop.train(
        triples_factory=triples,
        num_epochs=1,
        use_tqdm=False,
        checkpoint_directory=folder,
        checkpoint_name="last.pt",
        checkpoint_frequency=0,
    )
    return folder / "last.pt"


def outputs_pykeen(path: Path) -> Any:
    from pykeen.datasets import Nations
    from pykeen.models import TransE

    model = TransE(triples_factory=Nations().training, embedding_dim=8, random_seed=1)
    model.load_state_dict(torch.load(path, weights_only=False)["model_state_dict"])
    with torch.no_grad():
        return model.score_hrt(torch.tensor([[0, 0, 1], [2, 3, 4]]))


# PyTorch Forecasting


def write_forecasting(folder: Path) -> Path:
    """A Lightning checkpoint whose hyperparameters hold encoders, a loss and the description of the data set."""
    import lightning.pytorch as pl

    data = _series()
    model = _forecaster(data)
    trainer = pl.Trainer(max_steps=2, accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False)
    trainer.fit(model, data.to_dataloader(batch_size=8, num_workers=0))
    trainer.save_checkpoint(folder / "last.ckpt")
    return folder / "last.ckpt"


def _series() -> Any:
    import pandas as pd
    from pytorch_forecasting import TimeSeriesDataSet

    values = numbers(2)[:, :20].flatten().numpy()
    table = pd.DataFrame({"time": list(range(20)) * 2, "value": values, "group": ["a"] * 20 + ["b"] * 20})
    return TimeSeriesDataSet(
        table,
        time_idx="time",
        target="value",
        group_ids=["group"],
        max_encoder_length=6,
        max_prediction_length=2,
        time_varying_unknown_reals=["value"],
    )


def _forecaster(data: Any) -> Any:
    from pytorch_forecasting import NBeats

    torch.manual_seed(0)
    return NBeats.from_dataset(data, widths=[8, 8], num_blocks=[1, 1], expansion_coefficient_lengths=[2, 2])


def outputs_forecasting(path: Path) -> Any:
    from pytorch_forecasting import NBeats

    model = NBeats.load_from_checkpoint(path, weights_only=False).float().eval()
    batch, _ = next(iter(_series().to_dataloader(train=False, batch_size=8, num_workers=0)))
    with torch.no_grad():
        return model(batch)["prediction"]


CASES = (
    Case("pyro", "pyro-ppl", write_pyro, outputs_pyro),
    Case("gpytorch", "gpytorch", write_gpytorch, outputs_gpytorch),
    Case("pykeen", "pykeen", write_pykeen, outputs_pykeen),
    Case("forecasting", "pytorch-forecasting", write_forecasting, outputs_forecasting),
)
