"""What a cell delivers whose users always have requests: the figures that loads and deadlines are relative to.

``python benchmarks/clock/reference_load.py --help``. Writes reference_load.json and prints a Markdown table.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _report import head, interval_text, table
from _study import StudyInPieces, run

from multispin_gym import Scenario, load_scenario
from multispin_gym.baselines import make_controller
from multispin_gym.envs.variants import SERVE
from multispin_gym.evaluation.player import Player
from multispin_gym.evaluation.service.loop import play_service


@dataclass(frozen=True, kw_only=True)
class ReferenceLoad(StudyInPieces):
    """Play proportional fairness, which knows channels and rates, where a finished request is replaced at once.

    Deadlines, old reports and cut-offs are switched off. Writes reference_load.json.
    """

    scenarios: tuple[str, ...] = ("deadline", "serve")
    """Scenarios whose clock has requests."""
    episodes: int = 64
    """Episodes of each."""
    seed: int = 0
    """Episode i is seeded with SEED + i."""
    output: Path = Path("results/clock")


def saturated(scenario: Scenario) -> Scenario:
    """Return a scenario in which nobody waits for anything but the next round."""
    clock = scenario.clock
    if clock is None or clock.requests is None:
        raise ValueError(f"scenarios must have requests in their clock, got {scenario.name!r}")
    requests = dataclasses.replace(clock.requests, arrivals="replaced", slack=None)
    changes: dict[str, Any] = {"report_age": 0.0, "report_noise_db": 0.0, "cutoff": False, "reward": "tokens"}
    return dataclasses.replace(scenario, clock=dataclasses.replace(clock, requests=requests, **changes))


def measure(name: str, episodes: int, seed: int) -> dict[str, Any]:
    """Play one scenario by its name."""
    return references_of(load_scenario(name), episodes, seed)


def references_of(scenario: Scenario, episodes: int, seed: int) -> dict[str, Any]:
    """Play a scenario; return goodput and the median time per token, with intervals."""
    rule = make_controller("heterogeneous", objective="proportional_fair")
    found = play_service(Player("proportional fairness", rule), SERVE, saturated(scenario), episodes, seed)
    estimates = found.estimates(seed)
    kept = {"reference_goodput": "goodput", "reference_time_per_token": "time_per_token_p50"}
    return {key: estimates[measure].to_dict() for key, measure in kept.items()}


def study(options: ReferenceLoad, command: str) -> None:
    pieces = {name: (name, options.episodes, options.seed) for name in options.scenarios}
    rows = options.do(measure, pieces)
    options.write({"reference_load.json": {**head(command), "scenarios": rows}})
    lines = [
        [
            f"`{name}`",
            interval_text(row["reference_goodput"], ".1f"),
            interval_text(row["reference_time_per_token"], ".4f"),
        ]
        for name, row in rows.items()
    ]
    print(table(("scenario", "`reference_goodput`, token/s (95 %)", "`reference_time_per_token`, s (95 %)"), lines))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(ReferenceLoad, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
