"""PPO in RLlib on a local Ray instance, with two workers that sample.

RLlib pins a version of Gymnasium of its own; give it an environment of its own:

    python -m venv .venv-rllib
    .venv-rllib/bin/pip install "ray[rllib]" torch -e .
    .venv-rllib/bin/python examples/rllib_ppo.py
"""

import argparse
import warnings

import gymnasium as gym
import numpy as np
import ray
from ray.rllib.algorithms.ppo import PPOConfig
from ray.tune.registry import register_env

from multispin_gym.wrappers import ScaledObservation


def make_env(config: dict) -> gym.Env:
    """A single environment whose observation is one vector; called in Ray's worker processes."""
    import multispin_gym  # noqa: F401 (registers the environments in this process)

    env = gym.make("multispin_gym/MultiSpin-v0", **config)
    return gym.wrappers.FlattenObservation(ScaledObservation(env))


def train(iterations: int, num_users: int = 4) -> list[float]:
    """Train; return the mean return of an episode (sum of token/s over its rounds) after every iteration."""
    register_env("multispin", make_env)
    config = (
        PPOConfig()
        .environment("multispin", env_config={"num_users": num_users, "num_rounds": 20})
        .env_runners(num_env_runners=2, num_envs_per_env_runner=8)
        .training(train_batch_size_per_learner=4000, minibatch_size=500, num_epochs=8, gamma=0.0, lr=1e-3)
        .debugging(seed=0, log_level="ERROR")
    )
    algorithm = config.build_algo()
    returns = [float(algorithm.train()["env_runners"]["episode_return_mean"]) for _ in range(iterations)]
    algorithm.stop()
    return returns


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10, help="training iterations of 4,000 rounds")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    ray.init(num_cpus=3, include_dashboard=False)
    history = train(options.iterations)
    print("mean goodput, token/s:", np.round(np.array(history) / 20.0, 1))
    ray.shutdown()
