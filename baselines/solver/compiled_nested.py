"""The scan of nested lengths of one cell in plain loops, compiled by numba.

The decisions are those of :mod:`.nested_lengths`. This module needs numba and is imported by :mod:`.compiled_rows`
alone.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.compiled_curves import least_deadline, tangent
from multispin_gym.baselines.solver.compiled_moves import (
    TOLERANCE,
    Row,
    above,
    better,
    tokens_at,
    total_tokens,
    value,
    wait,
    weights_at,
)
from multispin_gym.baselines.solver.compiling import compiled


@compiled
def _tighten(
    row: Row, user: FloatArray, waiting: FloatArray, prices: FloatArray, weights: FloatArray, bound: FloatArray
) -> None:
    """Lower the bounds of all members with some prices and weights; see :class:`.nested_lengths.Members`."""
    tokens = drafting = 0.0
    gain, made, curved = np.empty(len(prices)), np.empty(len(prices)), row.sums.size > 0
    for who in range(len(prices)):
        tokens += weights[who] * tokens_at(row, who, row.low[who])
        drafting += prices[who] * row.low[who]
        gain[who] = weights[who] * row.alpha[who] ** row.low[who]
        made[who] = row.low[who]
    for index in range(len(bound)):
        if index:
            who = user[index - 1]
            gain[who] *= row.alpha[who]
            made[who] += 1.0
            if curved:
                gain[who] = weights[who] * (tokens_at(row, who, made[who]) - tokens_at(row, who, made[who] - 1.0))
            tokens += gain[who]
            drafting += prices[who]
        if bound[index] > -np.inf:
            bound[index] = min(bound[index], value(row, tokens, drafting + waiting[index]))


@compiled
def scan(
    row: Row,
    token_time: FloatArray,
    until: FloatArray,
    user: FloatArray,
    waiting: FloatArray,
    lengths: FloatArray,
) -> tuple[float, float]:
    """Fill in the best nested lengths; deadline and score. For the members see :class:`.nested_lengths.Members`."""
    users = len(lengths)
    lengths[:] = row.low
    deadline = least_deadline(row.curves, lengths, np.nan, TOLERANCE)
    score = value(row, total_tokens(row, lengths), deadline + wait(row, lengths))
    prices, bend, own, weights = np.empty(users), np.empty(users), np.empty(users), np.empty(users)
    trial = 1.0 / token_time
    time = 1.0
    bound = np.where(waiting < np.inf, np.inf, -np.inf)
    bound[0] = -np.inf
    while True:
        tangent(row.curves, trial, time, prices, bend, own)
        weights_at(row, trial, weights)
        _tighten(row, user, waiting, prices, weights, bound)
        index = np.argmax(bound)
        if not bound[index] > above(score):
            return deadline, score
        bound[index] = -np.inf
        for who in range(users):
            length = min(max(np.floor(until[index] / token_time[who]), row.low[who]), row.high[who])
            # A quotient's rounding does not decide: it is the product that the list is sorted by.
            more = length < row.high[who] and (length + 1.0) * token_time[who] <= until[index]
            less = length > row.low[who] and length * token_time[who] > until[index]
            trial[who] = length + more - less
        score, deadline, time = better(row, trial, score, deadline, lengths)
        if not 0.0 < time < np.inf:
            time = least_deadline(row.curves, trial, np.nan, TOLERANCE)
