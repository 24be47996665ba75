"""How far plans of rounds whose uploads may be late are from a bound that no plan passes.

``python benchmarks/clock/lossy_bound.py --help``. Writes lossy_bound.json and .md and prints the table.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _report import head, interval_text, table
from _study import StudyInPieces, run

from multispin_gym import Scenario, load_scenario
from multispin_gym.baselines import make_estimator
from multispin_gym.baselines.estimators.beliefs import Seen, present_in
from multispin_gym.baselines.estimators.channel_belief import ChannelBelief
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.lossy_bound import bound_ratios
from multispin_gym.baselines.estimators.lossy_rounds import LossyRounds
from multispin_gym.baselines.estimators.upload_plans import Plan
from multispin_gym.baselines.protocols import Estimating
from multispin_gym.envs.variants import STALE
from multispin_gym.physics.acceptance import mean_tokens
from multispin_gym.physics.rounds import Decision
from multispin_gym.statistics import mean_estimate

# Bounds begin from the plans of the first rule; the second one is played.
# The others have the options that were best in the study of all opponents.
RULES: dict[str, tuple[str, dict[str, Any]]] = {
    "stochastic programme, round": ("stochastic_programme", {"horizon": "round"}),
    "stochastic programme, long run": ("stochastic_programme", {}),
    "quantile, cut-off": ("channel_quantile", {"level": 0.15, "cutoff": 1.2}),
    "backoff, cut-off": ("backoff", {"decibels": 4.0, "cutoff": 1.2}),
    "believes the reports": ("mean_heterogeneous", {}),
}


@dataclass(frozen=True, kw_only=True)
class LossyBound(StudyInPieces):
    """Compare what rules expect of rounds of the preset ``stale`` with a bound of all plans under the same belief.

    The stochastic programme plays an episode of one cell for each round that is looked at, which is in the middle of
    it. Compared are expected tokens over expected seconds. Every number of users and episode is a piece. Writes
    lossy_bound.json and lossy_bound.md.
    """

    num_users: tuple[int, ...] = (4, 8, 20)
    """Numbers of users."""
    episodes: int = 12
    """Episodes, of each of which one round is looked at."""
    after: int = 20
    """Rounds that are played before."""
    boxes: int = 160
    """Boxes of the bound's search."""
    shares: int = 160
    """Ranges of shares that the bound tells apart."""
    seed: int = 0
    """Episode i is seeded with SEED + i."""
    output: Path = Path("results/clock")


def seen_round(scenario: Scenario, after: int, seed: int) -> tuple[LossyRounds, dict[str, Decision]]:
    """A round as it is believed to be after some rounds of the stochastic programme, and the rules' decisions."""
    envs: Any = gym.make_vec(STALE.id, 1, vectorization_mode="vector_entry_point", scenario=scenario).unwrapped
    rules: dict[str, Estimating] = {
        label: make_estimator(name, scenario, **options) for label, (name, options) in RULES.items()
    }
    belief = ChannelBelief(scenario)
    observation, info = envs.reset(seed=seed)
    belief.reset(observation, info)
    for rule in rules.values():
        rule.reset(observation, info)
    for index in range(after + 1):
        law = belief.observe(observation, info)
        decisions = {label: rule.decide(observation, info) for label, rule in rules.items()}
        if index < after:
            observation, _, _, _, info = envs.step(envs.encode_action(decisions[list(RULES)[1]]))
    return rounds_of(scenario, observation, law), decisions


def rounds_of(scenario: Scenario, observation: Seen, law: GainLaw) -> LossyRounds:
    """A round as it is seen, with the laws of its channels."""
    rates = observation["acceptance_rate"].astype(np.float64)
    tokens = mean_tokens(rates[..., None], np.arange(scenario.cell.max_draft_length + 1.0))
    speed = observation["drafting_speed"].astype(np.float64)
    return LossyRounds(scenario.cell, scenario.reference_power, law, tokens, 1.0 / speed, present_in(observation))


def measure(num_users: int, seed: int, settings: Mapping[str, int]) -> dict[str, Any]:
    """The bound of one round, and what part of it each rule expects of its plan."""
    scenario = dataclasses.replace(load_scenario("stale"), num_users=num_users)
    clock = scenario.clock
    assert clock is not None
    rounds, decisions = seen_round(scenario, settings["after"], seed)
    plans = {label: planned(rounds, decision, clock.cutoff_max) for label, decision in decisions.items()}
    begin = plans[next(iter(RULES))]
    weight = np.ones(rounds.present.shape)
    search = {"boxes": settings["boxes"], "shares": settings["shares"]}
    bound = float(bound_ratios(rounds, weight, begin, clock.cutoff_min, clock.cutoff_max, **search)[0])
    ratios = {label: float(plan.expected.tokens.sum() / plan.expected.seconds[0]) for label, plan in plans.items()}
    return {"bound": bound, "parts": {label: ratio / bound for label, ratio in ratios.items()}}


def planned(rounds: LossyRounds, decision: Decision, last: float) -> Plan:
    """A decision and what is expected of it; without a cut-off it ends with the last that there is."""
    lengths, shares = decision.draft_lengths.astype(np.float64), decision.bandwidth_shares
    cutoff = np.full(len(lengths), last) if decision.cutoff is None else np.asarray(decision.cutoff)
    return Plan(lengths, shares, cutoff, rounds.expect(lengths, shares, cutoff))


def summary(found: Sequence[Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """Median, worst and mean part of the bound of each rule."""
    parts = {label: np.array([row["parts"][label] for row in found]) for label in RULES}
    return {
        label: {"median": float(np.median(part)), "worst": float(part.min()), **mean_estimate(part, seed).to_dict()}
        for label, part in parts.items()
    }


def study(options: LossyBound, command: str) -> None:
    settings = {name: getattr(options, name) for name in ("after", "boxes", "shares", "seed", "episodes")}
    pieces = {
        f"{users} users, episode {index}": (users, options.seed + index, settings)
        for users in options.num_users
        for index in range(options.episodes)
    }
    found = list(options.do(measure, pieces).values())
    cells: dict[str, Any] = {}
    lines = []
    for number, users in enumerate(options.num_users):
        rows = found[number * options.episodes : (number + 1) * options.episodes]
        rules = summary(rows, options.seed)
        cells[str(users)] = {"rounds": rows, "rules": rules}
        for label, part in rules.items():
            text = f"{part['median']:.1%}", f"{part['worst']:.1%}", interval_text(part, ".1%")
            lines.append([f"{users} users", label, *text])
    page = "\n".join(
        [
            "# Plans of rounds beside a bound\n",
            f"`{command}`\n",
            "Expected tokens over expected seconds of a round, as parts of a bound that no plan passes under the same",
            f"belief. Over {options.episodes} rounds, each after {options.after} others.\n",
            table(["cell", "rule", "median", "worst", "mean"], lines, left=2),
        ]
    )
    options.write({"lossy_bound.json": {**head(command), **settings, "cells": cells}, "lossy_bound.md": page})
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(LossyBound, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
