"""Steps per second of the environments, beside Gymnasium's own and its peers, in one run.

Rates are over whole episodes, resets included, actions drawn beforehand. They are taken from the processor time of the
process, so that neighbours on a shared machine count as little as can be, and nothing else is measured meanwhile; only
the Async form, which works in other processes, and the learner go by the clock. Peers (mobile-env, highway-env) and the
learner (Stable-Baselines3) are measured where they are installed. ``python benchmarks/throughput.py --help``.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from _report import head, write
from _study import run
from gymnasium.utils.performance import benchmark_step
from step_stages import EPISODE, MULTI, measure_stages, native
from throughput_report import to_markdown

PEERS = {"mobile-env": ("mobile_env", "mobile-small-central-v0"), "highway-env": ("highway_env", "highway-fast-v0")}
ACTIONS = 16
Clock = Callable[[], float]


@dataclass(frozen=True)
class Throughput:
    """Measure steps per second of the environments, beside Gymnasium's own, its peers and a learner."""

    seconds: float = 2.0
    """Time for each figure, s."""
    users: tuple[int, ...] = (8, 64)
    """Numbers of users."""
    envs: tuple[int, ...] = (1, 64, 1024, 8192)
    """Numbers of rows."""
    workers: int = 8
    """Environments in the Sync and Async forms."""
    timesteps: int = 500_000
    """PPO steps; 0: none."""
    output: Path | None = None
    """File for the figures as JSON."""


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def rate(step: Callable[[int], None], steps: int, seconds: float, clock: Clock = time.process_time) -> float:
    """Rate, 1/s; ``step(i)`` makes ``steps`` steps."""
    step(0)
    count, start, begun = 0, clock(), time.perf_counter()
    while time.perf_counter() < begun + seconds or count < EPISODE:
        for index in range(EPISODE):
            step(index)
        count += EPISODE
    return count * steps / (clock() - start)


