"""Climbing by single moves of one cell in plain loops, compiled by numba.

The decisions are those of :mod:`.single_moves`. This module needs numba and is imported by
:mod:`.compiled_rows` alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.compiled_curves import (
    ROUNDING,
    Curves,
    deadline_within,
    share_at,
    tangent,
    tokens_of,
)
from multispin_gym.baselines.solver.compiling import compiled
from multispin_gym.baselines.solver.single_moves import LEAST_GAIN

# Relative to the distance from the rate limits: what a deadline is off by is of the order of its cube.
TOLERANCE = 1e-5


class Row(NamedTuple):
    """One cell: see :class:`.problem.Problem`.

    Arrays over the users have shape (K,). ``sums`` are the expected tokens of users with curves at the lengths from
    zero, of shape (K, S + 1), and empty where they have rates. ``waiting`` are verification times by the longest draft
    of a padded batch, or by the drafted tokens of a ragged one.
    """

    curves: Curves
    alpha: FloatArray
    logarithm: FloatArray
    difference: FloatArray
    importance: FloatArray
    low: FloatArray
    high: FloatArray
    time_price: float
    geometric: bool
    padded: bool
    sums: FloatArray
    waiting: FloatArray


@compiled
def tokens_at(row: Row, user: int, length: float) -> float:
    """Expected tokens of a user at a length; with a curve at the whole length below, which is cut to the curve."""
    if row.sums.size:
        return row.sums[user, int(min(max(length, 0.0), row.sums.shape[1] - 1.0))]
    return tokens_of(length, row.logarithm[user], row.difference[user])


@compiled
def total_tokens(row: Row, lengths: FloatArray) -> float:
    """The objective's total of the users' tokens."""
    total = 0.0
    for user in range(len(lengths)):
        tokens = tokens_at(row, user, lengths[user])
        total += row.importance[user] * (np.log(tokens) if row.geometric else tokens)
    return np.exp(total) if row.geometric else total


@compiled
def value(row: Row, total: float, seconds: float) -> float:
    """Score of a total of tokens in some seconds."""
    return total / seconds if np.isnan(row.time_price) else total - row.time_price * seconds


@compiled
def wait(row: Row, lengths: FloatArray) -> float:
    """Verification time, s."""
    return wait_for(row, lengths.max() if row.padded else lengths.sum())


@compiled
def wait_for(row: Row, drafted: float) -> float:
    """Verification time, s, by the longest draft or by the drafted tokens; no number where they are none."""
    return row.waiting[int(drafted)] if 0.0 <= drafted < len(row.waiting) else np.nan


@compiled
def weights_at(row: Row, lengths: FloatArray, weights: FloatArray) -> None:
    """Fill in the weights of the weighted sum that touches the total at some lengths."""
    total = total_tokens(row, lengths) if row.geometric else 1.0
    for user in range(len(lengths)):
        weights[user] = row.importance[user]
        if row.geometric:
            weights[user] *= total / tokens_at(row, user, lengths[user])


@compiled
def above(score: float) -> float:
    """What another score has to pass to count as a gain."""
    return score + LEAST_GAIN * abs(score)


@compiled
def _judge(
    row: Row, lengths: FloatArray, deadline: float, score: float, bound: FloatArray, likely: FloatArray
) -> float:
    """Fill in the bounds and likely gains of all single moves, of shape (3, K): up, down, opting out; ``sum b' x``."""
    users = len(lengths)
    prices, bend, own, weights = np.empty(users), np.empty(users), np.zeros(users), np.empty(users)
    longest, count = lengths.max(), lengths.sum()
    spread = 0.0
    if longest > 0.0:
        _, spread = tangent(row.curves, lengths, deadline, prices, bend, own)
    else:
        prices[:] = row.curves.alone
    weights_at(row, lengths, weights)
    total, runner_up, ties = 0.0, 0.0, 0
    for user in range(users):
        total += weights[user] * tokens_at(row, user, lengths[user])
        if lengths[user] == longest:
            ties += 1
        else:
            runner_up = max(runner_up, lengths[user])
    now, time_price = wait(row, lengths), score if np.isnan(row.time_price) else row.time_price
    for user in range(users):
        length = lengths[user]
        tokens = tokens_at(row, user, length)
        others = runner_up if ties == 1 and length == longest else longest
        for kind in range(3):
            target = 0.0 if kind == 2 else length + 1.0 - 2.0 * kind
            if target < row.low[user] or target > row.high[user] or target == length:
                bound[kind, user] = likely[kind, user] = -np.inf
                continue
            drafted = target - length
            after = wait_for(row, max(others, target) if row.padded else count + drafted)
            gain = weights[user] * (tokens_at(row, user, target) - tokens)
            added = prices[user] * drafted
            bound[kind, user] = value(row, total + gain, max(deadline + added, 0.0) + after)
            if target > 0.0:
                added += 0.5 * own[user] * drafted * drafted
            likely[kind, user] = gain - time_price * (added + after - now)
    return spread


