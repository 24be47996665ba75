"""What the paper leaves out, fitted to what it prints.

The power over the noise (one for both pairs), the drafting time of each pair, the drafting time of Cen-SPIN's server,
and how much of Table I's variance lies between prompts are fitted by least squares to all printed results, weighted
with the scatter of means of ten draws. Every reading of the figures' scoring and of Fig. 5 is tried. Writes infer.json,
infer.md and infer.png. ``python benchmarks/paper/infer.py --help``.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _cells import Guess, goodputs, scenario_at
from _experiments import DRAWS, PROMPTS, Design, groups_of_ten
from _fitting import LIMITS, Fit, Reading, Whitener, common_point, readings, rejection
from _printed import AXES, ORDER_POINTS, PAIRS, PRINTED, Point, point_text
from _report import head
from _scoring import expected, table_i
from _study import StudyInPieces, run
from _surface import Surface, tabulate
from infer_report import draw, to_markdown
from scipy.stats import chi2

from multispin_gym._validation import check_integer, check_number
from multispin_gym.statistics import ratio_estimate

LEVEL = 0.05
# Readings less likely than this are not tried again.
HOPELESS = 1e-6
# Under which other assumptions readings are fitted again: changes of the design, and of the tolerance.
ALTERNATIVES: dict[str, tuple[dict[str, Any], float | None]] = {
    "data sets, mean gains and prompts the same in all ten draws": ({"held": True, "cells": 3000}, None),
    "all points with the same number of users on the same draws": ({"paired": True}, None),
    "about: 5%": ({}, 0.05),
}


@dataclass(frozen=True, kw_only=True)
class Infer(StudyInPieces):
    """Fit what the paper leaves out to what it prints; each pair with each reading of Fig. 5 is a piece.

    Writes infer.json, infer.md and infer.png.
    """

    draws: int = 800
    """Cells at every point of the grid on which the schemes are played."""
    powers: int = 10
    """Points of the grid between 8 and 90 dB; at least 4."""
    times: int = 7
    """Points of the grid between 8 and 60 ms; at least 4."""
    cells: int = 2400
    """Cells from which the scatter of a mean of ten draws is simulated."""
    tolerance: float = 0.02
    """Relative standard deviation assumed of values that the paper gives as about so much."""
    check_draws: int = 2000
    """Further cells in which the fits are checked."""
    seed: int = 0
    """Seed of all that is drawn."""
    output: Path = Path("results/paper")


# What the presets `paper_llama2` and `paper_qwen35` have, and the drafting time that `cen_spin` has by default.
PRESET_VALUES = {"snr_db": 20.0, "time_llama2": 0.020, "time_qwen35": 0.036, "server_time": 0.016}
# 10 to 100 mW over the printed noise power are 80 to 90 dB.
PHONE_DB = 85.0
Surfaces = Mapping[tuple[str, bool], Surface]


def tables(options: Infer) -> dict[tuple[str, bool], Surface]:
    """Tabulate what the schemes do in every pair's cell, with both readings of Fig. 5."""
    powers = np.geomspace(*LIMITS["snr_db"], options.powers).tolist()
    times = np.geomspace(*LIMITS["time_llama2"], options.times).tolist()
    keys = [(pair, swapped) for pair in PAIRS for swapped in (False, True)]
    pieces = {(pair, swapped): (pair, swapped, powers, times, options.draws, options.seed) for pair, swapped in keys}
    found = options.do(tabulate, pieces)
    return {(pair, swapped): Surface(pair, swapped, powers, times, found[pair, swapped]) for pair, swapped in keys}


def solve(
    reading: Reading, surfaces: Surfaces, tolerance: float, design: Design
) -> tuple[Fit, dict[str, float], Whitener, dict[str, Any]]:
    """Fit one reading; return with it what there is to say of the fit."""
    fit = Fit(reading, {pair: surfaces[pair, reading.swapped] for pair in PAIRS}, printed_logs())
    free, cost, whitener = fit.refined(tolerance, design)
    freedom, probability = rejection(cost, len(reading.free))
    simulated = whitener.simulated(fit.jacobian(free, whitener), cost, np.random.default_rng(design.seed))
    entry = {"chi2": cost, "freedom": freedom, "p": probability, "rejected": probability < LEVEL}
    entry["simulated_p"] = simulated
    return fit, free, whitener, {"parameters": fit.parameters(free), **entry}


def printed_logs() -> np.ndarray:
    return np.log([value.value for value in PRINTED])


def describe(reading: Reading, surfaces: Surfaces, options: Infer, design: Design) -> dict[str, Any]:
    """Fit one reading: parameters, residuals, what is left open, and the point that Figs. 6 and 7 share."""
    fit, free, whitener, entry = solve(reading, surfaces, options.tolerance, design)
    logs = fit.predict(free)
    deviation = np.sqrt(np.diag(whitener.total))
    residuals = (fit.printed - logs - whitener.scatter.bias) / deviation
    values = [
        {"value": value.key, "figure": value.figure, "printed": value.text, "fitted": float(np.exp(log))}
        | {"deviation": float(sigma), "residual": float(z)}
        for value, log, sigma, z in zip(PRINTED, logs, deviation, residuals, strict=True)
    ]
    return {
        "name": reading.name,
        "swapped": reading.swapped,
        "free": list(reading.free),
        **entry,
        "values": values,
        "directions": fit.directions(free, whitener),
        "common_point": common_point(fit, free, whitener),
    }


