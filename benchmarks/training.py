"""What training comes to: agents of several seeds in every preset, on cells that neither training nor search has seen.

``python benchmarks/training.py --help``. Writes training.json and prints a Markdown table.
"""

from __future__ import annotations

import csv
import dataclasses
import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _report import head, interval_text, table
from _study import OverScenarios, StudyInPieces, run
from publish import CARD_SEED, common_reference

from multispin_gym import list_scenarios
from multispin_gym._validation import FloatArray, check_choice, check_integer
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.config_sections import LengthDistribution
from multispin_gym.agents.hyperparameter_files import RECIPES, hyperparameters
from multispin_gym.agents.training.seeds import seed_directory, train_seeds
from multispin_gym.baselines import make_controller
from multispin_gym.envs.variants import HOMOGENEOUS, MULTI_SPIN
from multispin_gym.statistics import interquartile_mean, ratio_estimate

if TYPE_CHECKING:
    from multispin_gym.agents.training.held_out import HeldOutCells

STARTS = ("scratch", "cloned", "homogeneous")
TRACKS: dict[str, dict[str, Any]] = {
    "assisted": {},
    "raw": {"share_reference": "equal"},
    "lengths_only": {"share_reference": "equal_finish", "shares": "exact"},
}
"""What a policy is told of the shares: those with which all finish together; nothing; they are computed for it."""
AGNOSTIC = ("random", "uniform_fixed", "uniform_best", "tk_slt")
OTHERS = ("homogeneous", "nested_polished", "heterogeneous", "server_only")


@dataclass(frozen=True, kw_only=True)
class Training(StudyInPieces, OverScenarios):
    """Train agents with several seeds in every preset and compare them with the controllers.

    Each scenario with each start is a piece; where pieces are done one after the other, its seeds are trained side by
    side instead. Runs that are there already are kept, and unfinished ones continued. Writes training.json.
    """

    starts: tuple[str, ...] = STARTS
    """How agents start: from scratch, cloned, or from scratch in the homogeneous environment; or "mixed", from scratch
    with 4, 8, 16 and 32 users in turns."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Training seeds."""
    total_timesteps: int | None = None
    """Rounds of a training; None: those of the hyperparameter files."""
    tracks: tuple[str, ...] = ("assisted",)
    """What policies are told of the shares: "assisted", the shares with which all finish together; "raw", nothing;
    "lengths_only", the shares are computed. A table for each."""
    num_users: tuple[int, ...] = ()
    """Numbers of users in the cell; by default each scenario's."""
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

    def __post_init__(self) -> None:
        for start in self.starts:
            check_choice("starts", start, (*STARTS, "mixed"))
        for track in self.tracks:
            check_choice("tracks", track, tuple(TRACKS))
        check_integer("cells", self.cells, low=2)


@dataclass(frozen=True)
class Row:
    """One row of a table: agents of several seeds, trained alike."""

    scenario: str
    start: str
    track: str
    num_users: int | None

    @property
    def label(self) -> str:
        """What tells the row from others of its scenario."""
        track = () if self.track == "assisted" else (self.track,)
        users = () if self.num_users is None else (f"{self.num_users}_users",)
        return "-".join((self.start, *track, *users))


def configuration(options: Training, row: Row) -> TrainConfig:
    """Return the configuration of one row of the table: what train.py takes, with its shipped hyperparameters."""
    scenario, start = row.scenario, row.start
    fields = hyperparameters(scenario, start if start in RECIPES else None)
    if options.total_timesteps is not None:
        fields["total_timesteps"] = options.total_timesteps
    if options.cloned_cells is not None and start == "cloned":
        fields["cloning"] = dataclasses.replace(fields["cloning"], num_cells=options.cloned_cells)
    if options.lengths is not None:
        fields["policy"] = dataclasses.replace(fields["policy"], lengths=options.lengths)
    fields["policy"] = dataclasses.replace(fields["policy"], **TRACKS[row.track])
    return TrainConfig(
        **fields,
        scenario=scenario,
        env_id=(HOMOGENEOUS if start == "homogeneous" else MULTI_SPIN).id,
        num_users=row.num_users,
        run_dir=str(options.runs / f"{scenario}-{row.label}"),
        seeds=options.seeds,
        jobs=options.jobs if options.runner == "local" else 1,
    )


def played_on(held_out: HeldOutCells) -> dict[str, FloatArray]:
    """Goodput of every controller of the table in each held-out cell."""
    from multispin_gym.physics.rounds import compute_round

    return {
        name: compute_round(held_out.users, held_out.cell, make_controller(name)(held_out.users, held_out.cell)).goodput
        for name in (*AGNOSTIC, *OTHERS)
    }


