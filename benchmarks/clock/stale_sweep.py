"""What old and noisy channel reports cost, by how old, how noisy, and how fast channels change.

``python benchmarks/clock/stale_sweep.py --help``. Writes stale_sweep.json and .md and prints the table.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _opponent import Opponent
from _report import head, interval_text, table
from _stale_opponents import OPPONENTS
from _study import StudyInPieces, run

from multispin_gym import Scenario, load_scenario
from multispin_gym.envs.variants import STALE
from multispin_gym.evaluation.service.loop import play_service
from multispin_gym.statistics import regret_estimate

# The clairvoyant, which the others are compared with, first.
LABELS = (
    "the round's optimum",
    "mean_heterogeneous",
    "backoff, cut-off",
    "quantile, cut-off",
    "stochastic programme",
)


@dataclass(frozen=True, kw_only=True)
class StaleSweep(StudyInPieces):
    """Play the rules in cells that differ in the correlation of a report with the present, and in its noise.

    A correlation comes about in two ways: the age of reports is changed, or the coherence time. Each cell and rule is a
    piece; rules are tuned for each cell. Writes stale_sweep.json and stale_sweep.md.
    """

    correlations: tuple[float, ...] = (0.99, 0.9, 0.7, 0.5)
    """Correlations of the amplitude at the report with the present one, each with the scenario's noise."""
    noises: tuple[float, ...] = (0.0, 3.0, 6.0)
    """Errors of reports, dB, each with the scenario's age and coherence time."""
    trials: int = 6
    """Most trials of each rule in each cell."""
    validation_episodes: int = 16
    """Episodes of each trial."""
    validation_seed: int = 500_000
    """Validation episode i is seeded with VALIDATION_SEED + i."""
    episodes: int = 50
    """Episodes of each tuned rule."""
    seed: int = 1000
    """Episode i is seeded with SEED + i."""
    output: Path = Path("results/clock")


def cells(correlations: Sequence[float], noises: Sequence[float]) -> dict[str, dict[str, float]]:
    """What is changed in the clock of each cell, by a name."""
    clock = load_scenario("stale").clock
    assert clock is not None
    assert clock.coherence_time is not None
    found: dict[str, dict[str, float]] = {"the scenario": {}}
    for rho in correlations:
        found[f"correlation {rho:g}, by age"] = {"report_age": -math.log(rho) * clock.coherence_time}
    for rho in correlations:
        found[f"correlation {rho:g}, by coherence"] = {"coherence_time": -clock.report_age / math.log(rho)}
    return found | {f"noise {noise:g} dB": {"report_noise_db": noise} for noise in noises}


def measure(changes: Mapping[str, float], label: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Tune a rule in a cell, and play it."""
    base = load_scenario("stale")
    assert base.clock is not None
    scenario = dataclasses.replace(base, clock=dataclasses.replace(base.clock, **changes))
    rule = next(rule for rule in OPPONENTS if rule.label == label)
    choices = rule.trials(options["trials"], options["validation_seed"])
    if len(choices) > 1:
        episodes, seed = options["validation_episodes"], options["validation_seed"]
        choices = [max(choices, key=lambda choice: played(rule, choice, scenario, episodes, seed).mean())]
    returns = played(rule, choices[0], scenario, options["episodes"], options["seed"])
    return {"options": {**rule.fixed, **choices[0]}, "returns": returns.tolist()}


def played(
    rule: Opponent, choice: Mapping[str, Any], scenario: Scenario, episodes: int, seed: int
) -> np.ndarray[Any, Any]:
    """Goodput of each episode, token/s."""
    return play_service(rule.player(scenario, choice), STALE, scenario, episodes, seed).goodput


def page(report: Mapping[str, Any]) -> str:
    """What each rule loses against who knows the channels, cell by cell."""
    lines = []
    for name, rows in report["cells"].items():
        first = rows[LABELS[0]]
        lines.append([name, f"{np.mean(first['returns']):.1f}", *(_loss(rows[label]) for label in LABELS[1:])])
    heads = ["cell", "clairvoyant, token/s", *(f"{label}: below" for label in LABELS[1:])]
    return table(heads, lines)


def _loss(row: Mapping[str, Any]) -> str:
    options = ", ".join(f"{value:g}" for value in row["options"].values() if not isinstance(value, str))
    return interval_text(row["loss"], ".1%") + (f" [{options}]" if options else "")


def study(options: StaleSweep, command: str) -> None:
    changes = cells(options.correlations, options.noises)
    kept = ("trials", "validation_episodes", "validation_seed", "episodes", "seed")
    settings = {name: getattr(options, name) for name in kept}
    pieces = {(cell, label): (changes[cell], label, settings) for cell in changes for label in LABELS}
    found = options.do(measure, pieces)
    rows: dict[str, dict[str, Any]] = {cell: {label: found[cell, label] for label in LABELS} for cell in changes}
    for of_rules in rows.values():
        for label in LABELS[1:]:
            best = of_rules[LABELS[0]]["returns"]
            of_rules[label]["loss"] = regret_estimate(of_rules[label]["returns"], best, options.seed).to_dict()
    report = {**head(command), **settings, "changes": changes, "cells": rows}
    text = page(report)
    options.write({"stale_sweep.json": report, "stale_sweep.md": text})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(StaleSweep, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
