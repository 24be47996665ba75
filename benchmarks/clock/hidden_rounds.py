"""What hiding acceptance rates costs over a given number of rounds, and how much of that any learner can win back.

``python benchmarks/clock/hidden_rounds.py --help``. Writes hidden_rounds.json and .md and prints the table.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _report import head, interval_text, table
from _study import StudyInPieces, run

from multispin_gym import Scenario, load_scenario, play_round
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.estimators.acceptance_belief import curve_of, prior_shapes
from multispin_gym.scenarios.sampling import sample_tasks_and_users
from multispin_gym.statistics import regret_estimate

RULES = {
    "truth": "the round's optimum, which knows the rates: clairvoyant",
    "full feedback": "the posterior after drafts of the greatest length: a bound of whatever learns",
    "posterior": "the posterior after its own drafts",
    "posterior mean": "its mean alone",
    "law": "the tasks' laws, whatever is accepted",
    "mean": "the tasks' mean rates",
    "fixed_bw_l": "nothing: equal shares, eight tokens",
}


@dataclass(frozen=True, kw_only=True)
class HiddenRounds(StudyInPieces):
    """Play rounds with users who stay, and whose own acceptance rates are hidden.

    Goodput is expected given the true rates; what is accepted is sampled, from the same draws for every rule. Each
    scenario is a piece. Writes hidden_rounds.json and hidden_rounds.md.
    """

    scenarios: tuple[str, ...] = ("hidden", "laptops_60ms")
    """Scenarios whose users have rates of their own, by the law of their task."""
    rounds: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """Numbers of rounds over which goodput is averaged."""
    cells: int = 512
    """Cells played."""
    num_users: int = 8
    """Users of a cell."""
    seed: int = 0
    """Seed of all draws."""
    output: Path = Path("results/clock")


class Counts:
    """Drafts accepted and rounds in which one was refused, of one learner."""

    def __init__(self, shape: tuple[int, int]) -> None:
        self.accepted, self.refusals = np.zeros(shape), np.zeros(shape)

    def shapes(self, priors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shapes of the Beta posteriors. Shapes: (N, K, 2) in, (N, K) each out."""
        return priors[..., 0] + self.accepted, priors[..., 1] + self.refusals

    def add(self, longest: np.ndarray, lengths: np.ndarray | int) -> None:
        """Take in a round in which up to ``longest`` drafts would have been accepted."""
        self.accepted += np.minimum(longest, lengths)
        self.refusals += longest < lengths


def play(scenario: Scenario, rounds: int, cells: int, num_users: int, seed: int) -> dict[str, np.ndarray]:
    """Goodput of every rule in every round, token/s. Shape (rounds, cells) each."""
    rng, cell = np.random.default_rng(seed), scenario.cell
    task, devices = sample_tasks_and_users(scenario, rng, (cells, num_users))
    alpha, priors, longest = devices.acceptance_rate, prior_shapes(scenario)[task], cell.max_draft_length
    full, own, law = Counts(alpha.shape), Counts(alpha.shape), curve_of(priors[..., 0], priors[..., 1], longest)
    best, fixed = make_controller("heterogeneous"), make_controller("fixed_bw_l")
    means = np.array([entry.mean_rate for entry in scenario.acceptance])[task]
    found: dict[str, list[np.ndarray]] = {name: [] for name in RULES}
    for _ in range(rounds):
        gain = devices.channel_gain * scenario.fading.sample(rng, alpha.shape)
        users = dataclasses.replace(devices, channel_gain=scenario.db_to_gain(scenario.gain_to_db(gain)))
        with np.errstate(divide="ignore"):
            accepted = np.maximum(np.ceil(np.log(rng.random(alpha.shape)) / np.log(alpha)) - 1.0, 0.0)
        first, second = own.shapes(priors)
        believed = {
            "truth": users,
            "full feedback": dataclasses.replace(users, survival=curve_of(*full.shapes(priors), longest)),
            "posterior": dataclasses.replace(users, survival=curve_of(first, second, longest)),
            "posterior mean": dataclasses.replace(users, acceptance_rate=first / (first + second)),
            "law": dataclasses.replace(users, survival=law),
            "mean": dataclasses.replace(users, acceptance_rate=means),
        }
        decisions = {name: best(those, cell) for name, those in believed.items()}
        decisions["fixed_bw_l"] = fixed(users, cell)
        for name, decision in decisions.items():
            found[name].append(play_round(users, cell, decision).goodput)
        full.add(accepted, longest)
        own.add(accepted, decisions["posterior"].draft_lengths)
    return {name: np.array(values) for name, values in found.items()}


def measure(name: str, rounds: Sequence[int], cells: int, num_users: int, seed: int) -> dict[str, Any]:
    """What every rule loses against the truth and against the bound, over each number of rounds."""
    goodput = play(load_scenario(name), max(rounds), cells, num_users, seed)
    losses: dict[str, Any] = {}
    for count in rounds:
        means = {rule: values[:count].mean(axis=0) for rule, values in goodput.items()}
        losses[str(count)] = {
            rule: {
                "goodput": float(values.mean()),
                "loss_to_truth": regret_estimate(values, means["truth"], seed).to_dict(),
                "loss_to_bound": regret_estimate(values, means["full feedback"], seed).to_dict(),
            }
            for rule, values in means.items()
        }
    return losses


def page(found: Mapping[str, Any], against: str) -> str:
    """A table for each scenario: rules by numbers of rounds."""
    parts = []
    for name, losses in found.items():
        lines = []
        for rule, knows in RULES.items():
            lines.append([rule, knows, *(interval_text(row[rule][against], ".1%") for row in losses.values())])
        rounds = [f"{count} round{'' if count == '1' else 's'}" for count in losses]
        parts.append(f"`{name}`:\n\n{table(['decides by', '', *rounds], lines, left=2)}")
    return "\n".join(parts)


def study(options: HiddenRounds, command: str) -> None:
    arguments = (options.rounds, options.cells, options.num_users, options.seed)
    found = options.do(measure, {name: (name, *arguments) for name in options.scenarios})
    text = "\n".join(
        f"What is lost against {rival}:\n\n{page(found, against)}"
        for against, rival in (("loss_to_truth", "who knows the rates"), ("loss_to_bound", "the bound"))
    )
    options.write({"hidden_rounds.json": {**head(command), "scenarios": found}, "hidden_rounds.md": text})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(HiddenRounds, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
