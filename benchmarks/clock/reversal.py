"""Whoever knows more and maximises each round may serve fewer: long-run goodput where requests end.

``python benchmarks/clock/reversal.py --help``. Writes reversal.json, reversal.md and two pictures.
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

from _report import head, interval_text, picture, table
from _study import StudyInPieces, run

from multispin_gym import Scenario, load_scenario
from multispin_gym.baselines import make_controller, make_estimator
from multispin_gym.envs.clock.game import ClockGame
from multispin_gym.envs.variants import HIDDEN
from multispin_gym.evaluation.player import Player
from multispin_gym.evaluation.service.loop import begin_episodes, play_round
from multispin_gym.statistics import gain_estimate

BASE = "round, means"
FAIR = {"objective": "proportional_fair"}
# By how they are called here: the controller's name, its options, and whether it is shown the truth.
RULES: dict[str, tuple[str, Mapping[str, Any], bool]] = {
    BASE: ("mean_heterogeneous", {}, False),
    "round, truth": ("heterogeneous", {}, True),
    "round, posterior": ("posterior_heterogeneous", {}, False),
    "round, law": ("law_heterogeneous", {}, False),
    "fair, posterior": ("posterior_proportional_fair", {}, False),
    "fair, truth": ("heterogeneous", FAIR, True),
    "fluid, posterior": ("posterior_fluid", {}, False),
}
SWEPT = (BASE, "round, truth", "fair, posterior")
SLOW = 0.3


@dataclass(frozen=True, kw_only=True)
class Reversal(StudyInPieces):
    """Serve requests that end and are replaced at once, in the paper's cells; compare goodput in the long run.

    Every rule, in every cell, is a piece. Writes reversal.json, reversal.md, reversal.png and reversal_shares.png.
    """

    scenarios: tuple[str, ...] = ("paper_llama2", "paper_qwen35")
    """Cells; users may opt out, and time passes as in the scenario `hidden`."""
    num_users: tuple[int, ...] = (8, 20)
    """Users of a cell."""
    shares: tuple[float, ...] = (0.0, 0.1, 0.25, 0.5)
    """Shares of the variance of Table I that lie between requests, beside all of it; with the first number of users."""
    episodes: int = 24
    """Episodes of each."""
    warm_up: float = 60.0
    """Seconds of an episode that do not count."""
    seconds: float = 180.0
    """Seconds after them."""
    seed: int = 0
    """Episode i is seeded with SEED + i."""
    output: Path = Path("results/clock")


def served(name: str, num_users: int, share: float, seconds: float) -> Scenario:
    """Return a cell whose users always have a request, with so much of the variance of rates between requests."""
    scenario, clock = load_scenario(name), load_scenario("hidden").clock
    assert clock is not None
    tasks = [dataclasses.replace(task, deviation=task.deviation * share**0.5) for task in scenario.acceptance]
    return dataclasses.replace(
        scenario,
        num_users=num_users,
        acceptance=tasks,
        acceptance_rates="own",
        cell=dataclasses.replace(scenario.cell, min_draft_length=0),
        clock=dataclasses.replace(clock, episode_seconds=seconds),
    )


def player(label: str, scenario: Scenario) -> Player:
    """A rule to be played."""
    name, options, knows_all = RULES[label]
    made = make_controller(name, **options) if knows_all else make_estimator(name, scenario, **options)
    return Player(label, made)


def measure(name: str, num_users: int, share: float, label: str, options: Mapping[str, Any]) -> dict[str, list[float]]:
    """Play a rule; return for each episode its goodput after the warm-up, and the share of slow users in its rounds."""
    warm_up, end = options["warm_up"], options["warm_up"] + options["seconds"]
    scenario = served(name, num_users, share, end)
    assert scenario.clock is not None
    game = ClockGame(HIDDEN, scenario, scenario.clock, num_rows=options["episodes"])
    rule, seed = player(label, scenario), options["seed"]
    info = begin_episodes(rule, game, range(seed, seed + options["episodes"]))
    tokens, ended, slow, rounds = np.zeros((4, options["episodes"]))
    began = np.full(options["episodes"], np.nan)
    while not game.ended.all():
        counts = (game.time >= warm_up) & ~game.ended
        began = np.where(counts & np.isnan(began), game.time, began)
        slow += counts * (game.users.acceptance_rate < SLOW).mean(axis=1)
        rounds += counts
        _, info = play_round(rule, game, info)
        tokens += counts * info["delivered"].sum(axis=1)
        ended = np.where(counts, game.time, ended)
    return {"goodput": (tokens / (ended - began)).tolist(), "slow": (slow / rounds).tolist()}


def compare(found: dict[str, Any], seed: int) -> dict[str, Any]:
    """Add to each rule of a cell its mean, and what it gains over the base, episodes paired."""
    base = found[BASE]["goodput"]
    return {
        label: {
            **row,
            "mean": float(np.mean(row["goodput"])),
            "slow_share": float(np.mean(row["slow"])),
            "gain": gain_estimate(row["goodput"], base, seed).to_dict(),
        }
        for label, row in found.items()
    }


def page(report: Mapping[str, Any]) -> str:
    """The tables."""
    cells = [key for key, cell in report["cells"].items() if cell["share"] == 1.0]
    lines = [
        [label, *(_gain(report["cells"][key]["rules"].get(label)) for key in cells)]
        for label in RULES
        if any(label in report["cells"][key]["rules"] for key in cells)
    ]
    slow = [
        [label, *(f"{report['cells'][key]['rules'][label]['slow_share']:.0%}" for key in cells)] for label, *_ in lines
    ]
    swept = [
        [cell["scenario"], f"{cell['share']:g}", *(_gain(cell["rules"][label]) for label in SWEPT[1:])]
        for cell in report["cells"].values()
        if cell["num_users"] == report["num_users"][0]
    ]
    base = ", ".join(f"{report['cells'][key]['rules'][BASE]['mean']:.1f}" for key in cells)
    return "\n".join(
        [
            "# The best round is not the best service\n",
            f"`{report['command']}`\n",
            f"Goodput from second {report['warm_up']:g} to {report['warm_up'] + report['seconds']:g}, relative to the",
            f"rule that maximises each round with the mean rate of each task, over {report['episodes']} episodes with",
            f"paired 95 % intervals. That rule delivers {base} token/s.\n",
            table(["rule", *cells], lines),
            f"Share of users with an acceptance rate below {SLOW:g}:\n",
            table(["rule", *cells], slow),
            "By the share of Table I's variance that lies between requests:\n",
            table(["cell", "share", *SWEPT[1:]], sorted(swept), left=2),
            "![Gain over the rule that knows the means](reversal.png)\n",
            "![Gain over the share of the variance between requests](reversal_shares.png)\n",
        ]
    )


def _gain(row: Mapping[str, Any] | None) -> str:
    return "-" if row is None else interval_text(row["gain"], "+.1%")


def _error(gains: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Means in per cent, and how far their intervals reach."""
    mean = np.array([100.0 * gain["mean"] for gain in gains])
    ends = np.array([[100.0 * end for end in gain["ci95"] or [gain["mean"]] * 2] for gain in gains]).T
    return mean, np.abs(ends - mean)


