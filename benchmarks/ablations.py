"""What each part of the agent is worth: train variants with several seeds and compare them on held-out cells.

``python benchmarks/ablations.py --help``. Writes ablations.json and prints a Markdown table.
"""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from _report import head, interval_text, table
from _study import StudyInPieces, run
from ablation_policies import FlatGaussianPolicy, FlatPolicy, GaussianPolicy, UnnormalisedPolicy

from multispin_gym._validation import check_choice
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.config_sections import CloningConfig
from multispin_gym.agents.hyperparameter_files import hyperparameters
from multispin_gym.agents.policy.sb3_policy import EquivariantPolicy
from multispin_gym.agents.training.seeds import mean_interval


@dataclass(frozen=True, kw_only=True)
class Ablations(StudyInPieces):
    """Train every variant with every seed at every learning rate, with the same rounds, and compare the ratios.

    What suits one variant breaks another, so each counts at the rate that suits it best. Each training is a piece.
    Writes ablations.json.
    """

    variants: tuple[str, ...] = ()
    """Variants to train; by default all."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    scenario: str = "laptops_60ms"
    """Name of a preset, or path of a scenario file."""
    num_users: int | None = None
    """Users in the cell; None: the scenario's number."""
    total_timesteps: int = 200_000
    """Rounds of each training."""
    eval_cells: int = 1024
    """Held-out cells."""
    learning_rates: tuple[float, ...] = (0.004, 0.016)
    """Learning rates of PPO to choose from, for every variant."""
    runner: Literal["local", "processes", "ray"] = "processes"
    output: Path = Path("results/ablations")


CLONING = CloningConfig(num_cells=16_384)
POLICIES = {
    "flat_gaussian": FlatGaussianPolicy,
    "equivariant_gaussian": GaussianPolicy,
    "flat": FlatPolicy,
    "not_normalised": UnnormalisedPolicy,
}
VARIANTS = (
    "full",
    "flat_gaussian",
    "equivariant_gaussian",
    "flat",
    "not_normalised",
    "ordinal_lengths",
    "shares_from_demand",
    "shares_from_equal",
    "exact_shares",
    "no_entropy_bonus",
    "homogeneous_baseline",
    "optimum_baseline",
    "cloned_only",
    "cloned",
)


def variant_config(name: str, base: TrainConfig) -> TrainConfig:
    """Return the configuration of a variant."""
    policy, ppo = base.policy, base.ppo
    # An entropy bonus only widens a Gaussian.
    gaussian = {"ppo": dataclasses.replace(ppo, entropy_coefficient=0.0)}
    slower = dataclasses.replace(ppo, learning_rate=0.1 * ppo.learning_rate, entropy_coefficient=1e-3)
    changes: dict[str, Any] = {
        "flat_gaussian": gaussian,
        "equivariant_gaussian": gaussian,
        "ordinal_lengths": {"policy": dataclasses.replace(policy, lengths="ordinal")},
        "shares_from_demand": {"policy": dataclasses.replace(policy, share_reference="demand")},
        "shares_from_equal": {"policy": dataclasses.replace(policy, share_reference="equal")},
        "exact_shares": {"policy": dataclasses.replace(policy, shares="exact")},
        "no_entropy_bonus": {"ppo": dataclasses.replace(ppo, entropy_coefficient=0.0)},
        "homogeneous_baseline": {"ppo": dataclasses.replace(ppo, reward_unit="homogeneous")},
        "optimum_baseline": {"ppo": dataclasses.replace(ppo, reward_unit="optimum")},
        "cloned_only": {"cloning": CLONING, "total_timesteps": 1},
        "cloned": {"cloning": CLONING, "ppo": slower, "policy": dataclasses.replace(policy, share_std=0.02)},
    }
    return dataclasses.replace(base, **changes.get(check_choice("variants", name, VARIANTS), {}))


def train_variant(name: str, config: TrainConfig) -> dict[str, float]:
    """Train one variant and return its last evaluation and its process time."""
    from multispin_gym.agents.training.trainer import train

    start = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        result = train(dataclasses.replace(config, run_dir=folder), POLICIES.get(name, EquivariantPolicy))
    if result.stopped == "interrupted":
        raise KeyboardInterrupt
    last = result.evaluations[0] if name == "cloned_only" else result.evaluations[-1]
    return {**last, "cpu_seconds": time.process_time() - start}


def variants_at(rate: float, base: TrainConfig, names: Sequence[str]) -> dict[str, TrainConfig]:
    """Return the configurations of variants at a learning rate."""
    base = dataclasses.replace(base, ppo=dataclasses.replace(base.ppo, learning_rate=rate))
    return {name: variant_config(name, base) for name in names}


def at_the_best_rate(rates: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the results of a variant at the learning rate with the highest mean ratio, and those at all rates."""
    for entry in rates.values():
        runs = list(entry["runs"].values())
        entry["ratio"] = mean_interval([run["ratio"] for run in runs])
        entry["cpu_seconds"] = sum(run["cpu_seconds"] for run in runs) / len(runs)
    best = max(rates, key=lambda rate: float(rates[rate]["ratio"]["mean"]))
    return {
        "learning_rate": float(best),
        "ratio": rates[best]["ratio"],
        "cpu_seconds": rates[best]["cpu_seconds"],
        "learning_rates": rates,
    }


def study(options: Ablations, command: str) -> None:
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
    pieces = {
        (name, rate, seed): (name, dataclasses.replace(config, seed=seed))
        for rate in options.learning_rates
        for name, config in variants_at(rate, base, options.variants or VARIANTS).items()
        for seed in options.seeds
    }
    found: dict[str, dict[str, Any]] = {}
    for (name, rate, seed), result in options.do(train_variant, pieces).items():
        found.setdefault(name, {}).setdefault(str(rate), {"runs": {}})["runs"][seed] = result
    variants = {name: at_the_best_rate(rates) for name, rates in found.items()}
    options.write({"ablations.json": {**head(command), "variants": variants}})
    rows = [
        [name, str(entry["learning_rate"]), interval_text(entry["ratio"], ".4f"), f"{entry['cpu_seconds']:.0f}"]
        for name, entry in variants.items()
    ]
    print(table(["variant", "learning rate", "ratio to the reference (95 %)", "CPU s"], rows))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Ablations, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
