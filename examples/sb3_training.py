"""Stable-Baselines3 as it comes: PPO and SAC, one process or several, fixed scaling or running statistics.

    python examples/sb3_training.py --recipe sac --total-timesteps 10000

Every recipe sets three things: ``gamma=0``, because no decision changes a later round; observations on a scale of one;
and one thread, which networks of this size use best.
"""

from collections.abc import Callable

import torch
import tyro
from stable_baselines3 import PPO, SAC
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import DummyVecEnv, SubprocVecEnv, VecEnv, VecNormalize

import multispin_gym  # noqa: F401 (registers the environments)
from multispin_gym.agents import make_training_env
from multispin_gym.evaluation import evaluate
from multispin_gym.wrappers import ScaledObservation

torch.set_num_threads(1)

ID = "multispin_gym/MultiSpin-v0"


def make_envs(scenario: str, num_users: int | None, seed: int, num_envs: int = 1, *, scaled: bool = True) -> VecEnv:
    """Make environments by their id, each scaled to [-1, 1]."""
    return make_vec_env(
        ID,
        n_envs=num_envs,
        seed=seed,
        env_kwargs={"scenario": scenario, "num_users": num_users},
        wrapper_class=ScaledObservation if scaled else None,
        vec_env_cls=DummyVecEnv,
    )


def sac(scenario: str, num_users: int | None, seed: int, gamma: float = 0.0) -> BaseAlgorithm:
    """SAC: few rounds, much computation in each."""
    return SAC("MultiInputPolicy", make_envs(scenario, num_users, seed), gamma=gamma, seed=seed, device="cpu")


def ppo_native(scenario: str, num_users: int | None, seed: int, gamma: float = 0.0) -> BaseAlgorithm:
    """PPO over the native vector environment: many cells at once, and steps that become small towards the end."""
    envs = make_training_env(scenario, num_users=num_users, num_envs=128, discount=gamma, scaled_observations=True)
    return PPO(
        "MultiInputPolicy",
        envs,
        gamma=gamma,
        n_steps=8,
        batch_size=256,
        learning_rate=lambda remaining: 3e-3 * remaining,
        policy_kwargs={"log_std_init": -1.0},
        seed=seed,
        device="cpu",
    )


def ppo(scenario: str, num_users: int | None, seed: int, gamma: float = 0.0) -> BaseAlgorithm:
    """PPO: many rounds, little computation in each; short rollouts, larger steps and a narrower first policy."""
    return PPO(
        "MultiInputPolicy",
        make_envs(scenario, num_users, seed, num_envs=8),
        gamma=gamma,
        n_steps=32,
        batch_size=64,
        learning_rate=1e-3,
        policy_kwargs={"log_std_init": -1.0},
        seed=seed,
        device="cpu",
    )


def ppo_defaults(scenario: str, num_users: int | None, seed: int, gamma: float = 0.0) -> BaseAlgorithm:
    """PPO with nothing changed but the discount."""
    return PPO("MultiInputPolicy", make_envs(scenario, num_users, seed), gamma=gamma, seed=seed, device="cpu")


def ppo_normalised(scenario: str, num_users: int | None, seed: int, gamma: float = 0.0) -> BaseAlgorithm:
    """PPO over processes of their own, with running statistics of observations and rewards instead of the scaling."""
    envs = make_vec_env(
        # The prefix makes the import in each process, where nothing has registered the id yet.
        f"multispin_gym:{ID}",
        n_envs=2,
        seed=seed,
        env_kwargs={"scenario": scenario, "num_users": num_users},
        vec_env_cls=SubprocVecEnv,
    )
    return PPO("MultiInputPolicy", VecNormalize(envs, gamma=gamma), gamma=gamma, seed=seed, device="cpu")


RECIPES: dict[str, Callable[..., BaseAlgorithm]] = {
    "sac": sac,
    "ppo_native": ppo_native,
    "ppo": ppo,
    "ppo_defaults": ppo_defaults,
    "ppo_normalised": ppo_normalised,
}


def train(
    scenario: str = "default",
    num_users: int | None = None,
    total_timesteps: int = 10_000,
    seed: int = 0,
    recipe: str = "sac",
    gamma: float = 0.0,
) -> BaseAlgorithm:
    """Train; the model is a policy as it is."""
    model = RECIPES[recipe](scenario, num_users, seed, gamma)
    return model.learn(total_timesteps)


def main(
    scenario: str = "default",
    num_users: int | None = None,
    total_timesteps: int = 10_000,
    seed: int = 0,
    recipe: str = "sac",
    gamma: float = 0.0,
) -> None:
    """Train, and compare with controllers on cells that training has not seen.

    Parameters
    ----------
    scenario
        Name of a preset, or path of a scenario file.
    num_users
        Users in the cell; by default the scenario's number.
    total_timesteps
        Rounds.
    seed
        Seed of users, channels, network and actions.
    recipe
        sac, ppo_native, ppo, ppo_defaults or ppo_normalised.
    gamma
        Discount.
    """
    model = train(scenario, num_users, total_timesteps, seed, recipe, gamma)
    policies = {recipe: model, "uniform_best": "uniform_best", "heterogeneous": "heterogeneous"}
    print(evaluate(policies, scenario, num_users))
    model.get_env().close()


if __name__ == "__main__":
    tyro.cli(main)
