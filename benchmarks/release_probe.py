"""What a release computes, as digests, and how long it takes: the part of ``releases.py`` that runs in both releases.

It uses published names only. Prints one JSON object: ``python benchmarks/release_probe.py results|speed``.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

import multispin_gym as ms
from multispin_gym.baselines import certify, list_controllers, make_controller, relax
from multispin_gym.evaluation import evaluate

IDS = ("multispin_gym/MultiSpin-v0", "multispin_gym/MultiSpinHomogeneous-v0")
# A budget of its own would make what certificates and `exact` come to depend on the machine.
CELLS = 10


def digest(*parts: Any) -> str:
    """Hash arrays, bit by bit, and what JSON can hold."""
    found = hashlib.sha256()
    for part in parts:
        if isinstance(part, dict):
            found.update(digest(*(x for name in sorted(part, key=str) for x in (str(name), part[name]))).encode())
        elif isinstance(part, (list, tuple)):
            found.update(digest(*part).encode())
        elif isinstance(part, np.ndarray) and part.dtype != object:
            found.update(f"{part.dtype}{part.shape}".encode() + np.ascontiguousarray(part).tobytes())
        elif isinstance(part, np.ndarray):
            found.update(digest(*part.tolist()).encode())
        else:
            found.update(repr(part.item() if isinstance(part, np.generic) else part).encode())
    return found.hexdigest()


def play_vector(env_id: str, steps: int = 105, rows: int = 2, **options: Any) -> str:
    """Digest of a vector environment's observations, rewards, ends and info under fixed random actions."""
    envs: Any = gym.make_vec(env_id, num_envs=rows, vectorization_mode="vector_entry_point", **options)
    rng = np.random.default_rng(7)
    parts: list[Any] = [envs.reset(seed=5)[0]]
    for _ in range(steps):
        action = rng.uniform(-1.0, 1.0, envs.action_space.shape).astype(np.float32)
        observation, reward, terminated, truncated, info = envs.step(action)
        parts.append([observation, reward, terminated, truncated, info])
    return digest(*parts)


def play_single(env_id: str, steps: int = 110, **options: Any) -> str:
    """Digest of a single environment over a little more than an episode; rewards and decisions only."""
    env = gym.make(env_id, **options)
    rng = np.random.default_rng(7)
    parts: list[Any] = [env.reset(seed=5)[0]]
    for _ in range(steps):
        action = rng.uniform(-1.0, 1.0, env.action_space.shape).astype(np.float32)
        observation, reward, _, truncated, info = env.step(action)
        parts.append([observation, reward, truncated, {name: np.asarray(value) for name, value in info.items()}])
        if truncated:
            parts.append(env.reset()[0])
    return digest(*parts)


def environments() -> Iterator[tuple[str, Callable[[], str]]]:
    """Environments in every preset and form."""
    for env_id in IDS:
        short = env_id.partition("/")[2]
        for name in ms.list_scenarios():
            for sampled in (False, True):
                options = {"scenario": name, "sampled": sampled}
                yield f"{short} vector {name} sampled={sampled}", lambda i=env_id, o=options: play_vector(i, **o)
                yield f"{short} single {name} sampled={sampled}", lambda i=env_id, o=options: play_single(i, **o)
        for options in (
            {"autoreset_mode": "SameStep"},
            {"max_time": 3.0},
            {"reward": "ratio"},
            {"reward": "tokens", "max_time": 2.0, "autoreset_mode": "SameStep"},
            {"reward": "proportional_fair", "weights": [1.0, 2.0, 3.0]},
            {"optimum": "certificate"},
            {"optimum": True, "weights": [1.0, 2.0, 3.0]},
        ):
            named = " ".join(f"{key}={value}" for key, value in options.items())
            options = {"num_users": 3, **options}
            yield f"{short} vector {named}", lambda i=env_id, o=options: play_vector(i, 40, **o)


def decide(name: str, scenario: str, **options: Any) -> str:
    """Digest of a controller's decisions."""
    made = ms.load_scenario(scenario)
    count = min(made.num_users, 6)
    users = made.sample_users(np.random.default_rng(3), count, batch=(CELLS,))
    controller = make_controller(name, **options)
    if name == "long_run":
        controller = controller.prepare(made.sample_large_scale(np.random.default_rng(4), count, (CELLS,)), made)
    decision = controller(users, made.cell)
    return digest(np.array(decision.draft_lengths), np.array(decision.bandwidth_shares))


def bounds(scenario: str, objective: ms.Objective | None = None) -> str:
    """Digest of relaxations and certificates."""
    made = ms.load_scenario(scenario)
    users = made.sample_users(np.random.default_rng(3), min(made.num_users, 5), batch=(CELLS,))
    relaxed, certified = relax(users, made.cell, objective), certify(users, made.cell, objective=objective)
    parts = [relaxed.draft_lengths, relaxed.bandwidth_shares, relaxed.goodput, relaxed.upper_bound]
    return digest(*parts, certified.goodput, certified.upper_bound, np.array(certified.decision.draft_lengths))


def controllers() -> Iterator[tuple[str, Callable[[], str]]]:
    """Controllers, relaxations and certificates in every preset, and other objectives."""
    for scenario in ms.list_scenarios():
        # Algorithm 1 of the paper is for its kind of cell.
        for name in sorted(set(list_controllers()) - (set() if scenario.startswith("paper") else {"multi_spin"})):
            yield f"{name} {scenario}", lambda n=name, s=scenario: decide(n, s)
        yield f"bounds {scenario}", lambda s=scenario: bounds(s)
    fair = {"objective": "proportional_fair"}
    for name in ("homogeneous", "heterogeneous", "exact"):
        yield f"{name} proportional fair", lambda n=name: decide(n, "default", **fair)
        yield f"{name} weighted", lambda n=name: decide(n, "default", weights=[1.0, 2.0] * 3)
    yield "bounds proportional fair", lambda: bounds("default", ms.Objective("proportional_fair"))


