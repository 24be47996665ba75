"""Climbing by single moves of one cell in plain loops, compiled by numba.

The decisions are those of :mod:`.single_moves`. This module needs numba and is imported by
:mod:`.compiled_rows` alone.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.compiled_cell import (
    TOLERANCE,
    Row,
    above,
    break_even,
    put,
    tokens_at,
    total_tokens,
    value,
    wait,
    wait_for,
    weights_at,
)
from multispin_gym.baselines.solver.compiled_curves import (
    ROUNDING,
    deadline_within,
    share_at,
    tangent,
)
from multispin_gym.baselines.solver.compiling import compiled, lean


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


@lean
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
        put(lengths, best)
        return reached, time, time
    return score, deadline, time


@lean
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
