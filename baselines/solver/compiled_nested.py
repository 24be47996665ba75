"""The scan of nested lengths of one cell in plain loops, compiled by numba.

The decisions are those of :mod:`.nested_lengths`. This module needs numba and is imported by :mod:`.compiled_rows`
alone.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.compiled_cell import (
    TOLERANCE,
    Row,
    above,
    tokens_at,
    total_tokens,
    value,
    wait,
    weights_at,
)
from multispin_gym.baselines.solver.compiled_curves import least_deadline, tangent
from multispin_gym.baselines.solver.compiled_moves import better
from multispin_gym.baselines.solver.compiled_order import order_of_runs
from multispin_gym.baselines.solver.compiling import compiled


@compiled
def _tighten(
    row: Row, user: np.ndarray, waiting: FloatArray, prices: FloatArray, weights: FloatArray, bound: FloatArray
) -> None:
    """Lower the bounds of all members with some prices and weights; see :class:`.nested_lengths.Members`."""
    tokens = drafting = 0.0
    gain, made = np.empty(len(prices)), np.empty(len(prices))
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
            if row.curved:
                gain[who] = weights[who] * (tokens_at(row, who, made[who]) - tokens_at(row, who, made[who] - 1.0))
            tokens += gain[who]
            drafting += prices[who]
        if bound[index] > -np.inf:
            bound[index] = min(bound[index], value(row, tokens, drafting + waiting[index]))


@compiled
def _members(row: Row) -> tuple[FloatArray, np.ndarray, FloatArray]:
    """Deadlines, users and waiting times of all members; see :class:`.nested_lengths.Members`."""
    users, low, high = len(row.low), int(row.low[0]), int(row.high[0])
    span, token_time, waits = high - low, row.curves.equal, row.waiting
    count, padded = users * span, row.padded
    time, user = np.empty(count), np.empty(count, dtype=np.int64)
    until, waiting = np.empty(count + 1), np.empty(count + 1)
    for who in range(users):
        for step in range(span):
            time[who * span + step] = (low + step + 1.0) * token_time[who]
    order = order_of_runs(time, span)
    until[0], waiting[0], longest = -np.inf, waits[low if padded else users * low], low
    made = np.full(users, low)
    for place in range(count):
        who = order[place] // span
        user[place] = who
        made[who] += 1
        longest = max(longest, made[who])
        until[place + 1] = time[order[place]]
        wait_after = waits[longest if padded else users * low + place + 1]
        waiting[place + 1] = wait_after if until[place + 1] < np.inf else np.inf
        if not until[place] < until[place + 1]:
            waiting[place] = np.inf
    return until, user, waiting


@compiled
def scan(row: Row, lengths: FloatArray) -> tuple[float, float]:
    """Fill in the best nested lengths; deadline and score."""
    users, token_time = len(lengths), row.curves.equal
    lengths[:] = row.low
    deadline = least_deadline(row.curves, lengths, np.nan, TOLERANCE)
    score = value(row, total_tokens(row, lengths), deadline + wait(row, lengths))
    prices, bend, own, weights = np.empty(users), np.empty(users), np.empty(users), np.empty(users)
    until, user, waiting = _members(row)
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
