"""What each part of the agent is worth: train variants with several seeds and compare them on held-out cells.

``python benchmarks/ablations.py --help``. Writes ablations.json and prints a Markdown table.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from multispin_gym._files import write_atomically
from multispin_gym.agents.config import CloningConfig, TrainConfig
from multispin_gym.agents.hyperparameter_files import hyperparameters
from multispin_gym.agents.seeds import mean_interval
from multispin_gym.report import versions


@dataclass(frozen=True)
class Ablations:
    """Train every variant with every seed, with the same rounds, and compare the ratios to the reference.

    Writes ablations.json.
    """

    variants: tuple[str, ...] = ()
    """Variants to train; by default all."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    scenario: str = "default"
    """Name of a preset, or path of a scenario file."""
    num_users: int | None = None
    """Users in the cell; None: the scenario's number."""
    total_timesteps: int = 400_000
    """Rounds of each training."""
    eval_cells: int = 1024
    """Held-out cells."""
    jobs: int = 0
    """Trainings at a time; 0: one per core."""
    output: Path = Path("results/ablations")
    """Directory for the results."""


def variant_config(name: str, base: TrainConfig) -> TrainConfig:
    """Return the configuration of a variant."""
    policy, ppo = base.policy, base.ppo
    changes: dict[str, Any] = {
        "full": {},
        "flat_mlp_gaussian": {"ppo": dataclasses.replace(ppo, learning_rate=1e-3, entropy_coefficient=0.0)},
        "ordinal_lengths": {"policy": dataclasses.replace(policy, lengths="ordinal")},
        "shares_from_demand": {"policy": dataclasses.replace(policy, share_reference="demand")},
        "shares_from_equal": {"policy": dataclasses.replace(policy, share_reference="equal")},
        "homogeneous_baseline": {"ppo": dataclasses.replace(ppo, reward="homogeneous")},
        "no_entropy_bonus": {"ppo": dataclasses.replace(ppo, entropy_coefficient=0.0)},
        "cloned_only": {"cloning": CloningConfig(num_cells=16_384), "total_timesteps": 1},
        "cloned": {
            "cloning": CloningConfig(num_cells=16_384),
            "ppo": dataclasses.replace(ppo, learning_rate=0.25 * ppo.learning_rate, entropy_coefficient=1e-3),
        },
    }
    if name not in changes:
        raise ValueError(f"variants must be among {', '.join(changes)}; got {name!r}")
    return dataclasses.replace(base, **changes[name])


VARIANTS = (
    "full",
    "flat_mlp_gaussian",
    "ordinal_lengths",
    "shares_from_demand",
    "shares_from_equal",
    "homogeneous_baseline",
    "no_entropy_bonus",
    "cloned_only",
    "cloned",
)


def train_variant(name: str, config: TrainConfig) -> dict[str, float]:
    """Train one variant and return its last evaluation and its process time."""
    start = time.process_time()
    last = _train_flat(config) if name == "flat_mlp_gaussian" else _train(config, name)
    return {**last, "cpu_seconds": time.process_time() - start}


def _train(config: TrainConfig, name: str) -> dict[str, float]:
    from multispin_gym.agents.training import train

    with tempfile.TemporaryDirectory() as folder:
        evaluations = train(dataclasses.replace(config, run_dir=folder)).evaluations
        return evaluations[0] if name == "cloned_only" else evaluations[-1]


def _train_flat(config: TrainConfig) -> dict[str, float]:
    """Train SB3's own multilayer perceptron with its Gaussian over the action box, on the same features, flattened."""
    import torch
    from gymnasium import spaces
    from stable_baselines3 import PPO
    from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

    from multispin_gym.agents.callbacks import schedule
    from multispin_gym.agents.features import USER_FEATURES, CellTerms
    from multispin_gym.agents.training import training_seeds
    from multispin_gym.agents.training_env import HeldOutCells, make_training_env
    from multispin_gym.scenario_library import load_scenario

    scenario, ppo = load_scenario(config.scenario), config.ppo
    num_users = config.num_users or scenario.num_users

    class Flat(BaseFeaturesExtractor):
        def __init__(self, observation_space: spaces.Dict) -> None:
            super().__init__(observation_space, num_users * USER_FEATURES)
            self.terms = CellTerms(scenario.cell, scenario.reference_power)

        def forward(self, observation: dict[str, torch.Tensor]) -> torch.Tensor:
            return self.terms(observation).user_features().flatten(1)

    torch.set_num_threads(config.threads)
    learner_seed, env_seed = training_seeds(config.seed)
    env = make_training_env(scenario, num_users=num_users, num_envs=ppo.num_envs)
    model = PPO(
        "MultiInputPolicy",
        env,
        learning_rate=schedule("linear", ppo.learning_rate),
        n_steps=ppo.rollout_steps,
        batch_size=ppo.batch_size,
        n_epochs=ppo.num_epochs,
        gamma=0.0,
        gae_lambda=1.0,
        seed=learner_seed,
        device="cpu",
        policy_kwargs={"features_extractor_class": Flat, "net_arch": [128, 128]},
    )
    env.seed(env_seed)
    model.learn(config.total_timesteps)
    cells = HeldOutCells(scenario, num_users, config.eval_cells)
    action, _ = model.predict(cells.observation, deterministic=True)
    return {"timesteps": model.num_timesteps, "ratio": float((cells.goodput(action) / cells.reference).mean())}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the ablations that a command line asks for."""
    import tyro

    args = list(sys.argv[1:] if arguments is None else arguments)
    options = tyro.cli(Ablations, args=args)
    base = TrainConfig(
        **{
            **hyperparameters(options.scenario),
            "scenario": options.scenario,
            "num_users": options.num_users,
            "total_timesteps": options.total_timesteps,
            "eval_cells": options.eval_cells,
            "eval_every": 0,
            "checkpoint_every": 2**30,
            "progress": False,
        }
    )
    names = options.variants or VARIANTS
    tasks = [
        (name, dataclasses.replace(variant_config(name, base), seed=seed)) for name in names for seed in options.seeds
    ]
    with ProcessPoolExecutor(
        options.jobs or multiprocessing.cpu_count(), mp_context=multiprocessing.get_context("spawn")
    ) as pool:
        results = list(pool.map(train_variant, *zip(*tasks, strict=True)))
    table: dict[str, Any] = {}
    for (name, config), result in zip(tasks, results, strict=True):
        table.setdefault(name, {"runs": {}})["runs"][config.seed] = result
    print("| variant | ratio to the reference | 95 % interval | CPU s |\n|---|---|---|---|")
    for name, entry in table.items():
        runs = entry["runs"].values()
        entry["ratio"] = mean_interval([run["ratio"] for run in runs])
        seconds = sum(run["cpu_seconds"] for run in runs) / len(runs)
        interval = entry["ratio"]["ci95"]
        spread = "" if interval is None else f"{interval[0]:.4f} .. {interval[1]:.4f}"
        print(f"| {name} | {entry['ratio']['mean']:.4f} | {spread} | {seconds:.0f} |")
    report = {
        "command": shlex.join(["python", "benchmarks/ablations.py", *args]),
        "versions": versions(),
        "variants": table,
    }
    write_atomically(options.output, {"ablations.json": (json.dumps(report, indent=2) + "\n").encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
