"""The part of ``clients.py`` that runs in a client's own environment: one training, and its play on held-out cells.

It prints one JSON object as its last line: the versions, the goodput in each held-out episode (token/s), and the
processor time of the training (s), that of the processes it started included.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import resource
import runpy
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from _held_out import EXAMPLES, load_example, played

import multispin_gym  # noqa: F401 (registers the environments)

ID = "multispin_gym/MultiSpin-v0"


def processor_time() -> float:
    """Processor time of this process and of those that it started and that have ended, s."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def example(name: str, **more: Any) -> Callable[[dict[str, Any]], Any]:
    """Return what trains with the recipe of an example."""
    return lambda options: load_example(name).train(**options, **more)


def rl_zoo3(options: dict[str, Any]) -> Any:
    """Train with the command line of RL Baselines3 Zoo and the file that ships with the examples."""
    from stable_baselines3 import PPO

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "rl_zoo3.train", "--algo", "ppo", "--env", ID]
        command += ["--gym-packages", "multispin_gym", "--conf-file", str(EXAMPLES / "rl_zoo3" / "ppo.yml")]
        command += ["--env-kwargs", f"scenario:{options['scenario']!r}", f"num_users:{options['num_users']}"]
        command += ["--n-timesteps", str(options["total_timesteps"]), "--seed", str(options["seed"])]
        command += ["--num-threads", "1", "--device", "cpu", "--eval-freq", "-1", "--log-folder", folder]
        subprocess.run(command, check=True, stdout=sys.stderr)
        (file,) = Path(folder).rglob("*.zip")
        return PPO.load(file, device="cpu")


def cleanrl(options: dict[str, Any], gamma: float = 0.0) -> Any:
    """Run CleanRL's own script, as it lies in its package, and take the agent and the statistics that it ends with."""
    import torch

    torch.set_num_threads(1)
    # It makes the environment by its id alone, so the id's own arguments say which cell; and it was written for a
    # Gymnasium in which TransformObservation asked for no space.
    gym.spec(ID).kwargs.update(scenario=options["scenario"], num_users=options["num_users"])
    transform = gym.wrappers.TransformObservation
    gym.wrappers.TransformObservation = lambda env, f: transform(env, f, env.observation_space)  # type: ignore[misc, assignment]
    script = Path(str(importlib.metadata.distribution("cleanrl").locate_file("cleanrl/ppo_continuous_action.py")))
    arguments = ["--env-id", f"multispin_gym:{ID}", "--gamma", str(gamma), "--cuda", "False"]
    arguments += ["--total-timesteps", str(options["total_timesteps"]), "--seed", str(options["seed"])]
    here = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        sys.argv = [str(script), *arguments]
        os.chdir(folder)
        try:
            ended = runpy.run_path(str(script), run_name="__main__")
        finally:
            os.chdir(here)
    agent, env = ended["agent"], ended["envs"].envs[0]
    while not hasattr(env, "obs_rms"):
        env = env.env
    statistics, keys = env.obs_rms, list(env.unwrapped.observation_space)

    def act(observation: dict[str, Any]) -> Any:
        flat = np.concatenate([observation[key] for key in keys], axis=-1)
        normal = ((flat - statistics.mean) / np.sqrt(statistics.var + 1e-8)).clip(-10.0, 10.0)
        with torch.no_grad():
            return agent.actor_mean(torch.from_numpy(normal.astype(np.float32))).clip(-1.0, 1.0).numpy()

    return act


TRAININGS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "sb3_sac": example("sb3_training", recipe="sac"),
    "sb3_ppo_native": example("sb3_training", recipe="ppo_native"),
    "sb3_ppo": example("sb3_training", recipe="ppo"),
    "sb3_ppo_normalised": example("sb3_training", recipe="ppo_normalised"),
    "rl_zoo3": rl_zoo3,
    "cleanrl": cleanrl,
    "cleanrl_discounted": lambda options: cleanrl(options, gamma=0.99),
    "rllib": example("rllib_ppo"),
    "torchrl": example("torchrl_ppo"),
    "skrl": example("skrl_ppo"),
    "d3rlpy_bc": example("d3rlpy_offline", method="bc", noise=0.0),
    "d3rlpy_td3_plus_bc": example("d3rlpy_offline", method="td3_plus_bc", noise=0.3),
    "d3rlpy_sac": example("d3rlpy_offline", method="sac"),
}


def main(name: str, options: dict[str, Any], episodes: int, packages: list[str]) -> dict[str, Any]:
    """Train once and play."""
    warnings.simplefilter("ignore")
    start = processor_time()
    policy = TRAININGS[name](options)
    seconds = processor_time() - start
    goodput = played(policy, options["scenario"], options["num_users"], episodes)
    versions = {package: importlib.metadata.version(package) for package in packages}
    return {
        "versions": {"python": platform.python_version(), **versions},
        "played": goodput,
        "seconds": seconds,
    }


if __name__ == "__main__":
    wanted = json.loads(sys.argv[1])
    # What the libraries print goes elsewhere, so that the last line is the answer.
    with contextlib.redirect_stdout(sys.stderr):
        answer = main(**wanted)
    print(json.dumps(answer))
