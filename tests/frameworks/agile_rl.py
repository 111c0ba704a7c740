"""Checkpoints of AgileRL, in an environment of their own, since it pins what others pin too."""

from pathlib import Path
from typing import Any

import torch

from tests.frameworks.case import Case

PINS = "torch==2.13.0 agilerl==2.58.0 peft==0.21.2 numpy==2.4.6 ml_dtypes zstandard safetensors rich"


def _agent() -> Any:
    import numpy as np
    from agilerl.algorithms import DQN
    from gymnasium.spaces import Box, Discrete

    torch.manual_seed(0)
    layers = {"latent_dim": 8, "encoder_config": {"hidden_size": [16]}, "head_config": {"hidden_size": [16]}}
    return DQN(Box(-1, 1, (4,), dtype=np.float32), Discrete(2), net_config=layers, lr=0.01)


def write_agilerl(folder: Path) -> Path:
    """An agent of which two networks, its optimizer and its hyperparameters are in one dict, after a step."""
    agent = _agent()
    agent.actor(states()).square().sum().backward()
    agent.optimizer.step()
    agent.save_checkpoint(str(folder / "dqn.pt"))
    return folder / "dqn.pt"


def states() -> torch.Tensor:
    return torch.rand(8, 4, generator=torch.Generator().manual_seed(1))


def outputs_agilerl(path: Path) -> list[torch.Tensor]:
    from agilerl.algorithms import DQN

    fresh, agent = _agent(), DQN.load(str(path))
    fresh.load_weights(str(path))
    with torch.no_grad():
        return [net.eval()(states()) for net in (agent.actor, agent.actor_target, fresh.actor, fresh.actor_target)]


def write_agents(folder: Path) -> Path:
    """Several agents, each with networks and optimizers of its own."""
    import numpy as np
    from agilerl.algorithms import MADDPG
    from gymnasium.spaces import Box, Discrete

    torch.manual_seed(0)
    layers = {"latent_dim": 8, "encoder_config": {"hidden_size": [16]}, "head_config": {"hidden_size": [16]}}
    spaces = [Box(-1, 1, (4,), dtype=np.float32)] * 2
    agents = MADDPG(spaces, [Discrete(2)] * 2, agent_ids=["cat", "dog"], net_config=layers)
    agents.actors["cat"](states()).square().sum().backward()
    for optimizer in agents.actor_optimizers.optimizer.values():
        optimizer.step()
    agents.save_checkpoint(str(folder / "maddpg.pt"))
    return folder / "maddpg.pt"


def outputs_agents(path: Path) -> list[torch.Tensor]:
    from agilerl.algorithms import MADDPG

    torch.manual_seed(3)
    agents = MADDPG.load(str(path))
    with torch.no_grad():
        return [net.eval()(states()) for net in (*agents.actors.values(), *agents.actor_targets.values())]


CASES = (
    Case("agilerl", "agilerl", write_agilerl, outputs_agilerl),
    Case("agilerl-agents", "agilerl", write_agents, outputs_agents),
)
