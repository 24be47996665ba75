"""What rules for deadlines lose against the exact optimum of small cells.

``python benchmarks/clock/small_deadline_cells.py --help``. Writes small_deadline_cells.json and .md and prints them.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _exact_programme import GONE, Programme, SmallCell
from _report import head, interval_text, table
from _study import StudyInPieces, run

from multispin_gym import Scenario, Users, load_scenario
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.baselines import make_controller, make_estimator
from multispin_gym.baselines.estimators.deadline_rule import DeadlineRule
from multispin_gym.baselines.estimators.pending import Pending
from multispin_gym.physics.rounds import compute_round
from multispin_gym.statistics import Estimate, ratio_estimate

SUM, FAIR = {"objective": "sum"}, {"objective": "proportional_fair"}
BOTH = ("sum", "proportional_fair")
RULES: dict[str, tuple[str, Mapping[str, Sequence[Any]]]] = {
    "the round's tokens": ("equal_weights", {"objective": ("sum",)}),
    "proportional fairness": ("equal_weights", {"objective": ("proportional_fair",)}),
    "equal_weights": ("equal_weights", {"hopeless": (3.0, 2.0, 1.4)}),
    "earliest_deadline": ("earliest_deadline", {"decay": (0.9, 0.6, 0.3)}),
    "required_rate": ("required_rate", {"exponent": (0.5, 1.0, 2.0)}),
    "shortest_first": ("shortest_first", {"power": (0.5, 1.0, 2.0)}),
    "request_index": ("request_index", {"temperature": (0.1, 0.3), "speed_up": (1.5, 2.5)}),
    "open_loop_planner": ("open_loop_planner", {"speed_up": (1.3, 1.8), "always": (False, True)}),
    "deadline_rollout": ("deadline_rollout", {"temperature": (0.1, 0.3), "caution": (0.1, 0.6)}),
}
ROLLOUT = "the best decision if {rule} decides ever after"
ROLLED_OUT = ("proportional fairness", "open_loop_planner")


@dataclass(frozen=True, kw_only=True)
class SmallDeadlineCells(StudyInPieces):
    """Compare rules with the exact optimum on random cells whose requests are all there at the beginning.

    Every rule is tuned on cells of their own, and every number of users is a piece. Writes small_deadline_cells.json.
    """

    num_users: tuple[int, ...] = (2, 3)
    """Users of a cell."""
    cells: int = 24
    """Random cells of each number."""
    tuning_cells: int = 8
    """Cells on which options are chosen."""
    tokens: tuple[int, ...] = (24, 12)
    """Most tokens of a request, for each number of users."""
    slack: tuple[float, float] = (0.5, 1.5)
    """Deadlines over the time that requests take with fair shares."""
    tick: float = 0.1
    """Seconds of a tick."""
    seed: int = 0
    """Seed of the cells."""
    output: Path = Path("results/clock")


def scenario_of(num_users: int, tokens: int, slack: tuple[float, float]) -> Scenario:
    """The preset with few users, short drafts and short requests, of which next to none come later."""
    scenario = load_scenario("deadline")
    assert scenario.clock is not None
    assert scenario.clock.requests is not None
    requests = dataclasses.replace(
        scenario.clock.requests,
        length_levels=(0.0, 1.0),
        length_tokens=(max(tokens // 3, 1), tokens),
        slack=slack,
        load=1e-9,
    )
    clock = dataclasses.replace(scenario.clock, requests=requests, admission=True)
    cell = dataclasses.replace(scenario.cell, max_draft_length=5)
    return dataclasses.replace(scenario, num_users=num_users, cell=cell, clock=clock)


def draw_cell(rng: np.random.Generator, scenario: Scenario, slack: tuple[float, float], tick: float) -> SmallCell:
    """A random cell: users of the scenario on faded channels, lengths by its law, deadlines by a fair round."""
    assert scenario.clock is not None
    assert scenario.clock.requests is not None
    users = scenario.sample_users(rng)
    tokens = scenario.clock.requests.lengths(rng.random(scenario.num_users))
    fair = make_controller("heterogeneous", **FAIR)(users, scenario.cell)
    outcome = compute_round(users, scenario.cell, fair)
    seconds = rng.uniform(*slack, scenario.num_users) * tokens * outcome.latency / outcome.tokens
    due = np.maximum(np.rint(seconds / tick), 2.0).astype(np.int64)
    return SmallCell(users, scenario.cell, tokens.astype(np.int64), due, tick, int(due.max()))


def on_ticks(rule: DeadlineRule, cell: SmallCell) -> Callable[[FloatArray, FloatArray], IntArray]:
    """A rule that is asked with tokens and ticks left."""

    def decide(tokens: FloatArray, ticks: FloatArray) -> IntArray:
        same = {
            name: np.ascontiguousarray(np.broadcast_to(getattr(cell.users, name), tokens.shape))
            for name in Users.FIELDS
        }
        users = Users.trusted(**same, present=tokens > 0.0)
        pending = Pending(users, tokens, ticks * cell.tick, np.ones(tokens.shape), np.zeros(len(tokens)))
        decision = rule.decide_for(pending, cell.cell)
        assert decision.give_up is not None
        return np.where(decision.give_up, GONE, decision.draft_lengths)

    return decide


def measure(num_users: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """Optima of all cells, tuned options of every rule, and what it reaches in each cell."""
    scenario = scenario_of(num_users, options["tokens"], tuple(options["slack"]))
    rng = np.random.default_rng([options["seed"], num_users])
    count = options["tuning_cells"] + options["cells"]
    cells = [draw_cell(rng, scenario, tuple(options["slack"]), options["tick"]) for _ in range(count)]
    programmes = [Programme(cell) for cell in cells]
    tuning, test = programmes[: options["tuning_cells"]], programmes[options["tuning_cells"] :]

    def reached(name: str, choice: Mapping[str, Any], some: Sequence[Programme], ahead: bool = False) -> list[float]:
        rule = make_estimator(name, scenario, **choice)
        assert isinstance(rule, DeadlineRule)
        return [(programme.rollout if ahead else programme.value)(on_ticks(rule, programme.cell)) for programme in some]

    rows = {}
    for label, (name, grid) in RULES.items():
        choices = [dict(zip(grid, chosen, strict=True)) for chosen in itertools.product(*grid.values())]
        best = max(choices, key=lambda choice: sum(reached(name, choice, tuning))) if len(choices) > 1 else choices[0]
        rows[label] = {"options": best, "values": reached(name, best, test)}
        if label in ROLLED_OUT:
            rows[ROLLOUT.format(rule=label)] = {"options": best, "values": reached(name, best, test, ahead=True)}
    return {"optima": [programme.optimum() for programme in test], "rules": rows}


def losses(found: Mapping[str, Any], seed: int) -> dict[str, Estimate]:
    """What every rule loses of all requests that can be on time, with an interval over cells."""
    optima = np.array(found["optima"])
    return {
        label: ratio_estimate(optima - np.array(row["values"]), optima, seed) for label, row in found["rules"].items()
    }


def study(options: SmallDeadlineCells, command: str) -> None:
    if len(options.tokens) != len(options.num_users):
        raise ValueError(f"tokens must have an entry for each of num_users, got {options.tokens}")
    settings = {name: getattr(options, name) for name in ("cells", "tuning_cells", "slack", "tick", "seed")}
    sizes = zip(options.num_users, options.tokens, strict=True)
    found = options.do(measure, {str(number): (number, {**settings, "tokens": most}) for number, most in sizes})
    lost = {number: losses(row, options.seed) for number, row in found.items()}
    labels = list(next(iter(lost.values())))
    lines = [[label, *(interval_text(lost[number][label].to_dict(), ".1%") for number in found)] for label in labels]
    text = table(["rule", *(f"K = {number}: lost" for number in found)], lines)
    for number, row in found.items():
        for label, estimate in lost[number].items():
            row["rules"][label]["lost"] = estimate.to_dict()
    report = {**head(command), **settings, "tokens": options.tokens, "num_users": found}
    options.write({"small_deadline_cells.json": report, "small_deadline_cells.md": text})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(SmallDeadlineCells, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
