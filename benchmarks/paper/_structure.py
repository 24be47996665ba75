"""Figs. 3 and 4, and whom the optimal split of the band favours."""

from __future__ import annotations

from typing import Any

import numpy as np
from _curves import LAWS, preset
from _printed import Point
from _scoring import expected, table_i, tasks_of

from multispin_gym import Users, play_round
from multispin_gym._validation import FloatArray
from multispin_gym.baselines import make_controller
from multispin_gym.baselines.closed_form import best_common_length
from multispin_gym.physics.acceptance import mean_tokens
from multispin_gym.physics.rounds import Decision

TASK = "GSM8K"
BINS = 8
# Fig. 4's axes, and what stays where it is on the two others (ours: the paper's values were not seen).
SWEEPS: dict[str, FloatArray] = {
    "verification_time": np.linspace(0.1, 0.4, 13),
    "acceptance_rate": np.linspace(0.6, 0.9, 13),
    "seconds_per_token": np.linspace(0.02, 0.08, 13),
}
MIDDLE = {"verification_time": 0.25, "acceptance_rate": 0.8, "seconds_per_token": 0.04}


def common_lengths(pair: str, draws: int, seed: int) -> dict[str, Any]:
    """Fig. 3: goodput over a common length, all users at GSM8K, the band split so that all finish together."""
    scenario = preset(pair, Point())
    users = scenario.sample_users(np.random.default_rng(seed), 20, (draws,))
    table = table_i(scenario)
    index = next(i for i, task in enumerate(scenario.acceptance) if task.task == TASK)
    alike = Users(table[index, 0], users.drafting_speed, users.channel_gain, users.transmit_power)
    shares = make_controller("homogeneous")(alike, scenario.cell).bandwidth_shares
    lengths = np.arange(1, scenario.cell.max_draft_length + 1)
    found: dict[str, Any] = {"lengths": lengths.tolist()}
    seconds = [
        play_round(alike, scenario.cell, Decision(np.full(shares.shape, length), shares)).latency for length in lengths
    ]
    for law, share in LAWS.items():
        tokens = expected(table, share, scenario.cell.max_draft_length)[index]
        goodput = np.array([20.0 * tokens[n] / time for n, time in zip(lengths, seconds, strict=True)])
        rise = np.diff(goodput, axis=0) > 0.0
        means = goodput.mean(axis=-1)
        found[law] = {
            "goodput": means.tolist(),
            "best_length": int(lengths[means.argmax()]),
            # A unimodal curve never rises again.
            "unimodal_cells": float((~(rise[1:] & ~rise[:-1]).any(axis=0)).mean()),
        }
    return found


def best_lengths() -> dict[str, Any]:
    """Fig. 4: the best common length by Theorem 1 along each quantity, and by trying all lengths."""
    found = {}
    lengths = np.arange(1.0, 26.0)
    for name, values in SWEEPS.items():
        at = {**{key: np.full(len(values), value) for key, value in MIDDLE.items()}, name: values}
        real = best_common_length(**at)
        tokens = mean_tokens(at["acceptance_rate"][:, None], lengths)
        seconds = lengths * at["seconds_per_token"][:, None] + at["verification_time"][:, None]
        whole = lengths[(tokens / seconds).argmax(axis=-1)]
        falls, rises = bool((np.diff(real) <= 0.0).all()), bool((np.diff(real) >= 0.0).all())
        found[name] = {
            "values": values.tolist(),
            "real": real.tolist(),
            "whole": whole.tolist(),
            "direction": "grows" if rises else "falls" if falls else "neither",
            "neighbour": bool((np.abs(np.clip(real, 1.0, 25.0) - whole) < 1.0).all()),
        }
    return found


def binned(x: FloatArray, y: FloatArray) -> dict[str, Any]:
    """Means of y, and its quartiles, in bins of x with as many users each; and the rank correlation."""
    from scipy.stats import spearmanr

    order = np.argsort(x)
    parts = np.array_split(order, BINS)
    return {
        "x": [float(x[part].mean()) for part in parts],
        "mean": [float(y[part].mean()) for part in parts],
        "quartiles": [np.quantile(y[part], (0.25, 0.75)).tolist() for part in parts],
        "rank_correlation": float(spearmanr(x, y).statistic),
    }


def splits(pair: str, draws: int, seed: int) -> dict[str, Any]:
    """Shares of the band, times the number of users, along what users differ in."""
    scenario = preset(pair, Point())
    users = scenario.sample_users(np.random.default_rng(seed), 20, (draws,))
    table = table_i(scenario)
    efficiency = np.log2(1.0 + users.received_power / scenario.cell.noise_power)
    tasks = tasks_of(users.acceptance_rate, table)
    found: dict[str, Any] = {}
    for name in ("homogeneous", "multi_spin"):
        decision = make_controller(name)(users, scenario.cell)
        share = 20.0 * decision.bandwidth_shares
        found[name] = {
            "drafting_time_ms": binned(1e3 * users.drafting_time.ravel(), share.ravel()),
            "spectral_efficiency": binned(efficiency.ravel(), share.ravel()),
            "acceptance_rate": [
                {
                    "task": task.task,
                    "rate": float(table[index, 0]),
                    "share": float(share[tasks == index].mean()),
                    "quartiles": np.quantile(share[tasks == index], (0.25, 0.75)).tolist(),
                    "length": float(decision.draft_lengths[tasks == index].mean()),
                }
                for index, task in enumerate(scenario.acceptance)
            ],
        }
    return found


def structure(pair: str, draws: int, seed: int) -> dict[str, Any]:
    """Figs. 3 and 4 and the splits of one pair."""
    return {
        "fig3": common_lengths(pair, draws, seed),
        "fig4": best_lengths(),
        "splits": splits(pair, draws, seed),
    }