def single_rate(env: gym.Env[Any, Any], seconds: float) -> float:
    """Steps per second of a single environment, resets included."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(ACTIONS)]
    env.reset(seed=0)

    def step(index: int) -> None:
        _, _, terminated, truncated, _ = env.step(actions[index % ACTIONS])
        if terminated or truncated:
            env.reset()

    found = rate(step, 1, seconds)
    env.close()
    return found


def vector_rate(envs: gym.vector.VectorEnv[Any, Any, Any], seconds: float, clock: Clock = time.process_time) -> float:
    """Steps per second over all rows of a vector environment, resets included."""
    envs.action_space.seed(0)
    actions = [envs.action_space.sample() for _ in range(ACTIONS)]
    envs.reset(seed=0)

    def step(index: int) -> None:
        envs.step(actions[index % ACTIONS])

    found = rate(step, envs.num_envs, seconds, clock)
    envs.close()
    return found


def measure_forms(seconds: float, workers: int) -> dict[str, float]:
    """All forms of ours and of CartPole, and the peers: steps per second."""
    found = {"MultiSpin, single": single_rate(gym.make(MULTI, num_users=8), seconds)}
    for form in ("sync", "async"):
        name = f"multispin_gym:{MULTI}"
        envs = gym.make_vec(name, num_envs=workers, vectorization_mode=form, num_users=8)
        clock = time.perf_counter if form == "async" else time.process_time
        found[f"MultiSpin, {form} x {workers}"] = vector_rate(envs, seconds, clock)
    found["MultiSpin, native x 1024"] = vector_rate(native(1024, 8), seconds)
    found["CartPole-v1, single"] = single_rate(gym.make("CartPole-v1"), seconds)
    cartpole = gym.make_vec("CartPole-v1", num_envs=1024, vectorization_mode="vector_entry_point")
    found["CartPole-v1, native x 1024"] = vector_rate(cartpole, seconds)
    for name, (module, env_id) in PEERS.items():
        if installed(module):
            importlib.import_module(module)
            found[f"{name} {env_id}, single"] = single_rate(gym.make(env_id), seconds)
    return found


def measure_sizes(seconds: float, users: Sequence[int], envs: Sequence[int]) -> list[dict[str, Any]]:
    """The native form over numbers of users and rows, with expected and with sampled tokens."""
    rows = []
    for num_users in users:
        for num_envs in envs:
            for sampled in (False, True):
                found = vector_rate(native(num_envs, num_users, sampled=sampled), seconds)
                rows.append(
                    {
                        "users": num_users,
                        "envs": num_envs,
                        "tokens": "sampled" if sampled else "expected",
                        "steps_per_second": found,
                        "user_steps_per_second": found * num_users,
                        "ratio_to_copy": found / copy_rate(num_envs, num_users, seconds / 4),
                        "bytes_per_env": memory(num_envs, num_users, sampled),
                    }
                )
    return rows


def copy_rate(num_envs: int, num_users: int, seconds: float) -> float:
    """Environment steps per second if a step did nothing but copy what it reads and what it returns."""
    shape = (num_envs, num_users)
    taken = [np.ones((num_envs, 2 * num_users), np.float32)]
    returned = [np.ones(shape, np.float32) for _ in range(3)] + [np.ones(shape) for _ in range(5)]
    returned += [np.ones(num_envs) for _ in range(4)]

    def step(index: int) -> None:
        for array in taken + returned:
            array.copy()

    return rate(step, num_envs, seconds)


def memory(num_envs: int, num_users: int, sampled: bool) -> float:
    """Bytes that an environment and its last step keep, per row."""
    tracemalloc.start()
    envs = native(num_envs, num_users, sampled=sampled)
    envs.reset(seed=0)
    kept = [envs.step(envs.action_space.sample()) for _ in range(3)][-1]
    used = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    envs.close()
    del kept
    return used / num_envs


def measure_learner(timesteps: int) -> dict[str, float]:
    """Speed of plain SB3 PPO with a small network on one thread, and the environment's share of its time."""
    import torch
    from stable_baselines3 import PPO

    from multispin_gym.agents import SB3VecEnv

    # More threads only wait for each other on networks as small as this.
    torch.set_num_threads(1)
    envs = native(1024, 8, autoreset_mode="SameStep")
    spent = 0.0
    inner = envs.step

    def step(actions: Any) -> Any:
        nonlocal spent
        start = time.process_time()
        result = inner(actions)
        spent += time.process_time() - start
        return result

    envs.step = step  # type: ignore[method-assign]
    settings = {"n_steps": 16, "batch_size": 4096, "n_epochs": 1, "policy_kwargs": {"net_arch": [32, 32]}}
    model = PPO("MultiInputPolicy", SB3VecEnv(envs), device="cpu", seed=0, **settings)
    model.learn(16 * 1024)
    spent, start, begun = 0.0, time.process_time(), time.perf_counter()
    model.learn(timesteps)
    processor, clock = time.process_time() - start, time.perf_counter() - begun
    frames = model.num_timesteps
    return {
        "frames_per_second": frames / clock,
        "frames_per_processor_second": frames / processor,
        "environment_share": spent / processor,
    }


def study(options: Throughput, command: str) -> None:
    results: dict[str, Any] = {
        **head(command),
        "load": os.getloadavg(),
        "forms": measure_forms(options.seconds, options.workers),
        "sizes": measure_sizes(options.seconds, options.users, options.envs),
        "stages": {
            "expected": measure_stages(options.seconds, 1024, 8, sampled=False),
            "sampled": measure_stages(options.seconds, 1024, 8, sampled=True),
        },
        "benchmark_step": benchmark_step(gym.make(MULTI, num_users=8), target_duration=1, seed=0),
    }
    if options.timesteps > 0 and installed("stable_baselines3"):
        results["learner"] = measure_learner(options.timesteps)
    if options.output is not None:
        write(options.output.parent, {options.output.name: results})
    print(to_markdown(results))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Throughput, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
