"""d3rlpy: learn from a controller's data alone, or online with its SAC.

d3rlpy 2.8 asks for Gymnasium 1.0.0, and runs with later ones all the same; install it without its dependencies:

    python -m venv .venv-d3rlpy
    .venv-d3rlpy/bin/pip install torch==2.13.0 -e ".[report]" "minari[create,hdf5]" gym==0.26.2 structlog colorama dataclasses-json scikit-learn
    .venv-d3rlpy/bin/pip install --no-deps d3rlpy==2.8.1
    .venv-d3rlpy/bin/python examples/d3rlpy_offline.py --method td3_plus_bc
"""  # noqa: E501

import argparse
import os
import tempfile
from collections.abc import Callable, Mapping

import d3rlpy
import gymnasium as gym
import numpy as np
import torch
from d3rlpy.logging import NoopAdapterFactory
from d3rlpy.preprocessing import MultiplyRewardScaler

from multispin_gym.evaluation import as_policy, evaluate
from multispin_gym.wrappers import ScaledObservation

torch.set_num_threads(1)

ROUNDS = 100
# Rewards are counted in 100 token/s: TD3+BC weighs values against distances between actions.
UNIT = MultiplyRewardScaler(0.01)
QUIET = {"logger_adapter": NoopAdapterFactory(), "show_progress": False}
METHODS = {
    "bc": d3rlpy.algos.BCConfig(batch_size=256),
    "td3_plus_bc": d3rlpy.algos.TD3PlusBCConfig(gamma=0.0, reward_scaler=UNIT),
    "cql": d3rlpy.algos.CQLConfig(gamma=0.0, reward_scaler=UNIT),
    "sac": d3rlpy.algos.SACConfig(gamma=0.0),
}


def record(scenario: str, num_users: int | None, rounds: int, noise: float, seed: int) -> dict[str, np.ndarray]:
    """Let ``heterogeneous`` play, with noise in its actions; keep the rounds as a Minari data set in a passing folder.

    An actor-critic learns from decisions that differ; those of a controller are always the same in the same round.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["MINARI_DATASETS_PATH"] = folder
        from minari_dataset import record, scaled_rounds

        episodes = max(1, rounds // ROUNDS)
        return scaled_rounds(record("multispin/noisy-v0", episodes, scenario, num_users, noise=noise, seed=seed))


def train(
    scenario: str = "default",
    num_users: int | None = None,
    total_timesteps: int = 10_000,
    seed: int = 0,
    method: str = "td3_plus_bc",
    noise: float = 0.1,
) -> Callable[[Mapping[str, np.ndarray]], np.ndarray]:
    """Train on as many rounds as steps; return the policy, a function of batched observations."""
    d3rlpy.seed(seed)
    env = ScaledObservation(gym.make("multispin_gym/MultiSpin-v0", scenario=scenario, num_users=num_users))
    algorithm = METHODS[method].create(device=False)
    if method == "sac":
        flat = gym.wrappers.FlattenObservation(env)
        flat.reset(seed=seed)
        buffer = d3rlpy.dataset.create_fifo_replay_buffer(limit=total_timesteps, env=flat)
        settings = {"n_steps_per_epoch": total_timesteps, "random_steps": 100, "save_interval": 2}
        algorithm.fit_online(flat, buffer, n_steps=total_timesteps, **settings, **QUIET)
    else:
        data = record(scenario, num_users, total_timesteps, noise, seed)
        dataset = d3rlpy.dataset.MDPDataset(
            observations=data["observations"],
            actions=data["actions"],
            rewards=data["rewards"].astype(np.float32),
            terminals=np.zeros(len(data["ends"]), np.float32),
            timeouts=data["ends"].astype(np.float32),
            action_space=d3rlpy.ActionSpace.CONTINUOUS,
        )
        settings = {"n_steps_per_epoch": total_timesteps, "save_interval": 2}
        algorithm.fit(dataset, n_steps=total_timesteps, **settings, **QUIET)

    def act(observation: Mapping[str, np.ndarray]) -> np.ndarray:
        scaled = env.observation(observation)
        return algorithm.predict(np.concatenate([scaled[key] for key in env.observation_space], axis=-1))

    return act


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenario", default="default", help="name of a preset, or path of a scenario file")
    parser.add_argument("--total-timesteps", type=int, default=10_000, help="rounds in the data, and gradient steps")
    parser.add_argument("--method", default="td3_plus_bc", choices=METHODS, help="algorithm; sac learns online")
    options = parser.parse_args()
    trained = train(options.scenario, total_timesteps=options.total_timesteps, method=options.method)
    print(evaluate({options.method: as_policy(trained), "heterogeneous": "heterogeneous"}, options.scenario))
