"""How far Algorithm 1 is from the certified optimum, by the size of its grid, and how long both take."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from _curves import preset
from _printed import Point

from multispin_gym import Cell, Users, play_round
from multispin_gym.baselines import certify, make_controller
from multispin_gym.statistics import ratio_estimate

GRIDS = (8, 16, 32, 64, 128)
GAP = 1e-6


def algorithm(pair: str, cells: int, limit: float, seed: int) -> dict[str, Any]:
    """Shares of the certified optimum over cells of K = 20, and seconds of processor time for a cell."""
    scenario = preset(pair, Point())
    users = scenario.sample_users(np.random.default_rng(seed), 20, (cells,))
    start = time.process_time()
    certificates = [certify(users[index], scenario.cell, GAP, limit) for index in range(cells)]
    seconds = (time.process_time() - start) / cells
    best, bound = (np.array([getattr(c, name) for c in certificates]) for name in ("goodput", "upper_bound"))
    found: dict[str, Any] = {
        "cells": cells,
        "optimum": float(best.mean()),
        "closed": int((bound / best - 1.0 <= GAP).sum()),
        "largest_gap": float((bound / best - 1.0).max()),
        "seconds": seconds,
        "rules": {},
    }
    rules = {
        f"Algorithm 1, {size} x {size}": ("multi_spin", {"deadlines": size, "multipliers": size}) for size in GRIDS
    }
    for name, (controller, options) in {**rules, "heterogeneous": ("heterogeneous", {})}.items():
        rule = make_controller(controller, **options)
        goodput = play_round(users, scenario.cell, rule(users, scenario.cell)).goodput
        lost = 1.0 - goodput / bound
        found["rules"][name] = {
            "ratio": ratio_estimate(goodput, bound, seed).to_dict(),
            "lost": np.sort(lost).tolist(),
            "median": float(np.median(lost)),
            "worst": float(lost.max()),
            "optimal": float((goodput >= best * (1.0 - 1e-9)).mean()),
            "seconds_batched": taken(rule, users, scenario.cell) / cells,
            "seconds": taken(rule, users[:1], scenario.cell),
        }
    return found


def taken(rule: Callable[[Users, Cell], Any], users: Users, cell: Cell, repeats: int = 3) -> float:
    """Least processor time of a call, s."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        rule(users, cell)
        times.append(time.process_time() - start)
    return min(times)