@compiled
def break_even(row: Row, total: float, waiting: float, score: float) -> float:
    """Deadline by which a total of tokens is worth a score, s."""
    if np.isnan(row.time_price):
        return total / score - waiting
    return (total - score) / row.time_price - waiting


@compiled
def _several(
    row: Row, lengths: FloatArray, deadline: float, score: float, likely: FloatArray, best: FloatArray
) -> tuple[float, float]:
    """Fill in the best of the 1, 2, 4, ... most likely moves of as many users, if one gains; its score and deadline."""
    users = len(lengths)
    worth, target, gaining = np.empty(users), np.empty(users), 0
    for user in range(users):
        kind = np.argmax(likely[:, user])
        worth[user] = likely[kind, user]
        target[user] = 0.0 if kind == 2 else lengths[user] + 1.0 - 2.0 * kind
        gaining += worth[user] > 0.0
    order, made, moved = np.argsort(-worth), 0, lengths.copy()
    count = 1
    while count < 2 * gaining:
        while made < min(count, gaining):
            moved[order[made]] = target[order[made]]
            made += 1
        score, deadline, _ = better(row, moved, score, deadline, best)
        count *= 2
    return score, deadline


@compiled
def better(
    row: Row, lengths: FloatArray, score: float, deadline: float, best: FloatArray
) -> tuple[float, float, float]:
    """Take some lengths as the best, with their score and deadline, if they pass the best score so far.

    The third result is a deadline of these lengths, which may lie below the least where they are not taken.
    """
    total, waiting = total_tokens(row, lengths), wait(row, lengths)
    # One look at the band tells most that fall behind: they do not fit by the deadline at which they would be as good.
    latest = break_even(row, total, waiting, score)
    time = deadline_within(row.curves, lengths, latest if latest < np.inf else np.nan, TOLERANCE, latest < np.inf)
    if np.isnan(time):
        return score, deadline, latest
    reached = value(row, total, time + waiting)
    if reached > score:
        best[:] = lengths
        return reached, time, time
    return score, deadline, time


@compiled
def may_gain(
    row: Row,
    here: FloatArray,
    moved: FloatArray,
    users: tuple[int, int],
    total: float,
    deadline: float,
    spread: float,
    score: float,
) -> bool:
    """Whether a move of one or two users from here may pass a score, by one look at their shares.

    ``total`` are the tokens here, ``deadline`` the least one and ``spread`` its ``sum b' x``. Where the move would be
    as good, the others take at least what the tangent of their shares says.
    """
    if row.geometric or not deadline > 0.0:
        return True
    for place in range(2):
        user = users[place]
        if place == 0 or user != users[0]:
            gain = tokens_at(row, user, moved[user])
            gain -= tokens_at(row, user, here[user])
            total += row.importance[user] * gain
    later = break_even(row, total, wait(row, moved), score) / deadline
    taken = 1.0 - spread * (later - 1.0)
    for place in range(2):
        user = users[place]
        if place == 0 or user != users[0]:
            if moved[user] > 0.0:
                theta = later * deadline / moved[user]
                if theta < row.curves.alone[user] * (1.0 - ROUNDING):
                    return False
                taken += share_at(row.curves, user, theta)[0]
            if here[user] > 0.0:
                share, slope, _ = share_at(row.curves, user, deadline / here[user])
                taken -= share + slope * (later - 1.0) * deadline / here[user]
    return not taken > 1.0 + ROUNDING


@compiled
def _one(
    row: Row, lengths: FloatArray, deadline: float, spread: float, score: float, bound: FloatArray, best: FloatArray
) -> tuple[float, float]:
    """Fill in the best single move, if one gains; the best score and its deadline. The bounds are used up."""
    users, moved, here = len(lengths), lengths.copy(), deadline
    total = total_tokens(row, lengths)
    while True:
        first = np.argmax(bound)
        kind, user = first // users, first % users
        if not bound[kind, user] > above(score):
            return score, deadline
        bound[kind, user] = -np.inf
        moved[user] = 0.0 if kind == 2 else lengths[user] + 1.0 - 2.0 * kind
        if may_gain(row, lengths, moved, (user, user), total, here, spread, score):
            score, deadline, _ = better(row, moved, score, deadline, best)
        moved[user] = lengths[user]


@compiled
def climb(row: Row, lengths: FloatArray, deadline: float, score: float) -> tuple[float, float]:
    """Improve one cell's lengths in place until no single move gains; deadline and score."""
    users = len(lengths)
    bound, likely, best = np.empty((3, users)), np.empty((3, users)), lengths.copy()
    while True:
        spread = _judge(row, lengths, deadline, score, bound, likely)
        reached, time = _several(row, lengths, deadline, score, likely, best)
        if not reached > above(score):
            reached, time = _one(row, lengths, deadline, spread, score, bound, best)
            if not reached > above(score):
                return deadline, score
        lengths[:] = best
        deadline, score = time, reached
