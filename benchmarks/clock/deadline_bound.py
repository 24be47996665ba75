"""How many requests can end on time at most, episode by episode, for who knows all that is to come.

``python benchmarks/clock/deadline_bound.py --help``. Writes deadline_bound.json and prints a Markdown table.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _report import head, interval_text, table
from _study import StudyInPieces, run

from multispin_gym import Scenario, load_scenario
from multispin_gym._counters import keys_of, words
from multispin_gym.baselines.on_time_bound import EpisodeRequests, on_time_bound
from multispin_gym.envs.clock.newcomers import COLUMNS, Newcomers
from multispin_gym.envs.clock.streams import FADING, STREAMS
from multispin_gym.statistics import mean_estimate


@dataclass(frozen=True, kw_only=True)
class DeadlineBound(StudyInPieces):
    """Bound what can be earned with requests on time, in the episodes of some seeds at some loads."""

    scenario: str = "deadline"
    """A scenario with requests that have deadlines."""
    loads: tuple[float, ...] = ()
    """Loads; by default the scenario's own."""
    episodes: int = 100
    """Episodes of each."""
    seed: int = 1000
    """Episode i is seeded with SEED + i."""
    output: Path = Path("results/clock")


def at_load(scenario: Scenario, load: float | None) -> Scenario:
    """The scenario with another load."""
    clock = scenario.clock
    if clock is None or clock.requests is None or clock.requests.slack is None:
        raise ValueError(f"scenario must have requests with deadlines, got {scenario.name!r}")
    if load is None:
        return scenario
    requests = dataclasses.replace(clock.requests, load=load)
    return dataclasses.replace(scenario, clock=dataclasses.replace(clock, requests=requests))


def requests_of(scenario: Scenario, seed: int) -> EpisodeRequests:
    """The requests that come in the episode of a seed."""
    clock = scenario.clock
    assert clock is not None
    assert clock.episode_seconds is not None
    row = np.zeros(1, dtype=np.int64)
    keys = words(keys_of(seed, STREAMS)[:FADING, None], row)
    newcomers = Newcomers(scenario, clock, keys)
    newcomers.begin(row, lambda: keys)
    records = []
    while newcomers.arrival[0] <= clock.episode_seconds:
        records.append(newcomers.take(row, row + 1)[2][0])
    held = {name: np.array([record[column] for record in records]) for name, column in COLUMNS.items()}
    paid = held["length"] if clock.reward == "tokens_on_time" else np.ones(len(records))
    return EpisodeRequests(
        held["arrival"],
        held["deadline"],
        held["length"],
        held["acceptance_rate"],
        1.0 / held["drafting_speed"],
        paid,
    )


def measure(name: str, load: float | None, episodes: int, seed: int) -> dict[str, Any]:
    """Bounds and numbers of requests at a load."""
    return bounds_of(at_load(load_scenario(name), load), episodes, seed)


def bounds_of(scenario: Scenario, episodes: int, seed: int) -> dict[str, Any]:
    """Bounds and numbers of requests, with intervals over episodes."""
    assert scenario.clock is not None
    assert scenario.clock.episode_seconds is not None
    found = [requests_of(scenario, seed + episode) for episode in range(episodes)]
    bounds = [
        on_time_bound(requests, scenario.cell, scenario.num_users, scenario.clock.episode_seconds) for requests in found
    ]
    came = [float(requests.value.sum()) for requests in found]
    return {
        "bound": mean_estimate(bounds, seed).to_dict(),
        "came": mean_estimate(came, seed).to_dict(),
        "bounds": bounds,
    }


def study(options: DeadlineBound, command: str) -> None:
    loads = options.loads or (None,)
    pieces = {str(load): (options.scenario, load, options.episodes, options.seed) for load in loads}
    found = options.do(measure, pieces)
    options.write({"deadline_bound.json": {**head(command), "scenario": options.scenario, "loads": found}})
    lines = [
        ["own" if load == "None" else load, *(interval_text(row[key], ".1f") for key in ("came", "bound"))]
        for load, row in found.items()
    ]
    print(table(["load", "worth of all that came", "bound"], lines))


def main(arguments: Sequence[str] | None = None) -> int:
    return run(DeadlineBound, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
