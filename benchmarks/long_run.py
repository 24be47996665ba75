"""What the long-run policy gains over rounds that are each the best by themselves, per preset and fading.

Episodes are drawn; the long-run policy is prepared for each episode's users and plays the same rounds as the greedy
controller, both with own lengths for all users and with a common one. Tokens over time within an episode, averaged over
episodes. Writes long_run.json and long_run.md. ``python benchmarks/long_run.py --help``.
"""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _report import head, interval_text, machine_text, table
from _study import Drawn, OverScenarios, StudyInPieces, run

from multispin_gym import Fading, RoundOutcome, Scenario, Users, play_round
from multispin_gym.baselines import Controller, make_controller
from multispin_gym.statistics import gain_estimate

LENGTHS = ("heterogeneous", "homogeneous")
# Both have the same law of a single round, so that one preparation serves both.
RAYLEIGH = {"independent": Fading("rayleigh", 0.0), "correlated 0.9": Fading("rayleigh", 0.9)}


@dataclass(frozen=True, kw_only=True)
class LongRun(StudyInPieces, OverScenarios, Drawn):
    """Compare the long-run policy with the greedy controller; each scenario with each kind of lengths is a piece.

    Writes long_run.json and long_run.md.
    """

    episodes: int = 50
    """Episodes for each scenario; quick: 3."""
    rounds: int = 100
    """Rounds of an episode; quick: 10."""
    samples: int = 128
    """Draws on which the price of time is found; quick: 8."""
    output: Path = Path("results/long_run")


def faded_rounds(scenario: Scenario, users: Users, rounds: int, seed: int) -> Users:
    """Rounds of episodes as the environment plays them, of shape (rounds, episodes, K)."""
    episodes, num_users = users.batch_shape[0], users.num_users
    generators = [np.random.default_rng([seed, index]) for index in range(episodes)]
    power = np.empty((episodes, rounds, num_users))
    scenario.fading.fill(generators, power, scenario.fading.amplitudes(episodes, num_users), True)
    gains = np.ascontiguousarray(np.moveaxis(power, 1, 0)) * users.channel_gain
    shape = gains.shape
    return Users(
        np.broadcast_to(users.acceptance_rate, shape),
        np.broadcast_to(users.drafting_speed, shape),
        scenario.db_to_gain(scenario.gain_to_db(gains)),
        np.broadcast_to(users.transmit_power, shape),
    )


def episode_goodput(outcome: RoundOutcome) -> np.ndarray:
    """Tokens over time of each episode; the rounds are the first axis."""
    return np.asarray(outcome.tokens.sum(axis=(0, -1)) / outcome.latency.sum(axis=0))


def measure(
    scenario: Scenario, users: Users, policies: dict[str, Controller], rounds: int, seed: int
) -> dict[str, Any]:
    """Gain of one policy over the other on the same rounds of the same episodes."""
    played = faded_rounds(scenario, users, rounds, seed)
    long_run, greedy = (
        episode_goodput(play_round(played, scenario.cell, policies[name](played, scenario.cell)))
        for name in ("long_run", "greedy")
    )
    details = policies["long_run"].details
    return {
        "episodes": users.batch_shape[0],
        "rounds": rounds,
        "greedy": float(greedy.mean()),
        "long_run": float(long_run.mean()),
        "gain": gain_estimate(long_run, greedy, seed).to_dict(),
        "better": float((long_run > greedy * (1.0 + 1e-12)).mean()),
        "worse": float((long_run < greedy * (1.0 - 1e-12)).mean()),
        "largest_residual": float(details["residual"].max()),
        "gain_on_sample": float(details["time_price"].mean() / details["greedy"].mean() - 1.0),
    }


def gains(scenario: Scenario, lengths: str, episodes: int, samples: int, rounds: int, seed: int) -> dict[str, Any]:
    """Gains under every fading law, by its name."""
    users = scenario.sample_large_scale(np.random.default_rng(seed), batch=(episodes,))
    greedy = make_controller(lengths)
    found = {}
    start = time.process_time()
    # The draws that find the price of time are not those that judge it.
    patient = make_controller("long_run", lengths=lengths, samples=samples, seed=seed + 1)
    patient = patient.prepare(users, dataclasses.replace(scenario, fading=RAYLEIGH["independent"]))
    seconds = (time.process_time() - start) / episodes
    for name, law in RAYLEIGH.items():
        faded = dataclasses.replace(scenario, fading=law)
        policies = {"long_run": patient, "greedy": greedy}
        found[name] = {**measure(faded, users, policies, rounds, seed), "prepare_seconds": seconds}
    still = dataclasses.replace(scenario, fading=Fading("none"))
    # Without fading all rounds of an episode are alike: one stands for all.
    patient = make_controller("long_run", lengths=lengths, samples=1).prepare(users, still)
    found["none"] = measure(still, users, {"long_run": patient, "greedy": greedy}, 1, seed)
    return found


def to_markdown(report: dict[str, Any]) -> str:
    """Write the page."""
    rows = []
    for name, kinds in report["scenarios"].items():
        for lengths, laws in kinds.items():
            for law, gain in laws.items():
                numbers = [f"{gain['greedy']:.2f}", f"{gain['long_run']:.2f}", interval_text(gain["gain"], "+.2%")]
                numbers += [f"{gain['gain_on_sample']:+.2%}", f"{gain['better']:.0%} / {gain['worse']:.0%}"]
                rows.append([name, law, lengths, *numbers, f"{gain['largest_residual']:.0e}"])
    columns = ["greedy, token/s", "long run, token/s", "gain", "on the sample", "episodes better / worse"]
    return "\n".join(
        [
            "# What looking beyond the round gains\n",
            f"`{report['command']}`\n",
            f"{report['episodes']} episodes of {report['rounds']} rounds (one without fading, where all rounds are",
            f"alike), seed {report['seed']}; the price of time of each set of users is found on {report['samples']}",
            "other draws of the fading law. Goodput is tokens over time within an episode, averaged over episodes;",
            "gains with 95 % paired bootstrap intervals over episodes. Greedy is the controller of the same lengths",
            f"that maximises each round's own goodput. {machine_text(report)}.\n",
            table(["scenario", "fading", "lengths", *columns, "largest residual"], rows, left=3),
        ]
    )


def study(options: LongRun, command: str) -> None:
    sizes = {name: getattr(options, name) for name in ("episodes", "samples", "rounds", "seed")}
    if options.quick:
        sizes |= {"episodes": 3, "samples": 8, "rounds": 10}
    found = options.do(
        gains,
        {
            (name, lengths): (scenario, lengths, *sizes.values())
            for name, scenario in options.loaded().items()
            for lengths in LENGTHS
        },
    )
    scenarios: dict[str, dict[str, Any]] = {}
    for (name, lengths), laws in found.items():
        scenarios.setdefault(name, {})[lengths] = laws
    report = {**head(command), **sizes, "scenarios": scenarios}
    page = to_markdown(report)
    options.write({"long_run.json": report, "long_run.md": page})
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(LongRun, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
