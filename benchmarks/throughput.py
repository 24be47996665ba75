"""Steps per second of the environments, beside Gymnasium's own and its peers, in one run.

Rates are over whole episodes, resets included, actions drawn beforehand. They are taken from the processor time of the
process, so that neighbours on a shared machine count as little as can be; only the Async form, which works in other
processes, and the learner go by the clock. Peers (mobile-env, highway-env) and the learner (Stable-Baselines3) are
measured where they are installed. ``python benchmarks/throughput.py --help``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import shlex
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils.performance import benchmark_step

from multispin_gym import rounds
from multispin_gym._files import write_atomically

MULTI = "multispin_gym/MultiSpin-v0"
PEERS = {"mobile-env": ("mobile_env", "mobile-small-central-v0"), "highway-env": ("highway_env", "highway-fast-v0")}
ACTIONS = 16
# Steps between two looks at the clock: an episode of the default scenario and the step that resets it.
EPISODE = 101
Clock = Callable[[], float]


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def processor_name() -> str:
    """The processor as Linux names it, or its architecture."""
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


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


def native(num_envs: int, num_users: int, **options: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
    return gym.make_vec(
        MULTI, num_envs=num_envs, num_users=num_users, vectorization_mode="vector_entry_point", **options
    )


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


def measure_sizes(seconds: float, users: list[int], envs: list[int]) -> list[dict[str, Any]]:
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


@contextmanager
def stopwatch(places: dict[str, tuple[Any, str]]) -> Iterator[dict[str, float]]:
    """Time functions by replacing them where they are looked up, inclusive of what they call."""
    spent = dict.fromkeys(places, 0.0)
    originals = {}

    def timed(stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            result = function(*args, **kwargs)
            spent[stage] += time.process_time() - start
            return result

        return call

    for stage, (place, name) in places.items():
        originals[stage] = place.__dict__.get(name)
        setattr(place, name, timed(stage, getattr(place, name)))
    try:
        yield spent
    finally:
        for stage, (place, name) in places.items():
            setattr(place, name, originals[stage])


def measure_stages(seconds: float, num_envs: int, num_users: int, sampled: bool) -> dict[str, float]:
    """Shares of a step's time."""
    envs = native(num_envs, num_users, sampled=sampled)
    cell = envs.unwrapped.cell
    streams = sys.modules["multispin_gym.scenarios.episodes"].CellStreams
    codec = sys.modules["multispin_gym.envs.actions"].ActionCodec
    tokens = "sampled_tokens" if sampled else "mean_tokens"
    places: dict[str, tuple[Any, str]] = {
        "users and channels: random numbers": (streams, "_fill"),
        "users and channels: new episodes": (streams, "begin"),
        "action decoding": (codec, "decode_trusted"),
        "tokens": (rounds, tokens),
        "uplink": (type(cell.uplink), "quiet_rate"),
        "verification": (type(cell.verification), "round_time"),
        "observation": (streams, "observe"),
    }
    envs.reset(seed=0)
    actions = envs.action_space.sample()
    with stopwatch(places) as spent:
        for _ in range(20):
            envs.step(actions)
        spent.update(dict.fromkeys(spent, 0.0))
        start = time.process_time()
        while time.process_time() < start + 2 * seconds:
            for _ in range(EPISODE):
                envs.step(actions)
        total = time.process_time() - start
    shares = {stage: value / total for stage, value in spent.items()}
    # The first block of an episode is drawn while it begins; count it once.
    first = "users and channels: new episodes"
    blocks = -(-envs.unwrapped.num_rounds // envs.unwrapped._game._streams.block)
    shares[first] = max(0.0, shares[first] - shares["users and channels: random numbers"] / blocks)
    shares["everything else"] = 1.0 - sum(shares.values())
    return shares


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


def table(head: list[str], rows: list[list[str]]) -> str:
    """Lay a table out in Markdown."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *rows]]
    return "\n".join(
        [f"| {lines[0]} |", f"|{'|'.join('-' * (w + 2) for w in widths)}|", *(f"| {x} |" for x in lines[1:])]
    )


def report(results: dict[str, Any]) -> str:
    """Lay out all results."""
    forms, native_rate = results["forms"], results["forms"]["MultiSpin, native x 1024"]
    parts = [
        table(
            ["environment", "steps/s", "native MultiSpin is"],
            [[name, f"{value:,.0f}", f"{native_rate / value:,.1f} times as fast"] for name, value in forms.items()],
        ),
        table(
            ["users", "rows", "tokens", "steps/s", "user-steps/s", "of the copy's speed", "kB/row"],
            [
                [
                    str(row["users"]),
                    str(row["envs"]),
                    row["tokens"],
                    f"{row['steps_per_second']:,.0f}",
                    f"{row['user_steps_per_second']:,.0f}",
                    f"{row['ratio_to_copy']:.1%}",
                    f"{row['bytes_per_env'] / 1e3:.1f}",
                ]
                for row in results["sizes"]
            ],
        ),
        table(
            ["stage, 1,024 rows of 8 users", "expected tokens", "sampled tokens"],
            [
                [stage, f"{share:.0%}", f"{results['stages']['sampled'][stage]:.0%}"]
                for stage, share in results["stages"]["expected"].items()
            ],
        ),
        f"Gymnasium's own benchmark_step, action sampling included: {results['benchmark_step']:,.0f} steps/s.",
    ]
    if "learner" in results:
        learner = results["learner"]
        parts.append(
            f"Plain SB3 PPO, 1,024 rows, two layers of 32, one thread: {learner['frames_per_second']:,.0f} frames/s by "
            f"the clock, {learner['frames_per_processor_second']:,.0f} a second of processor time; "
            f"{learner['environment_share']:.1%} of it in the environment."
        )
    return "\n\n".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each figure, s")
    parser.add_argument("--users", type=int, nargs="+", default=[8, 64], help="numbers of users")
    parser.add_argument("--envs", type=int, nargs="+", default=[1, 64, 1024, 8192], help="numbers of rows")
    parser.add_argument("--workers", type=int, default=8, help="environments in the Sync and Async forms")
    parser.add_argument("--timesteps", type=int, default=500_000, help="PPO steps; 0: none")
    parser.add_argument("--output", type=Path, help="file for the figures as JSON")
    options = parser.parse_args()
    results: dict[str, Any] = {
        "command": shlex.join(["python", *sys.argv]),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in ("multispin-gym", "gymnasium", "numpy")},
        "processor": processor_name(),
        "cores": os.cpu_count(),
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
        write_atomically(options.output.parent, {options.output.name: json.dumps(results, indent=2).encode()})
    print(report(results))


if __name__ == "__main__":
    main()
