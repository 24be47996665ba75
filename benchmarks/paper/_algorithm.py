"""How far Algorithm 1 is from the certified optimum, by the size of its grid, and how long both take."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from _curves import preset
from _printed import Point

from multispin_gym import Cell, Decision, Users, play_round
from multispin_gym.baselines import certify, make_controller, relax
from multispin_gym.baselines.estimators.equal_finish import finishing_together
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
    rules: dict[str, Callable[[Users, Cell], Any]] = {
        f"Algorithm 1, {size} x {size}": make_controller("multi_spin", deadlines=size, multipliers=size)
        for size in GRIDS
    }
    rules["best real lengths, rounded"] = partial(rounded, rounding=np.rint)
    rules["best real lengths, rounded down"] = partial(rounded, rounding=np.floor)
    rules["heterogeneous"] = make_controller("heterogeneous")
    real = relax(users, scenario.cell).upper_bound / best - 1.0
    found["whole"] = {"median": float(np.median(real)), "worst": float(real.max())}
    for name, rule in rules.items():
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


def rounded(users: Users, cell: Cell, rounding: Callable[[Any], Any]) -> Decision:
    """The optimum over real lengths, each rounded, with the best shares for what comes of it: no grid is in the way."""
    lengths = np.clip(rounding(relax(users, cell).draft_lengths), cell.min_draft_length, cell.max_draft_length)
    return finishing_together(users, cell, lengths)


def taken(rule: Callable[[Users, Cell], Any], users: Users, cell: Cell, repeats: int = 3) -> float:
    """Least processor time of a call, s."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        rule(users, cell)
        times.append(time.process_time() - start)
    return min(times)
