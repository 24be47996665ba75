"""The native vector environment in TorchRL, through its ``GymWrapper``.

Needs TorchRL: ``pip install torchrl``.

    python examples/torchrl_rollout.py
"""

import gymnasium as gym
import torch
from torchrl.envs import GymWrapper

import multispin_gym  # noqa: F401 (registers the environments)


def make_env(num_envs: int = 64, num_users: int = 8) -> GymWrapper:
    """A TorchRL environment of ``num_envs`` cells. TorchRL resets the cells itself, so autoreset is off."""
    envs = gym.make_vec(
        "multispin_gym/MultiSpin-v0",
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        num_users=num_users,
        autoreset_mode="Disabled",
    )
    return GymWrapper(envs)


if __name__ == "__main__":
    env = make_env()
    env.set_seed(0)
    torch.manual_seed(0)
    rollout = env.rollout(20)
    print(rollout)
    print(f"random actions: {rollout['next', 'reward'].mean():.1f} token/s")
