"""Configuration of a training run: typed, frozen, checked, with a range for every number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from multispin_gym._validation import (
    MOST_TIMESTEPS,
    MOST_USERS,
    check_choice,
    check_integer,
    check_list,
    check_number,
    shown,
)
from multispin_gym.agents.config_sections import CloningConfig, PolicyConfig, PPOConfig
from multispin_gym.agents.environments import learnable_variant
from multispin_gym.envs.variants import MULTI_SPIN
from multispin_gym.runner import RUNNERS
from multispin_gym.scenarios.changes import read_changes
from multispin_gym.scenarios.populations import check_text

MOST_SEEDS, MOST_EVALUATION_CELLS = 10_000, 10**6


def _check_flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, got {shown(value)}")


@dataclass(frozen=True)
class TrainConfig:
    """Train a PPO agent for multi-user draft control.

    Parameters
    ----------
    run_dir
        Directory of the run: configuration, weights, training state, evaluations and TensorBoard files.
    scenario
        Name of a preset, or path of a scenario file.
    set
        Keys of the scenario to change: KEY=VALUE, such as cell.bandwidth=5e6; may be given several times.
    env_id
        Environment to train in.
    num_users
        Users in the cell, at most 100000; by default the scenario's own number.
    hyperparameters
        TOML file with the tables policy, ppo and cloning, or "cloned" (a warm start) or "mixed" (several numbers of
        users), which ship; by default the file that ships for the scenario.
    total_timesteps
        Rounds to train on, at most 1e15; rounded up to whole updates.
    seed
        Seed of everything random: two runs on one machine with one seed and thread count are equal bit by bit.
    seeds
        Seeds to train one agent each for, in ``run_dir/seed-N``, instead of one agent in ``run_dir``.
    jobs
        How many of them train at a time; 0 means one per core.
    runner
        Where they train: one after the other in this process (``"local"``), in ``"processes"``, or on ``"ray"``, whose
        cluster must see ``run_dir`` under the same name.
    resume
        Continue the run in ``run_dir`` from its last checkpoint, to the weights that it would have had uninterrupted.
    threads
        Threads of the network's arithmetic.
    eval_every
        Updates between evaluations; 0 evaluates at the end only.
    eval_cells
        Held-out cells of an evaluation, at most a million.
    checkpoint_every
        Updates between checkpoints.
    target_ratio
        Stop as soon as an evaluation's mean ratio to the reference reaches this.
    progress
        Show a progress bar.
    policy
        Shape of the policy.
    ppo
        Hyperparameters of PPO.
    cloning
        Behaviour cloning before PPO.
    """

    run_dir: str = "runs/default"
    scenario: str = "default"
    set: tuple[str, ...] = ()
    env_id: str = MULTI_SPIN.id
    num_users: int | None = None
    hyperparameters: str | None = None
    total_timesteps: int = 1_000_000
    seed: int = 0
    seeds: tuple[int, ...] = ()
    jobs: int = 0
    runner: Literal["local", "processes", "ray"] = "processes"
    resume: bool = False
    threads: int = 1
    eval_every: int = 10
    eval_cells: int = 512
    checkpoint_every: int = 25
    target_ratio: float | None = None
    progress: bool = True
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    ppo: PPOConfig = field(default_factory=PPOConfig)
    cloning: CloningConfig = field(default_factory=CloningConfig)

    def __post_init__(self) -> None:
        changes = check_list("set", self.set, kind="a list of texts KEY=VALUE", of=str)
        read_changes(changes)
        object.__setattr__(self, "set", tuple(changes))
        for name in ("run_dir", "scenario", "env_id"):
            check_text(name, getattr(self, name))
        if self.hyperparameters is not None:
            check_text("hyperparameters", self.hyperparameters)
        learnable_variant(self.env_id)
        if self.num_users is not None:
            check_integer("num_users", self.num_users, low=1, high=MOST_USERS)
        check_integer("total_timesteps", self.total_timesteps, low=1, high=MOST_TIMESTEPS)
        check_integer("seed", self.seed, low=0, high=2**32 - 1)
        self._check_seeds()
        check_integer("jobs", self.jobs, low=0, high=1024)
        check_choice("runner", self.runner, RUNNERS)
        check_integer("threads", self.threads, low=1, high=1024)
        check_integer("eval_every", self.eval_every, low=0, high=MOST_TIMESTEPS)
        check_integer("eval_cells", self.eval_cells, low=1, high=MOST_EVALUATION_CELLS)
        check_integer("checkpoint_every", self.checkpoint_every, low=1, high=MOST_TIMESTEPS)
        for name in ("resume", "progress"):
            _check_flag(name, getattr(self, name))
        if self.target_ratio is not None:
            check_number("target_ratio", self.target_ratio, low=0.0, low_open=True)

    def _check_seeds(self) -> None:
        seeds = check_list("seeds", self.seeds)
        if len(seeds) > MOST_SEEDS:
            raise ValueError(f"seeds must be at most {MOST_SEEDS}, got {len(seeds)} of them")
        for seed in seeds:
            check_integer("seeds", seed, low=0, high=2**32 - 1)
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"seeds must differ from each other, got {shown(list(seeds))}")
