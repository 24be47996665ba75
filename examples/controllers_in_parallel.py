"""Play controllers in a thousand cells at once, with ``gymnasium.make_vec``.

python examples/controllers_in_parallel.py
"""

import gymnasium as gym
import numpy as np

import multispin_gym  # noqa: F401 (registers the environments)
from multispin_gym.baselines import make_controller


def mean_goodput(controller_name: str, num_envs: int = 1000, rounds: int = 20, seed: int = 0) -> float:
    """Mean goodput of a controller in token/s; the same cells for every controller."""
    envs = gym.make_vec(
        "multispin_gym/MultiSpin-v0",
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        num_users=8,
        autoreset_mode="SameStep",
    )
    controller = make_controller(controller_name)
    observations, _ = envs.reset(seed=seed)
    total = 0.0
    for _ in range(rounds):
        # A controller decides from users and cell; the observation holds all that it needs.
        users = envs.unwrapped.users_from_observation(observations)
        decision = controller(users, envs.unwrapped.cell)
        observations, rewards, _, _, _ = envs.step(envs.unwrapped.encode_action(decision))
        total += float(np.mean(rewards))
    envs.close()
    return total / rounds


if __name__ == "__main__":
    for name in ("uniform_fixed", "uniform_best", "homogeneous", "heterogeneous"):
        print(f"{name:>14}  {mean_goodput(name):6.1f} token/s")
