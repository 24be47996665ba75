"""What it is worth to decide whom to serve, over loads and deadlines.

``python benchmarks/clock/deadline_sweep.py --help``. Writes deadline_sweep.json and .md and prints the table.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _opponent import Opponent
from _report import head, interval_text, table
from _study import StudyInPieces, run
from deadline_bound import at_load, requests_of

from multispin_gym import Scenario, load_scenario
from multispin_gym.baselines.on_time_bound import on_time_bound
from multispin_gym.envs.variants import DEADLINE
from multispin_gym.evaluation.service.loop import play_service
from multispin_gym.statistics import mean_estimate

GIVES_UP = {"admission": True}
FAIR = {"objective": "proportional_fair"}
# Options are the same everywhere: rules are steered at none of the points more than at the others.
RULES = (
    Opponent(label="sum", name="equal_weights", knows="what it sees", fixed={"objective": "sum"}),
    Opponent(label="fair", name="equal_weights", knows="what it sees", fixed=FAIR),
    Opponent(label="deadlines first", name="earliest_deadline", knows="what it sees", fixed={"decay": 0.9, **FAIR}),
    Opponent(
        label="hopeless given up",
        name="equal_weights",
        knows="what it sees",
        fixed={"hopeless": 0.6, **FAIR},
        clock=GIVES_UP,
    ),
    Opponent(
        label="index",
        name="request_index",
        knows="what it sees",
        fixed={"threshold": 0.5, "power": 0.0, "temperature": 1.0, **FAIR},
        clock=GIVES_UP,
    ),
    Opponent(label="rollout", name="deadline_rollout", knows="what it sees", clock=GIVES_UP),
)


@dataclass(frozen=True, kw_only=True)
class DeadlineSweep(StudyInPieces):
    """Play rules that decide how to split rounds, and rules that also give requests up, at loads and slacks.

    Every pair of a load and a slack is a piece. Writes deadline_sweep.json and deadline_sweep.md.
    """

    scenario: str = "deadline"
    """A scenario with requests that have deadlines."""
    loads: tuple[float, ...] = (0.6, 0.9, 1.2, 1.5)
    """Loads."""
    slacks: tuple[tuple[float, float], ...] = ((1.2, 3.0), (0.8, 2.0))
    """Least and largest slack of each."""
    episodes: int = 24
    """Episodes of each rule at each point."""
    seed: int = 1000
    """Episode i is seeded with SEED + i."""
    output: Path = Path("results/clock")


def with_slack(scenario: Scenario, slack: tuple[float, float]) -> Scenario:
    """The scenario with other deadlines."""
    assert scenario.clock is not None
    assert scenario.clock.requests is not None
    requests = dataclasses.replace(scenario.clock.requests, slack=slack)
    return dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, requests=requests))


def measure(name: str, load: float, slack: Sequence[float], episodes: int, seed: int) -> dict[str, Any]:
    """Requests on time of every rule, those that came, and the bound."""
    scenario = at_load(with_slack(load_scenario(name), (slack[0], slack[1])), load)
    assert scenario.clock is not None
    assert scenario.clock.episode_seconds is not None
    found = [requests_of(scenario, seed + episode) for episode in range(episodes)]
    bounds = [
        on_time_bound(requests, scenario.cell, scenario.num_users, scenario.clock.episode_seconds) for requests in found
    ]
    rows = {"came": [float(len(requests.length)) for requests in found]}
    for rule in RULES:
        own = rule.scenario(scenario)
        rows[rule.label] = play_service(rule.player(scenario, {}), DEADLINE, own, episodes, seed).returns.tolist()
    return {**rows, "bound": bounds}


def gains(row: Mapping[str, Sequence[float]], seed: int) -> dict[str, Any]:
    """Every column's mean, and the gain of the better rule that gives up over the better that does not, in pairs."""
    means = {label: mean_estimate(values, seed).to_dict() for label, values in row.items()}
    stays, leaves = (
        max((rule.label for rule in RULES if bool(rule.clock) == gives), key=lambda label: means[label]["mean"])
        for gives in (False, True)
    )
    more = np.array(row[leaves]) - np.array(row[stays])
    return {**means, "gain": mean_estimate(more, seed).to_dict()}


def study(options: DeadlineSweep, command: str) -> None:
    points = list(itertools.product(options.loads, options.slacks))
    pieces = {f"{load}, {low}..{high}": (options.scenario, load, (low, high), options.episodes, options.seed)
              for load, (low, high) in points}  # fmt: skip
    found = options.do(measure, pieces)
    summary = {point: gains(row, options.seed) for point, row in found.items()}
    lines = [
        [point, *(interval_text(cell, ".1f") if key == "gain" else f"{cell['mean']:.1f}" for key, cell in row.items())]
        for point, row in summary.items()
    ]
    text = table(["load, slack", *next(iter(summary.values()))], lines)
    report = {
        **head(command),
        "scenario": options.scenario,
        "episodes": options.episodes,
        "seed": options.seed,
        "points": summary,
    }
    options.write({"deadline_sweep.json": report, "deadline_sweep.md": text})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(DeadlineSweep, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