def profiles(reading: Reading, surfaces: Surfaces, options: Infer, design: Design) -> dict[str, Any]:
    """Sum of squares along each parameter of a reading, the others fitted."""
    fit, free, whitener, _ = solve(reading, surfaces, options.tolerance, design)
    found = {}
    for name in reading.free:
        low, high = LIMITS[name]
        share = name.startswith("share")
        if not share:
            low, high = max(low, 0.6 * free[name]), min(high, (2.5 if name == "snr_db" else 1.8) * free[name])
        values = (np.linspace if share else np.geomspace)(low, high, 21).tolist()
        found[name] = {"values": values, "chi2": fit.profile(name, values, whitener, free)}
    return found


def check(reading: dict[str, Any], draws: int, seed: int) -> dict[str, Any]:
    """Play a fitted reading on other cells: all printed values, the order of the schemes, and the range of Fig. 7."""
    at, found = reading["parameters"], {}
    for pair in PAIRS:
        guess = Guess(at["snr_db"], at[f"time_{pair}"], reading["swapped"])
        played = {}
        for point in ORDER_POINTS:
            scenario = scenario_at(pair, guess, point.bandwidth)
            tokens = expected(table_i(scenario), at["share_78"], scenario.cell.max_draft_length)
            played[point] = goodputs(pair, guess, point, ("hete", "uni_bw", "homo", "fixed"), tokens, draws, seed)
        order = {
            point_text(point): {
                **ratio_estimate(entry["uni_bw"], entry["homo"], seed).to_dict(),
                "above_in_ten": above_in_ten(entry["uni_bw"], entry["homo"], seed),
            }
            for point, entry in played.items()
        }
        gains = {
            point_text(point): ratio_estimate(entry["hete"], entry["fixed"], seed).to_dict()
            for point, entry in played.items()
        }
        wide = Point(bandwidth=20e6)
        ends = [float(played[Point(bandwidth=5e6)]["fixed"].mean()), float(played[wide]["hete"].mean())]
        found[pair] = {"uni_bw_over_homo": order, "hete_over_fixed": gains, "fig7_range": ends, "axis": AXES[pair, 7]}
    return found


def above_in_ten(first: np.ndarray, second: np.ndarray, seed: int) -> float:
    """How often a mean of ten draws of the first is above that of the second on the same draws."""
    groups = groups_of_ten(Design(cells=len(first), seed=seed))
    return float((first[groups].mean(axis=-1) > second[groups].mean(axis=-1)).mean())


def presets(reading: Reading, surfaces: Surfaces, options: Infer, design: Design) -> dict[str, Any]:
    """Sum of squares of a reading at the numbers of the presets, and how far above the least it is."""
    fit, free, whitener, entry = solve(reading, surfaces, options.tolerance, design)
    at = dict(PRESET_VALUES)
    errors = whitener(fit.printed - fit.predict({**free, **at}) - whitener.scatter.bias)
    above = float(errors @ errors) - entry["chi2"]
    return {"values": at, "chi2": float(errors @ errors), "above": above, "p": float(chi2.sf(above, len(at)))}


def phone(reading: Reading, surfaces: Surfaces, found: dict[str, Any]) -> dict[str, Any]:
    """Gains over Fixed BW&L that a reading gives with the power of a phone in place of the fitted one."""
    fit = Fit(reading, {pair: surfaces[pair, reading.swapped] for pair in PAIRS}, printed_logs())
    ratios = np.exp(fit.predict({**found["parameters"], "snr_db": PHONE_DB})).tolist()
    gains = {value.key: ratio for value, ratio in zip(PRINTED, ratios, strict=True) if value.below == "fixed"}
    return {"snr_db": PHONE_DB, "values": gains}


def study(options: Infer, command: str) -> None:
    for name, least in {"draws": 1, "powers": 4, "times": 4, "cells": 2 * DRAWS, "check_draws": DRAWS}.items():
        check_integer(name, getattr(options, name), low=least)
    check_number("tolerance", options.tolerance, low=0.0, high=1.0)
    began = time.process_time()
    design = Design(cells=options.cells, seed=options.seed + 11)
    surfaces = tables(options)
    found = []
    for reading in readings():
        found.append(describe(reading, surfaces, options, design))
        print(f"{reading.name}, swapped {reading.swapped}: p = {found[-1]['p']:.3g}", file=sys.stderr)
    for entry in found:
        if not entry["rejected"] or (entry["name"] == readings()[0].name and not entry["swapped"]):
            entry["check"] = check(entry, options.check_draws, options.seed + 1)
    others = {
        text: [
            {"name": reading.name, "swapped": reading.swapped}
            | solve(reading, surfaces, tolerance or options.tolerance, replace(design, **change))[3]
            for reading, entry in zip(readings(), found, strict=True)
            if entry["p"] > HOPELESS
        ]
        for text, (change, tolerance) in ALTERNATIVES.items()
    }
    best = max(range(len(found)), key=lambda index: found[index]["p"])
    widest = replace(readings()[-1], swapped=found[best]["swapped"])
    report = {
        **head(command),
        "seconds": time.process_time() - began,
        "assumptions": {"draws": DRAWS, "prompts": PROMPTS, "tolerance": options.tolerance, "level": LEVEL},
        "options": {"draws": options.draws, "cells": options.cells, "seed": options.seed}
        | {"check_draws": options.check_draws},
        "printed": [vars(value) | {"point": point_text(value.point)} for value in PRINTED],
        "readings": found,
        "best": best,
        "presets": presets(readings()[best], surfaces, options, design),
        "phone": phone(readings()[best], surfaces, found[best]),
        "alternatives": others,
        "profiles": {
            found[best]["name"]: profiles(readings()[best], surfaces, options, design),
            widest.name: profiles(widest, surfaces, options, design),
            readings()[0].name: profiles(readings()[0], surfaces, options, design),
        },
    }
    page = to_markdown(report)
    options.write({"infer.json": report, "infer.md": page, "infer.png": draw(report)})
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Infer, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
