"""PPO agents: an equivariant policy for Stable-Baselines3, training, and trained agents.

Importing this package imports neither torch nor Stable-Baselines3; its names are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from multispin_gym._lazy import lazy_names

if TYPE_CHECKING:
    from multispin_gym.agents.agent import Agent, load_agent
    from multispin_gym.agents.config import TrainConfig
    from multispin_gym.agents.config_sections import CloningConfig, PolicyConfig, PPOConfig
    from multispin_gym.agents.policy.sb3_policy import EquivariantPolicy
    from multispin_gym.agents.pretrained_agents import list_pretrained, pretrained_card
    from multispin_gym.agents.run_directory import RunDirectoryError
    from multispin_gym.agents.training.env import make_training_env
    from multispin_gym.agents.training.mixed_users import MixedUsersPPO
    from multispin_gym.agents.training.trainer import train
    from multispin_gym.agents.training.vec_adapter import SB3VecEnv

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

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Agent": "agent",
        "CloningConfig": "config_sections",
        "EquivariantPolicy": "policy.sb3_policy",
        "MixedUsersPPO": "training.mixed_users",
        "PPOConfig": "config_sections",
        "PolicyConfig": "config_sections",
        "RunDirectoryError": "run_directory",
        "SB3VecEnv": "training.vec_adapter",
        "TrainConfig": "config",
        "list_pretrained": "pretrained_agents",
        "load_agent": "agent",
        "make_training_env": "training.env",
        "pretrained_card": "pretrained_agents",
        "train": "training.trainer",
    },
)
