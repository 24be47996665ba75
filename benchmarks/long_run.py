"""What the long-run policy gains over rounds that are each the best by themselves, per preset and fading.

Episodes are drawn; the long-run policy is prepared for each episode's users and plays the same rounds as the greedy
controller, both with own lengths for all users and with a common one. Tokens over time within an episode, averaged over
episodes. Writes long_run.json and long_run.md. ``python benchmarks/long_run.py --help``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from multispin_gym import Fading, RoundOutcome, Scenario, Users, list_scenarios, load_scenario, play_round
from multispin_gym._files import write_atomically
from multispin_gym.baselines import Controller, make_controller
from multispin_gym.evaluation.report import versions
from multispin_gym.statistics import gain_estimate

LENGTHS = ("heterogeneous", "homogeneous")
# Both have the same law of a single round, so that one preparation serves both.
RAYLEIGH = {"independent": Fading("rayleigh", 0.0), "correlated 0.9": Fading("rayleigh", 0.9)}


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
    # The draws that find the level are not those that judge it.
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
    lines = [
        "# What looking beyond the round gains",
        "",
        f"`{report['command']}`",
        "",
        f"{report['episodes']} episodes of {report['rounds']} rounds (one without fading, where all rounds are alike),",
        f"seed {report['seed']}; the price of time of each set of users is found on {report['samples']} other draws of",
        "the fading law. Goodput is tokens over time within an episode, averaged over episodes; gains with 95 % paired",
        "bootstrap intervals over episodes. Greedy is the controller of the same lengths that maximises each round's",
        f"own goodput. {os.cpu_count()} cores ({platform.machine()}).",
        "",
        "| scenario | fading | lengths | greedy, token/s | long run, token/s | gain | on the sample "
        "| episodes better / worse | largest residual |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, kinds in report["scenarios"].items():
        for lengths, laws in kinds.items():
            for law, gain in laws.items():
                low, high = gain["gain"]["ci95"] or [gain["gain"]["mean"]] * 2
                lines.append(
                    f"| {name} | {law} | {lengths} | {gain['greedy']:.2f} | {gain['long_run']:.2f} "
                    f"| {gain['gain']['mean']:+.2%} ({low:+.2%}, {high:+.2%}) | {gain['gain_on_sample']:+.2%} "
                    f"| {gain['better']:.0%} / {gain['worse']:.0%} | {gain['largest_residual']:.0e} |"
                )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", default=list_scenarios(), help="presets or scenario files")
    parser.add_argument("--episodes", type=int, default=50, help="episodes for each scenario")
    parser.add_argument("--rounds", type=int, default=100, help="rounds of an episode")
    parser.add_argument("--samples", type=int, default=128, help="draws on which the price of time is found")
    parser.add_argument("--seed", type=int, default=0, help="seed of episodes, rounds and resampling")
    parser.add_argument("--quick", action="store_true", help="3 short episodes")
    parser.add_argument("--output", type=Path, default=Path("results/long_run"), help="directory for the results")
    options = parser.parse_args()
    if options.quick:
        options.episodes, options.rounds, options.samples = 3, 10, 8
    sizes = {name: getattr(options, name) for name in ("episodes", "samples", "rounds", "seed")}
    scenarios = {}
    for scenario in map(load_scenario, options.scenarios):
        scenarios[scenario.name] = {lengths: gains(scenario, lengths, **sizes) for lengths in LENGTHS}
        print(f"{scenario.name}: done", file=sys.stderr)
    command = shlex.join(["python", "benchmarks/long_run.py", *sys.argv[1:]])
    report = {"command": command, **sizes, "versions": versions(), "scenarios": scenarios}
    page = to_markdown(report)
    text = json.dumps(report, indent=1) + "\n"
    write_atomically(options.output, {"long_run.json": text.encode(), "long_run.md": page.encode()})
    print(page)


if __name__ == "__main__":
    main()
