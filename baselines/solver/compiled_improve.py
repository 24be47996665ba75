"""The local search of heterogeneous drafts of one cell in plain loops, compiled by numba.

The moves, and which of them are tried, are those of :mod:`.local_search`. This module needs numba and is imported by
:mod:`.compiled_rows` alone.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver import local_search
from multispin_gym.baselines.solver.compiled_cell import (
    Row,
    above,
    drafted_by,
    tokens_at,
    total_tokens,
    wait,
    wait_for,
    weights_at,
)
from multispin_gym.baselines.solver.compiled_curves import tangent
from multispin_gym.baselines.solver.compiled_moves import better, may_gain
from multispin_gym.baselines.solver.compiling import compiled, lean

_TRIES, _MORE, _MANY, _PAIRS = local_search.TRIES, local_search.MORE, local_search.MANY, local_search.PAIRS
_passes = compiled(local_search.passes)


@lean
def _likely(gain: float, bend: float) -> float:
    """A gain to second order; minus infinity where the move cannot gain, or not even if half the bend were all."""
    return gain - bend if gain > 0.0 and gain > 0.5 * bend else -np.inf


@compiled
def _largest(values: FloatArray, count: int) -> np.ndarray:
    """Indices of the largest values, the largest first."""
    left = values.copy()
    index = np.empty(count, dtype=np.int64)
    for place in range(count):
        index[place] = np.argmax(left)
        left[index[place]] = -np.inf
    return index


@lean
def _gains(row: Row, lengths: FloatArray, weights: FloatArray, cost: FloatArray, gain: FloatArray) -> None:
    """Fill in what all single moves gain at given costs of a token, without verification; shape (3, K)."""
    for user in range(len(lengths)):
        length = lengths[user]
        tokens = tokens_at(row, user, length)
        for kind in range(3):
            target = 0.0 if kind == 2 else length + 1.0 - 2.0 * kind
            if target < row.low[user] or target > row.high[user] or target == length:
                gain[kind, user] = -np.inf
            else:
                after = tokens_at(row, user, target)
                gain[kind, user] = weights[user] * (after - tokens) - cost[user] * (target - length)


@lean
def _singles(
    row: Row, lengths: FloatArray, time_price: float, gain: FloatArray, own: FloatArray, worth: FloatArray
) -> None:
    """Fill in the likely gains of all single moves, first up, then down, then opting out."""
    users, now = len(lengths), wait(row, lengths)
    longest, count = drafted_by(lengths)
    runner_up, ties = 0.0, 0
    for user in range(users):
        if lengths[user] == longest:
            ties += 1
        else:
            runner_up = max(runner_up, lengths[user])
    for user in range(users):
        others = runner_up if ties == 1 and lengths[user] == longest else longest
        for kind in range(3):
            worth[kind * users + user] = -np.inf
            if gain[kind, user] > -np.inf:
                target = 0.0 if kind == 2 else lengths[user] + 1.0 - 2.0 * kind
                drafted = target - lengths[user]
                after = wait_for(row, max(others, target) if row.padded else count + drafted)
                bend = 0.5 * time_price * own[user] * drafted * drafted if target > 0.0 else 0.0
                likely = gain[kind, user] - time_price * (after - now)
                if likely > 0.0:
                    worth[kind * users + user] = likely - bend


@compiled
def _pass(
    row: Row, here: FloatArray, score: float, deadline: float, tries: int, best: FloatArray
) -> tuple[float, float]:
    """Fill in the best of the most promising moves, if one gains; the best score and its deadline."""
    users = len(here)
    pairs = min(_PAIRS, users)
    prices, bend, own, weights = np.empty(users), np.empty(users), np.empty(users), np.empty(users)
    middle, spread = tangent(row.curves, here, deadline, prices, bend, own)
    weights_at(row, here, weights)
    time_price = score if np.isnan(row.time_price) else row.time_price
    gain, worth = np.empty((3, users)), np.empty(3 * users + pairs * pairs)
    _gains(row, here, weights, time_price * prices, gain)
    _singles(row, here, time_price, gain, own, worth)
    up, down, now = _largest(gain[0], pairs), _largest(gain[1], pairs), wait(row, here)
    moved, total, before = here.copy(), total_tokens(row, here), deadline
    for first in range(pairs):
        for second in range(pairs):
            a, b = up[first], down[second]
            place = 3 * users + first * pairs + second
            worth[place] = -np.inf
            if a != b and gain[0, a] > -np.inf and gain[1, b] > -np.inf:
                moved[a] += 1.0
                moved[b] -= 1.0
                waiting = wait(row, moved) - now
                moved[a], moved[b] = here[a], here[b]
                mixed = middle * prices[a] * prices[b]
                mixed -= (bend[a] * here[a] * prices[b] + bend[b] * here[b] * prices[a]) / deadline
                bent = 0.5 * time_price * max(own[a] + own[b] - 2.0 * mixed, 0.0)
                worth[place] = _likely(gain[0, a] + gain[1, b] - time_price * waiting, bent)
    chosen = _largest(worth, min(tries, len(worth))) if tries < _MANY else np.argsort(-worth)
    before_all = score
    for number, place in enumerate(chosen):
        if number >= _TRIES and (number - _TRIES) % _MORE == 0 and score > above(before_all):
            break
        if worth[place] > -np.inf:
            if place < 3 * users:
                a = b = place % users
                moved[a] = 0.0 if place >= 2 * users else here[a] + 1.0 - 2.0 * (place // users)
            else:
                a, b = up[(place - 3 * users) // pairs], down[(place - 3 * users) % pairs]
                moved[a] += 1.0
                moved[b] -= 1.0
            if may_gain(row, here, moved, (a, b), total, before, spread, score):
                score, deadline, _ = better(row, moved, score, deadline, best)
            moved[a], moved[b] = here[a], here[b]
    return score, deadline


@compiled
def improve(row: Row, lengths: FloatArray, deadline: float, score: float, known: FloatArray) -> tuple[float, float]:
    """Do :func:`.local_search.improve` in place; deadline and score. It ends at lengths known to leave nothing."""
    best, tries = lengths.copy(), _TRIES
    last = len(lengths) * 3 + _MANY if len(lengths) <= _MANY else _TRIES + _MORE
    for _ in range(2 * _passes(len(lengths))):
        if not lengths.any() or (lengths == known).all():
            break
        reached, time = _pass(row, lengths, score, deadline, tries, best)
        if reached > above(score):
            lengths[:] = best
            deadline, score, tries = time, reached, _TRIES
        elif tries == last:
            break
        else:
            tries = last
    return deadline, score
