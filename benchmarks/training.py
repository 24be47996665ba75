"""What training comes to: agents of several seeds in every preset, on cells that neither training nor search has seen.

``python benchmarks/training.py --help``. Writes training.json and prints a Markdown table.
"""

from __future__ import annotations

import csv
import dataclasses
import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from publish import CARD_SEED

from multispin_gym import list_scenarios
from multispin_gym._files import write_atomically
from multispin_gym._validation import check_choice, check_integer
from multispin_gym.agents.config import ENV_IDS, LengthDistribution, TrainConfig
from multispin_gym.agents.hyperparameter_files import RECIPES, hyperparameters
from multispin_gym.agents.training.seeds import mean_interval, seed_directory, train_seeds
from multispin_gym.baselines import make_controller
from multispin_gym.evaluation.report import versions

STARTS = ("scratch", "cloned", "homogeneous")
AGNOSTIC = ("random", "uniform_fixed", "uniform_best", "tk_slt")
OTHERS = ("homogeneous", "heterogeneous", "server_only")


@dataclass(frozen=True)
class Training:
    """Train agents with several seeds in every preset and compare them with the controllers.

    Runs that are there already are kept, and unfinished ones continued. Writes training.json.
    """

    scenarios: tuple[str, ...] = ()
    """Presets; by default all."""
    starts: tuple[str, ...] = STARTS
    """How agents start: from scratch, cloned, or from scratch in the homogeneous environment; or "mixed", from scratch
    with 4, 8, 16 and 32 users in turns."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    total_timesteps: int | None = None
    """Rounds of a training; None: those of the hyperparameter files."""
    num_users: int | None = None
    """Users in the cell; None: each scenario's number."""
    cloned_cells: int | None = None
    """Cells in which a warm start is shown decisions; None: those of the hyperparameter file."""
    lengths: LengthDistribution | None = None
    """Distribution of the draft lengths; None: that of the hyperparameter files."""
    other_users: tuple[int, ...] = ()
    """Numbers of users that the trained agents are measured with as well."""
    cells: int = 1024
    """Held-out cells that the trained agents are measured on."""
    jobs: int = 0
    """Trainings at a time; 0: one per core."""
    runs: Path = Path("runs/training")
    """Directory for the runs."""
    output: Path = Path("results/training")
    """Directory for the results."""

    def __post_init__(self) -> None:
        for start in self.starts:
            check_choice("starts", start, (*STARTS, "mixed"))
        check_integer("cells", self.cells, low=2)


def configuration(options: Training, scenario: str, start: str) -> TrainConfig:
    """Return the configuration of one row of the table: what train.py takes, with its shipped hyperparameters."""
    fields = hyperparameters(scenario, start if start in RECIPES else None)
    if options.total_timesteps is not None:
        fields["total_timesteps"] = options.total_timesteps
    if options.cloned_cells is not None and start == "cloned":
        fields["cloning"] = dataclasses.replace(fields["cloning"], num_cells=options.cloned_cells)
    if options.lengths is not None:
        fields["policy"] = dataclasses.replace(fields["policy"], lengths=options.lengths)
    folder = options.runs / f"{scenario}-{start}"
    return TrainConfig(
        **fields,
        scenario=scenario,
        env_id=ENV_IDS[1] if start == "homogeneous" else ENV_IDS[0],
        num_users=options.num_users,
        run_dir=str(folder),
        seeds=options.seeds,
        jobs=options.jobs,
        resume=folder.is_dir(),
    )


def measure(config: TrainConfig, cells: int, num_users: int | None = None) -> dict[str, Any]:
    """Ratios to the reference on held-out cells: of the agents, with an interval over seeds, and of the controllers."""
    from multispin_gym.agents import load_agent
    from multispin_gym.agents.training.held_out import HeldOutCells
    from multispin_gym.physics.rounds import compute_round

    agents = {seed: load_agent(seed_directory(config.run_dir, seed)) for seed in config.seeds}
    spec = next(iter(agents.values())).spec
    held_out = HeldOutCells(spec.scenario, num_users or spec.num_users, cells, spec.env_id, CARD_SEED)
    ratios = {
        seed: float((held_out.goodput(agent.act(held_out.observation)) / held_out.reference).mean())
        for seed, agent in agents.items()
    }
    controllers = {}
    for name in (*AGNOSTIC, *OTHERS):
        decision = make_controller(name)(held_out.users, held_out.cell)
        goodput = compute_round(held_out.users, held_out.cell, decision).goodput
        controllers[name] = mean_interval((goodput / held_out.reference).tolist())
    return {
        "num_users": held_out.users.num_users,
        "cells": cells,
        "ratio": mean_interval(list(ratios.values())),
        "seeds": ratios,
        "controllers": controllers,
    }


def curves(config: TrainConfig) -> dict[str, list[dict[str, float]]]:
    """Read the evaluations while training, on cells of their own, of every seed."""
    found = {}
    for seed in config.seeds:
        lines = (seed_directory(config.run_dir, seed) / "evaluations.csv").read_text().splitlines()
        found[str(seed)] = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    return found


def row_text(scenario: str, start: str, row: dict[str, Any], curves: dict[str, list[dict[str, float]]]) -> str:
    """One line of the table."""
    interval = row["ratio"]["ci95"]
    spread = "" if interval is None else f" ({interval[0]:.4f}, {interval[1]:.4f})"
    agnostic = max(AGNOSTIC, key=lambda name: row["controllers"][name]["mean"])
    others = [f"{row['controllers'][name]['mean']:.4f}" for name in (agnostic, *OTHERS)]
    seconds = max(curve[-1]["seconds"] for curve in curves.values())
    rounds = next(iter(curves.values()))[-1]["timesteps"]
    cells = [f"`{scenario}`", start, str(row["num_users"]), f"{rounds:,.0f}", f"{seconds:.0f}"]
    cells += [f"{row['ratio']['mean']:.4f}{spread}", f"{others[0]} (`{agnostic}`)", *others[1:]]
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train and measure what a command line asks for."""
    import tyro

    args = list(sys.argv[1:] if arguments is None else arguments)
    options = tyro.cli(Training, args=args)
    report: dict[str, Any] = {
        "command": shlex.join(["python", "benchmarks/training.py", *args]),
        "versions": versions(),
        "scenarios": {},
    }
    columns = ("scenario", "start", "K", "rounds", "longest, s", "agent (95 %)", "best agnostic", *OTHERS)
    print(f"| {' | '.join(columns)} |\n|---|---{'|---:' * (len(columns) - 2)}|")
    for scenario in options.scenarios or list_scenarios():
        for start in options.starts:
            config = configuration(options, scenario, start)
            if train_seeds(config)["interrupted"]:
                return 130
            settings = {name: dataclasses.asdict(getattr(config, name)) for name in ("policy", "ppo", "cloning")}
            learning = curves(config)
            row = {**measure(config, options.cells), "curves": learning, "hyperparameters": settings}
            row["other_users"] = [measure(config, options.cells, count) for count in options.other_users]
            report["scenarios"].setdefault(scenario, {})[start] = row
            for measured in (row, *row["other_users"]):
                print(row_text(scenario, start, measured, learning), flush=True)
    write_atomically(options.output, {"training.json": (json.dumps(report, indent=2) + "\n").encode()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
