"""Whole lengths of one cell near a relaxed optimum in plain loops, compiled by numba.

What is tried is that of :mod:`.roundings`. This module needs numba and is imported by :mod:`.compiled_rows` alone.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver import roundings
from multispin_gym.baselines.solver.compiled_cell import TOLERANCE, Row, put, total_tokens, value, wait
from multispin_gym.baselines.solver.compiled_curves import ROUNDING, least_deadline, tangent, tokens_of
from multispin_gym.baselines.solver.compiled_duals import best_real
from multispin_gym.baselines.solver.compiled_moves import better
from multispin_gym.baselines.solver.compiled_settling import Relaxed
from multispin_gym.baselines.solver.compiling import compiled, lean

_ROUNDING, _SCALES, _SETTLING = np.array(roundings.ROUNDING), np.array(roundings.SCALES), roundings.SETTLING
_ROUGH = roundings.ROUGH ** (2.0 / 3.0)
OPTIONS = len(_ROUNDING) + len(_SCALES) + 1


@lean
def play(row: Row, lengths: FloatArray, start: float) -> tuple[float, float]:
    """Least deadline and score of whole lengths."""
    deadline = least_deadline(row.curves, lengths, start, TOLERANCE)
    return deadline, value(row, total_tokens(row, lengths), deadline + wait(row, lengths))


@lean
def best_of(row: Row, options: FloatArray, prices: FloatArray, start: float, best: FloatArray) -> tuple[float, float]:
    """Fill in the best of some lengths, of shape (C, K); its deadline and score.

    With prices that are valid for the cell most of them need no look at the band.
    """
    put(options[0], best)
    deadline, score = play(row, best, start)
    for index in range(1, len(options)):
        here = options[index]
        seconds = 0.0
        for user in range(len(here)):
            seconds += prices[user] * here[user]
        seconds = seconds * (1.0 - ROUNDING) + wait(row, here)
        if not value(row, total_tokens(row, here), seconds) <= score:
            score, deadline, _ = better(row, here, score, deadline, best)
    return deadline, score


@lean
def fill(relaxed: Relaxed, lengths: FloatArray, high: float, dual: FloatArray, options: FloatArray) -> None:
    """Fill in the options near real lengths, the first of which are given; shape (C, K)."""
    for user in range(len(lengths)):
        least, most = relaxed.least[user], high
        for index in range(len(_ROUNDING)):
            options[1 + index, user] = np.floor(lengths[user] + _ROUNDING[index])
        for index in range(len(_SCALES)):
            options[1 + len(_ROUNDING) + index, user] = np.rint(_SCALES[index] * lengths[user])
        options[0, user] = dual[user]
        for index in range(OPTIONS):
            options[index, user] = min(max(options[index, user], least), most)


@compiled
def opt_out(
    relaxed: Relaxed, high: float, lengths: FloatArray, prices: FloatArray, dropped: np.ndarray, options: FloatArray
) -> None:
    """Fill in lengths for the rest when ever more of the users who cost the most time do not draft; shape (C, K)."""
    users = len(lengths)
    order = np.argsort(-prices * lengths, kind="mergesort")
    kept, trial = np.empty(users, dtype=np.bool_), np.empty(users)
    here, bend, own = np.empty(users), np.empty(users), np.empty(users)
    for index in range(len(dropped)):
        for rank in range(users):
            kept[order[rank]] = rank >= dropped[index]
        for user in range(users):
            trial[user] = max(lengths[user], 1.0) if kept[user] else 0.0
        for _ in range(_SETTLING):
            deadline = least_deadline(relaxed.curves, trial, np.nan, _ROUGH)
            tangent(relaxed.curves, trial, deadline, here, bend, own)
            tokens, drafted = 0.0, 0.0
            for user in range(users):
                tokens += relaxed.weight[user] * tokens_of(
                    trial[user], relaxed.logarithm[user], relaxed.difference[user]
                )
                drafted += trial[user]
            seconds = deadline + relaxed.base + relaxed.slope * (drafted + users)
            time_price = tokens / seconds if np.isnan(relaxed.time_price) else relaxed.time_price
            for user in range(users):
                if kept[user]:
                    wanted = best_real(
                        relaxed.weight[user] * relaxed.gain[user],
                        time_price * (here[user] + relaxed.slope),
                        relaxed.decay[user],
                        relaxed.least[user],
                        high,
                    )
                    trial[user] = 0.5 * (trial[user] + max(wanted, 0.5))
        for user in range(users):
            options[index, user] = max(np.rint(trial[user]), 1.0) if kept[user] else 0.0