def result_file(**options: Any) -> str:
    """Digest of an evaluation's result, without versions."""
    from multispin_gym.evaluation import ReferenceExceededError

    try:
        result = evaluate(**{"episodes": 4, "rounds": 15, "num_users": 4, "scenario": "laptops_60ms", **options})
    except ReferenceExceededError as error:
        result = error.result
    return digest(result.to_dict(), {name: policy.per_episode() for name, policy in result.policies.items()})


def evaluations() -> Iterator[tuple[str, Callable[[], str]]]:
    """Results of evaluations, agents among the policies."""
    every = list_controllers()
    for env_id in IDS:
        for sampled in (False, True):
            yield (
                f"result of {env_id.partition('/')[2]} sampled={sampled}",
                lambda i=env_id, s=sampled: result_file(
                    policies=[*every, "pretrained:laptops_60ms", "pretrained:laptops_60ms-homogeneous"],
                    env_id=i,
                    sampled=s,
                ),
            )
    yield "result of many users", lambda: result_file(policies=["heterogeneous", "random"], num_users=16)
    yield "result with a baseline", lambda: result_file(policies=["homogeneous", "tk_slt"], baseline="tk_slt")


def act(name: str) -> str:
    """Digest of a shipped agent's actions."""
    from multispin_gym.agents import load_agent

    agent = load_agent(f"pretrained:{name}")
    scenario = agent.spec.scenario
    users = scenario.sample_users(np.random.default_rng(3), agent.spec.num_users, batch=(CELLS,))
    decision = agent(users, scenario.cell)
    return digest(np.array(decision.draft_lengths), np.array(decision.bandwidth_shares))


def trained(**options: Any) -> str:
    """Digest of the weights that a short training comes to."""
    from multispin_gym.agents import CloningConfig, PPOConfig, TrainConfig, load_agent, train

    cloned = options.pop("cloned", False)
    ppo = PPOConfig(num_envs=16, rollout_steps=4, batch_size=32, **options.pop("ppo", {}))
    cloning = CloningConfig(num_cells=64, num_epochs=1, batch_size=32) if cloned else CloningConfig()
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        fixed = {"total_timesteps": 512, "eval_cells": 16, "progress": False}
        config = TrainConfig(run_dir=str(run), **fixed, ppo=ppo, cloning=cloning, **options)
        result = train(config)
        weights = {name: value.numpy() for name, value in load_agent(run).network.state_dict().items()}
    return digest(weights, [entry["ratio"] for entry in result.evaluations])


def agents() -> Iterator[tuple[str, Callable[[], str]]]:
    """Shipped agents, and short trainings."""
    from multispin_gym.agents import list_pretrained

    for name in list_pretrained():
        yield f"agent {name}", lambda n=name: act(n)
    yield "training from scratch", lambda: trained(num_users=3)
    yield "training cloned", lambda: trained(num_users=3, cloned=True)
    yield "training homogeneous", lambda: trained(num_users=3, env_id=IDS[1])
    yield "training discounted", lambda: trained(num_users=3, ppo={"discount": 0.5})
    yield "training mixed", lambda: trained(ppo={"num_users": (2, 3)})
    yield "training in twenty_users", lambda: trained(scenario="twenty_users", num_users=4)


def results() -> dict[str, str]:
    """Digests by what they are of."""
    parts = (environments, controllers, evaluations, agents)
    return {name: compute() for part in parts for name, compute in part()}


def seconds(work: Callable[[], Any], least: float = 1.0) -> float:
    """Processor time of a call: many of them over their number, the first not counted."""
    work()
    start, calls = time.process_time(), 0
    while time.process_time() - start < least:
        work()
        calls += 1
    return (time.process_time() - start) / calls


def speed() -> dict[str, float]:
    """Processor times, s."""
    found = {}
    for sampled in (False, True):
        envs: Any = gym.make_vec(IDS[0], num_envs=1024, vectorization_mode="vector_entry_point", sampled=sampled)
        envs.reset(seed=0)
        actions = envs.action_space.sample()
        found[f"100 steps of 1,024 cells, sampled={sampled}"] = seconds(
            lambda e=envs, a=actions: [e.step(a) for _ in range(100)]
        )
    env = gym.make(IDS[0]).unwrapped
    env.reset(seed=0)
    action = env.action_space.sample()

    def episode() -> None:
        env.reset()
        for _ in range(100):
            env.step(action)

    found["an episode of the single environment"] = seconds(episode)
    scenario = ms.load_scenario("default")
    users = scenario.sample_users(np.random.default_rng(0), batch=(256,))
    for name in ("homogeneous", "heterogeneous"):
        controller = make_controller(name)
        found[f"`{name}` in 256 cells"] = seconds(lambda c=controller: c(users, scenario.cell))
    found["certificates of 16 cells"] = seconds(lambda: certify(users[:16], scenario.cell))
    names = ["uniform_best", "homogeneous", "heterogeneous"]
    found["evaluating three controllers, 20 episodes"] = seconds(
        lambda: evaluate(names, scenario, episodes=20, reference="relaxation")
    )
    return {**found, **learning()}


def learning() -> dict[str, float]:
    """Processor time of a training."""
    from multispin_gym.agents import TrainConfig, train

    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        config = TrainConfig(run_dir=folder, total_timesteps=60_000, eval_every=0, eval_cells=16, progress=False)
        train(config)
        return {"training on 60,000 rounds": time.process_time() - start}


if __name__ == "__main__":
    print(json.dumps({"results": results, "speed": speed}[sys.argv[1]]()))
