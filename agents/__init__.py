"""PPO agents: an equivariant policy for Stable-Baselines3, training, and trained agents.

Importing this package imports neither torch nor Stable-Baselines3; its names are loaded when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from multispin_gym.agents.agent import Agent, load_agent
    from multispin_gym.agents.config import CloningConfig, PolicyConfig, PPOConfig, TrainConfig
    from multispin_gym.agents.mixed_users import MixedUsersPPO
    from multispin_gym.agents.policy import EquivariantPolicy
    from multispin_gym.agents.pretrained_agents import list_pretrained, pretrained_card
    from multispin_gym.agents.run_directory import RunDirectoryError
    from multispin_gym.agents.training import train
    from multispin_gym.agents.training_env import make_training_env
    from multispin_gym.agents.vec_adapter import SB3VecEnv

__all__ = [
    "Agent",
    "CloningConfig",
    "EquivariantPolicy",
    "MixedUsersPPO",
    "PPOConfig",
    "PolicyConfig",
    "RunDirectoryError",
    "SB3VecEnv",
    "TrainConfig",
    "list_pretrained",
    "load_agent",
    "make_training_env",
    "pretrained_card",
    "train",
]

_MODULES = {
    "Agent": "agent",
    "CloningConfig": "config",
    "EquivariantPolicy": "policy",
    "MixedUsersPPO": "mixed_users",
    "PPOConfig": "config",
    "PolicyConfig": "config",
    "RunDirectoryError": "run_directory",
    "SB3VecEnv": "vec_adapter",
    "TrainConfig": "config",
    "list_pretrained": "pretrained_agents",
    "load_agent": "agent",
    "make_training_env": "training_env",
    "pretrained_card": "pretrained_agents",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
