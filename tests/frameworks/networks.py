"""A small network, and what it is trained on, for frameworks that bring none."""

import torch
from torch import nn

SIZE = 24


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(SIZE, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, SIZE))


def numbers(count: int = 16) -> torch.Tensor:
    return torch.rand(count, SIZE, generator=torch.Generator().manual_seed(1))


def trained(steps: int = 3) -> tuple[nn.Module, torch.optim.Optimizer]:
    """A network after some steps, and its optimizer."""
    net = network()
    optimizer = torch.optim.AdamW(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(numbers()), numbers()).backward()
        optimizer.step()
    return net, optimizer


def computed(net: nn.Module) -> torch.Tensor:
    """What a network computes in float32, after loading."""
    with torch.no_grad():
        return net.float().eval()(numbers())