def measure(config: TrainConfig, cells: int, counts: Sequence[int], num_users: int | None = None) -> dict[str, Any]:
    """Ratios of sums to the reference on held-out cells: of the agents, over seeds and cells, and of the controllers.

    The reference is one that fits all of ``counts``, the numbers of users in the table. The lowest decile is that of a
    cell's own ratio, over all seeds and cells.
    """
    from multispin_gym.agents import load_agent
    from multispin_gym.agents.training.held_out import HeldOutCells

    agents = {seed: load_agent(seed_directory(config.run_dir, seed)) for seed in config.seeds}
    spec = next(iter(agents.values())).spec
    reference = common_reference(spec.variant.action_set, [spec.num_users, *counts])
    held_out = HeldOutCells(spec.scenario, num_users or spec.num_users, cells, spec.env_id, CARD_SEED, reference)
    reached = {seed: held_out.goodput(agent.act(held_out.observation)) for seed, agent in agents.items()}
    ratios = {seed: float(goodput.sum() / held_out.reference.sum()) for seed, goodput in reached.items()}
    played = played_on(held_out)
    return {
        "num_users": held_out.users.num_users,
        "cells": cells,
        "reference": held_out.reference_text,
        "ratio": ratio_estimate(list(reached.values()), held_out.reference, CARD_SEED).to_dict(),
        "ratio_to_nested_polished": ratio_estimate(
            list(reached.values()), played["nested_polished"], CARD_SEED
        ).to_dict(),
        "iqm_over_seeds": float(interquartile_mean(list(ratios.values()))),
        "lowest_decile": float(np.quantile(list(reached.values()) / held_out.reference, 0.1)),
        "seeds": ratios,
        "controllers": {
            name: ratio_estimate(goodput, held_out.reference, CARD_SEED).to_dict() for name, goodput in played.items()
        },
    }


def curves(config: TrainConfig) -> dict[str, list[dict[str, float]]]:
    """Read the evaluations while training, on cells of their own, of every seed."""
    found = {}
    for seed in config.seeds:
        lines = (seed_directory(config.run_dir, seed) / "evaluations.csv").read_text().splitlines()
        found[str(seed)] = [{key: float(value) for key, value in row.items()} for row in csv.DictReader(lines)]
    return found


def train_and_measure(config: TrainConfig, cells: int, other_users: Sequence[int]) -> dict[str, Any]:
    """Train the agents of one row, or what is missing of them, and measure them."""
    if train_seeds(dataclasses.replace(config, resume=Path(config.run_dir).is_dir()))["interrupted"]:
        raise KeyboardInterrupt
    settings = {name: dataclasses.asdict(getattr(config, name)) for name in ("policy", "ppo", "cloning")}
    row = {**measure(config, cells, other_users), "curves": curves(config), "hyperparameters": settings}
    row["other_users"] = [measure(config, cells, other_users, count) for count in other_users]
    return row


def _regret(measured: dict[str, Any]) -> str:
    """Regret to the rule, with an interval over seeds and cells, or over seeds where only ratios of theirs are left."""
    if "ratio_to_nested_polished" not in measured:
        return interval_text(measured["regret_to_nested_polished"], "+.3%")
    ratio = measured["ratio_to_nested_polished"]
    low, high = ratio["ci95"]
    return f"{1 - ratio['mean']:+.3%} ({1 - high:+.3%}, {1 - low:+.3%})"


def lines_of(row: Row, result: dict[str, Any]) -> list[list[str]]:
    """Lines of the table: one for each number of users that the agents of a row were measured with."""
    seconds = max(curve[-1]["seconds"] for curve in result["curves"].values())
    rounds = next(iter(result["curves"].values()))[-1]["timesteps"]
    lines = []
    for measured in (result, *result.get("other_users", ())):
        means = {name: estimate["mean"] for name, estimate in measured["controllers"].items()}
        best = max(AGNOSTIC, key=lambda name, means=means: means[name])
        cells = [f"`{row.scenario}`", row.start, str(measured["num_users"]), f"{rounds:,.0f}", f"{seconds:.0f}"]
        cells += [interval_text(measured["ratio"], ".4f"), _regret(measured)]
        cells.append(f"{means[best]:.4f} (`{best}`)")
        lines.append(cells + [f"{means[name]:.4f}" for name in OTHERS])
    return lines


def study(options: Training, command: str) -> None:
    rows = [
        Row(*values)
        for values in itertools.product(
            options.scenarios or list_scenarios(clock=False),
            options.starts,
            options.tracks,
            options.num_users or (None,),
        )
    ]
    pieces = {row: (configuration(options, row), options.cells, options.other_users) for row in rows}
    scenarios: dict[str, dict[str, Any]] = {}
    found = options.do(train_and_measure, pieces)
    for row, result in found.items():
        scenarios.setdefault(row.scenario, {})[row.label] = {"track": row.track, **result}
    options.write({"training.json": {**head(command), "scenarios": scenarios}})
    print_tables(found.items())


def print_tables(found: Iterable[tuple[Row, dict[str, Any]]]) -> None:
    """Print a table for each track of what policies are told of the shares."""
    lines: dict[str, list[list[str]]] = {}
    for row, result in found:
        lines.setdefault(row.track, []).extend(lines_of(row, result))
    columns = ("K", "rounds", "longest, s", "agent (95 %)", "regret to nested_polished", "best agnostic", *OTHERS)
    # Tracks are not compared with each other: what a policy is told of the shares is not learned.
    for track, its_lines in lines.items():
        print(f"\n{track}\n\n{table(('scenario', 'start', *columns), its_lines, left=2)}")


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Training, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
