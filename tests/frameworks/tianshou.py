"""Checkpoints of Tianshou, whose algorithms are modules."""

from pathlib import Path
from typing import Any

import torch

from tests.frameworks.case import Case

PINS = "torch==2.13.0 tianshou==2.0.1 numpy==2.4.6 ml_dtypes zstandard safetensors rich"


def _algorithm() -> Any:
    import gymnasium
    from tianshou.algorithm import DQN
    from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
    from tianshou.algorithm.optim import AdamOptimizerFactory
    from tianshou.utils.net.common import Net

    torch.manual_seed(0)
    net = Net(state_shape=(4,), action_shape=(2,), hidden_sizes=[16])
    policy = DiscreteQLearningPolicy(model=net, action_space=gymnasium.spaces.Discrete(2))
    return DQN(policy=policy, optim=AdamOptimizerFactory(lr=0.01), target_update_freq=2)


def write_tianshou(folder: Path) -> Path:
    """The state of an algorithm, which has those of its optimizers, and asks for them when it is loaded."""
    algorithm = _algorithm()
    for _ in range(2):
        algorithm.optim.step(_values(algorithm).square().sum())
    torch.save({"model": algorithm.state_dict(), "epoch": 1}, folder / "policy.pth")
    return folder / "policy.pth"


def _values(algorithm: Any) -> Any:
    return algorithm.policy.model(torch.rand(8, 4, generator=torch.Generator().manual_seed(1)))[0]


def outputs_tianshou(path: Path) -> Any:
    algorithm = _algorithm()
    algorithm.load_state_dict(torch.load(path, weights_only=False)["model"])
    with torch.no_grad():
        return _values(algorithm)


CASES = (Case("tianshou", "tianshou", write_tianshou, outputs_tianshou),)
