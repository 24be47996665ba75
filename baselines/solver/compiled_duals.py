"""What the verification pieces of one cell can still offer, in plain loops, compiled by numba.

It is what :mod:`.piece_duals` does. This module needs numba and is imported by :mod:`.compiled_rows` alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver import problem
from multispin_gym.baselines.solver.compiled_cell import Row, tokens_at
from multispin_gym.baselines.solver.compiled_order import order_of_runs
from multispin_gym.baselines.solver.compiling import compiled, lean

_real_length = compiled(problem.real_length)
_whole_length = compiled(problem.whole_length)


class Duals(NamedTuple):
    """The verification pieces of one cell, and what they may still add.

    ``ranged`` says that they are ranges of the number of tokens in the batch: from ``first`` to ``last`` beyond the
    least. The other fields are those of :class:`.whole_search.Search`. Shape (P,) each.
    """

    ranged: bool
    high: FloatArray
    first: np.ndarray
    last: np.ndarray
    excess: FloatArray
    base: FloatArray
    slope: FloatArray


@lean
def _in_range(wanted: float, price: float, low: float, high: float) -> float:
    """See :meth:`.problem.Problem.best_whole_lengths`."""
    if not price > 0.0:
        return high
    return low if np.isnan(wanted) else min(max(wanted, low), high)


@lean
def best_real(value: float, price: float, decay: float, low: float, high: float) -> float:
    """Real length of one user that maximises ``tokens - price * L``; the value is its weight times its gain."""
    length: float = _in_range(_real_length(value, price, decay), price, low, high)
    return length


@lean
def best_whole(weight: float, price: float, decay: float, low: float, high: float) -> float:
    """Whole length of one user that maximises ``tokens - price * L``."""
    length: float = _in_range(_whole_length(weight, price, decay), price, low, high)
    return length


@compiled
def judge(
    row: Row,
    duals: Duals,
    decay: FloatArray,
    weights: FloatArray,
    prices: FloatArray,
    score: float,
    index: int,
    lengths: FloatArray,
) -> None:
    """Lower what the pieces may add by new prices; for ranges, fill in the lengths at the maximum in one piece."""
    priced = not np.isnan(row.time_price)
    time_price, known = row.time_price if priced else score, score if priced else 0.0
    if duals.ranged:
        _judge_ranges(row, duals, weights, prices, time_price, known, index, lengths)
        return
    users = len(weights)
    wanted = np.empty(users)
    for user in range(users):
        price = time_price * (prices[user] + duals.slope[0])
        wanted[user] = best_whole(weights[user], price, decay[user], row.low[user], row.high[user])
    for piece in range(len(duals.high)):
        tokens, seconds = 0.0, duals.base[piece] + duals.slope[piece] * users
        for user in range(users):
            length = min(wanted[user], duals.high[piece])
            tokens += weights[user] * tokens_at(row, user, length)
            seconds += (prices[user] + duals.slope[piece]) * length
        duals.excess[piece] = min(duals.excess[piece], tokens - time_price * seconds - known)


@compiled
def _judge_ranges(
    row: Row,
    duals: Duals,
    weights: FloatArray,
    prices: FloatArray,
    time_price: float,
    known: float,
    index: int,
    lengths: FloatArray,
) -> None:
    """One order of all drafted tokens serves every number of them in the batch."""
    users, span, waits = len(weights), int(row.high[0] - row.low[0]), row.waiting
    worth, least, start = np.empty(users * span), 0.0, int(row.low[0] * users)
    for user in range(users):
        least += weights[user] * tokens_at(row, user, row.low[user])
        least -= time_price * prices[user] * row.low[user]
        gain = weights[user] * row.alpha[user] ** row.low[user]
        for step in range(span):
            gain *= row.alpha[user]
            worth[user * span + step] = time_price * prices[user] - gain
    order = order_of_runs(worth, span)
    value, total = np.empty(users * span + 1), least
    value[0] = least - time_price * waits[start]
    for place in range(users * span):
        total -= worth[order[place]]
        value[place + 1] = total - time_price * waits[start + place + 1]
    lengths[:] = row.low
    for piece in range(len(duals.high)):
        first, last = duals.first[piece], duals.last[piece]
        # A piece without any number of tokens has nothing to offer.
        best = first + np.argmax(value[first : max(first, last) + 1])
        offered = value[best] - known if first <= last else -np.inf
        duals.excess[piece] = min(duals.excess[piece], offered)
        margin = worth[order[max(best - 1, 0)]] + worth[order[min(best, users * span - 1)]]
        slope = -0.5 * margin / time_price if time_price > 0.0 else 0.0
        duals.slope[piece] = slope
        duals.base[piece] = waits[start + best] - slope * (start + best + users)
        if piece == index:
            for place in range(best):
                lengths[order[place] // span] += 1.0
