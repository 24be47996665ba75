"""How far the controllers are from the certified optimum, round by round, in every preset.

Rounds are drawn and certified one by one, and every controller plays them. Writes distance.json, distance.md and
distance.png. ``python benchmarks/distance.py --help``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _report import head, interval_text, machine_text, picture, table
from _study import Drawn, OverScenarios, StudyInPieces, draw_users, run

from multispin_gym import Scenario, play_round
from multispin_gym.baselines import certify, make_controller
from multispin_gym.statistics import lowest_decile_estimate, ratio_estimate, regret_estimate

CONTROLLERS = ("heterogeneous", "nested_polished", "nested", "homogeneous", "uniform_best", "tk_slt", "server_only")
CLOSE = ("heterogeneous", "nested_polished")
GAP = 1e-6


@dataclass(frozen=True, kw_only=True)
class Distance(StudyInPieces, OverScenarios, Drawn):
    """Compare the controllers with the certified optimum round by round; each scenario is a piece.

    Writes distance.json, distance.md and distance.png.
    """

    cells: int = 100
    """Rounds of each scenario; quick: 10."""
    limit: float = 5.0
    """Time for a certificate, s."""
    output: Path = Path("results/distance")


def distances(scenario: Scenario, cells: int, limit: float, seed: int) -> dict[str, Any]:
    """Shares of the certified optimum that the controllers reach, over rounds drawn from a scenario."""
    users = draw_users(scenario, cells, seed)
    start = time.process_time()
    certificates = [certify(users[index], scenario.cell, GAP, limit) for index in range(cells)]
    seconds = time.process_time() - start
    best, bound, gap = (np.array([getattr(c, n) for c in certificates]) for n in ("goodput", "upper_bound", "gap"))
    played = {
        name: play_round(users, scenario.cell, make_controller(name)(users, scenario.cell)).goodput
        for name in CONTROLLERS
    }
    reached, polished = {}, played["nested_polished"]
    for name, goodput in played.items():
        reached[name] = {
            # The bound is within the gap of the optimum; where it is not closed, the ratio is too low by at most that.
            **ratio_estimate(goodput, bound, seed).to_dict(),
            "lowest_decile": lowest_decile_estimate(goodput / bound, seed).to_dict(),
            "lowest": float((goodput / bound).min()),
            # What is above the bound is no decision of the cell.
            "optimal": float(((goodput >= best * (1.0 - 1e-9)) & (goodput <= bound)).mean()),
            "regret_to_nested_polished": regret_estimate(goodput, polished, seed).to_dict(),
        }
    return {
        "num_users": scenario.num_users,
        "cells": cells,
        "optimum": float(best.mean()),
        "closed": int((gap <= GAP).sum()),
        "largest_gap": float(gap.max()),
        "certify_seconds": seconds / cells,
        "controllers": reached,
    }


def to_markdown(report: dict[str, Any]) -> str:
    """Write the page."""
    names = [f"`{name}`" for name in CONTROLLERS]
    means, regrets, details = [], [], []
    for scenario, entry in report["scenarios"].items():
        reached = [entry["controllers"][name] for name in CONTROLLERS]
        forms = [".5f" if name in CLOSE else ".3f" for name in CONTROLLERS]
        columns = [interval_text(found, form) for found, form in zip(reached, forms, strict=True)]
        means.append([scenario, str(entry["num_users"]), f"{entry['optimum']:.1f}", *columns])
        others = [entry["controllers"][name] for name in CONTROLLERS if name != "nested_polished"]
        regrets.append([scenario, *(interval_text(found["regret_to_nested_polished"], "+.3%") for found in others)])
        details.append(
            [
                scenario,
                *(
                    f"{found['lowest_decile']['mean']:.3f} / {found['lowest']:.3f} / {found['optimal']:.0%}"
                    for found in reached
                ),
                f"{entry['closed']} of {entry['cells']}",
                f"{entry['largest_gap']:.0e}",
                f"{1e3 * entry['certify_seconds']:.0f} ms",
            ]
        )
    return "\n".join(
        [
            "# How far from the optimum, round by round\n",
            f"`{report['command']}`\n",
            "Ratio of the goodputs' sum to that of the certified upper bounds, with 95 % bootstrap intervals, over",
            f"{report['cells']} rounds of each scenario, seed {report['seed']}. `server_only` is no decision of the",
            "cell where the least draft length is 1; above 1, speculation does not pay.\n",
            table(["scenario", "users", "optimum, token/s", *names], means),
            "Regret to `nested_polished`, the rule that is to be beaten: what is lost against it, below 0 where it is",
            "beaten.\n",
            table(["scenario", *(name for name in names if name != "`nested_polished`")], regrets),
            "Lowest decile of the rounds' own ratios, the lowest of all, and share of the rounds in which a controller",
            "is optimal; then the certificates:",
            f"how many were closed to {GAP:g} within {report['limit']:g} s, the largest gap, and the mean processor",
            f"time ({machine_text(report)}).\n",
            table(["scenario", *names, "closed", "largest gap", "CPU"], details),
            "![Ratio to the certified optimum by scenario and controller](distance.png)\n",
        ]
    )


def draw(found: dict[str, Any]) -> bytes:
    """Share of the optimum by preset and controller, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    axes, width = figure.subplots(), 0.8 / len(CONTROLLERS)
    for index, controller in enumerate(CONTROLLERS):
        entries = [entry["controllers"][controller] for entry in found.values()]
        mean = np.array([entry["mean"] for entry in entries])
        error = np.abs(np.array([entry["ci95"] or [entry["mean"]] * 2 for entry in entries]).T - mean)
        axes.bar(np.arange(len(mean)) + index * width, mean, width, yerr=error, label=controller)
    axes.set_xticks(np.arange(len(found)) + 0.4 - width / 2, list(found))
    axes.set_yscale("log")
    axes.set_ylabel("goodput / certified optimum")
    axes.axhline(1.0, color="black", linewidth=0.8)
    figure.legend(ncols=len(CONTROLLERS), loc="outside upper center", frameon=False)
    return picture(figure)


def study(options: Distance, command: str) -> None:
    cells = 10 if options.quick else options.cells
    scenarios = options.loaded().items()
    found = options.do(distances, {name: (each, cells, options.limit, options.seed) for name, each in scenarios})
    sizes = {"seed": options.seed, "cells": cells, "limit": options.limit}
    report = {**head(command), **sizes, "scenarios": found}
    page = to_markdown(report)
    options.write({"distance.json": report, "distance.md": page, "distance.png": draw(found)})
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Distance, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
