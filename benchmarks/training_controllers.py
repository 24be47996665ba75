"""The controllers anew on the cells of trainings that are published, and the regret of what was trained there.

``python benchmarks/training_controllers.py --help``. What was trained need not be kept: cells are functions of a seed.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from _report import head, write
from _study import run
from publish import CARD_SEED
from training import Row, Training, played_on, print_tables

from multispin_gym import Scenario, load_scenario
from multispin_gym._command_line import parse
from multispin_gym._validation import check_choice
from multispin_gym.baselines.reference import REFERENCES, ROUGH_GAP, Reference
from multispin_gym.envs.variants import HOMOGENEOUS, MULTI_SPIN
from multispin_gym.statistics import mean_interval, ratio_estimate

SAME = ("uniform_best", "homogeneous")
"""Controllers that are exact, so that their ratios tell whether cells are the ones that were published."""


@dataclass(frozen=True, kw_only=True)
class Controllers:
    """Measure the controllers of today on the cells of each training.json, and the regret of its agents to the rule.

    Rows that were measured beside nested_polished when they were trained stay as they are.
    """

    directories: tuple[Path, ...] = (Path("results/training"),)
    """Directories of training.json."""


def read(path: Path) -> dict[str, Any]:
    """Read what training.py has written."""
    report = json.loads(path.read_text(encoding="utf-8"))
    if not (isinstance(report, dict) and {"command", "scenarios"} <= report.keys()):
        raise ValueError(f"{path} is not a report of training.py: it has no command and scenarios")
    return report


def scenarios_of(report: Mapping[str, Any]) -> dict[str, Scenario]:
    """Return the scenarios of a report by the names that they have in it, files from where its command has them."""
    options = parse(Training, shlex.split(report["command"])[2:], "training.py")
    loaded = options.loaded()
    return {name: loaded[name] if name in loaded else load_scenario(name) for name in report["scenarios"]}


@cache
def _figures(scenario: Scenario, num_users: int, cells: int, env_id: str, seed: int, reference: str) -> dict[str, Any]:
    """Ratios of the controllers; trainings with other starts have met the same cells."""
    from multispin_gym.agents.training.held_out import HeldOutCells

    held_out = HeldOutCells(scenario, num_users, cells, env_id, seed, reference)
    played = played_on(held_out)
    return {name: ratio_estimate(each, held_out.reference, CARD_SEED).to_dict() for name, each in played.items()}


def measured_again(scenario: Scenario, start: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row with the controllers of today and the regret of its agents, with an interval over their seeds."""
    from multispin_gym.agents.training.held_out import HELD_OUT_SEED

    if "ratio_to_nested_polished" in row:
        return dict(row)
    described = {Reference(name, ROUGH_GAP).description: name for name in REFERENCES}
    reference = described[check_choice("reference", row["reference"], tuple(described))]
    # Trainings of an earlier kind say that the cells were those of their own evaluations.
    seed = HELD_OUT_SEED if "measured" in row else CARD_SEED
    env_id = (HOMOGENEOUS if start == "homogeneous" else MULTI_SPIN).id
    found = _figures(scenario, row["num_users"], row["cells"], env_id, seed, reference)
    for name in SAME:
        old, new = row["controllers"][name]["mean"], found[name]["mean"]
        if abs(new - old) > ROUGH_GAP:
            raise ValueError(f"{scenario.name}: other cells than today's, {name} had {old:.6f} and has {new:.6f}")
    rule = found["nested_polished"]["mean"]
    regret = mean_interval([1.0 - ratio / rule for ratio in row["seeds"].values()])
    return {**row, "controllers": found, "regret_to_nested_polished": regret}


def study(options: Controllers, command: str) -> None:
    reports: dict[Path, dict[str, Any]] = {}
    rows: list[tuple[Row, dict[str, Any]]] = []
    for directory in options.directories:
        report = read(directory / "training.json")
        scenarios = scenarios_of(report)
        for name, starts in report["scenarios"].items():
            for label, row in starts.items():
                start = label.partition("-")[0]
                starts[label] = measured_again(scenarios[name], start, row)
                rows.append((Row(name, start, row.get("track", "assisted"), row["num_users"]), starts[label]))
        reports[directory] = {**report, "controllers_measured": head(command)}
    for directory, report in reports.items():
        write(directory, {"training.json": report})
    print_tables(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Controllers, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