def draw_cells(report: Mapping[str, Any]) -> bytes:
    """Gains by cell and rule, as a PNG."""
    from matplotlib.figure import Figure

    cells = {key: cell["rules"] for key, cell in report["cells"].items() if cell["share"] == 1.0}
    labels = [label for label in RULES if label != BASE and all(label in rules for rules in cells.values())]
    figure = Figure(figsize=(10, 4), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(labels)
    for index, label in enumerate(labels):
        mean, error = _error([rules[label]["gain"] for rules in cells.values()])
        axes.bar(np.arange(len(mean)) + index * width, mean, width, yerr=error, label=label)
    axes.set_xticks(np.arange(len(cells)) + 0.4 - width / 2, list(cells))
    axes.set_ylabel("long-run goodput over the mean's rule, %")
    axes.axhline(0.0, color="black", linewidth=0.8)
    figure.legend(ncols=len(labels), loc="outside upper center", frameon=False)
    return picture(figure)


def draw_shares(report: Mapping[str, Any]) -> bytes:
    """Gains over the share of the variance between requests, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), layout="constrained")
    scenarios = report["scenarios"]
    for axes, scenario in zip(
        figure.subplots(1, len(scenarios), sharey=True, squeeze=False)[0], scenarios, strict=True
    ):
        cells = [
            cell
            for cell in report["cells"].values()
            if cell["scenario"] == scenario and cell["num_users"] == report["num_users"][0]
        ]
        cells.sort(key=lambda cell: cell["share"])
        for label in SWEPT[1:]:
            mean, error = _error([cell["rules"][label]["gain"] for cell in cells])
            axes.errorbar([cell["share"] for cell in cells], mean, error, marker="o", capsize=3, label=label)
        axes.axhline(0.0, color="black", linewidth=0.8)
        axes.set(title=scenario, xlabel="share of the variance between requests")
    figure.axes[0].set_ylabel("goodput over the mean's rule, %")
    figure.axes[0].legend(frameon=False)
    return picture(figure)


def study(options: Reversal, command: str) -> None:
    cells = [(name, users, 1.0) for name in options.scenarios for users in options.num_users]
    cells += [(name, options.num_users[0], share) for name in options.scenarios for share in options.shares]
    settings = {name: getattr(options, name) for name in ("episodes", "warm_up", "seconds", "seed")}
    pieces = {
        (cell, label): (*cell, label, settings) for cell in cells for label in (RULES if cell[2] == 1.0 else SWEPT)
    }
    found = options.do(measure, pieces)
    report = {**head(command), **settings, "scenarios": options.scenarios, "num_users": options.num_users, "cells": {}}
    for name, users, share in cells:
        rows = {label: row for (cell, label), row in found.items() if cell == (name, users, share)}
        key = f"{name}, {users} users" + ("" if share == 1.0 else f", {share:g} of the variance")
        rules = compare(rows, options.seed)
        report["cells"][key] = {"scenario": name, "num_users": users, "share": share, "rules": rules}
    text = page(report)
    pictures = {"reversal.png": draw_cells(report), "reversal_shares.png": draw_shares(report)}
    options.write({"reversal.json": report, "reversal.md": text, **pictures})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Reversal, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
