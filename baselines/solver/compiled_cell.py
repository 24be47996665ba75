"""One cell in the compiled loops: its users' tokens, its waiting and its score.

The formulas are those of :mod:`.problem` and of the physics. This module needs numba and is imported by
:mod:`.compiled_rows` alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.compiled_curves import Curves, tokens_of
from multispin_gym.baselines.solver.compiling import compiled, inlined, lean
from multispin_gym.baselines.solver.single_moves import LEAST_GAIN

# Relative to the distance from the rate limits: what a deadline is off by is of the order of its cube.
TOLERANCE = 1e-5


class Row(NamedTuple):
    """One cell: see :class:`.problem.Problem`.

    Arrays over the users have shape (K,). ``sums`` are the expected tokens at the lengths from zero, of shape
    (K, S + 1), where S is the longest draft or the end of the users' curves. ``waiting`` are verification times by the
    longest draft of a padded batch, or by the drafted tokens of a ragged one.
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
    curved: bool
    sums: FloatArray
    waiting: FloatArray


@compiled
def tokens_by_length(alpha: FloatArray, longest: int) -> FloatArray:
    """Expected tokens of users with acceptance rates at the lengths from zero. Shape (K, longest + 1)."""
    sums = np.ones((len(alpha), longest + 1))
    for user in range(len(alpha)):
        for length in range(longest):
            sums[user, length + 1] += alpha[user] * sums[user, length]
    return sums


@inlined
def tokens_at(row: Row, user: int, length: float) -> float:
    """Expected tokens of a user at a length; with a curve at the whole length below, which is cut to the curve."""
    longest = row.sums.shape[1] - 1.0
    if row.curved or (0.0 <= length <= longest and length == np.floor(length)):
        return row.sums[user, int(min(max(length, 0.0), longest))]
    return tokens_of(length, row.logarithm[user], row.difference[user])


@inlined
def total_tokens(row: Row, lengths: FloatArray) -> float:
    """The objective's total of the users' tokens."""
    total = 0.0
    for user in range(len(lengths)):
        tokens = tokens_at(row, user, lengths[user])
        total += row.importance[user] * (np.log(tokens) if row.geometric else tokens)
    return np.exp(total) if row.geometric else total


@inlined
def value(row: Row, total: float, seconds: float) -> float:
    """Score of a total of tokens in some seconds."""
    return total / seconds if np.isnan(row.time_price) else total - row.time_price * seconds


@inlined
def drafted_by(lengths: FloatArray) -> tuple[float, float]:
    """The longest draft and the number of drafted tokens."""
    longest = count = 0.0
    for length in lengths:
        longest = max(longest, length)
        count += length
    return longest, count


@inlined
def wait(row: Row, lengths: FloatArray) -> float:
    """Verification time, s."""
    longest, count = drafted_by(lengths)
    return wait_for(row, longest if row.padded else count)


@inlined
def wait_for(row: Row, drafted: float) -> float:
    """Verification time, s, by the longest draft or by the drafted tokens; no number where they are none."""
    return row.waiting[int(drafted)] if 0.0 <= drafted < len(row.waiting) else np.nan


@lean
def weights_at(row: Row, lengths: FloatArray, weights: FloatArray) -> None:
    """Fill in the weights of the weighted sum that touches the total at some lengths."""
    total = total_tokens(row, lengths) if row.geometric else 1.0
    for user in range(len(lengths)):
        weights[user] = row.importance[user]
        if row.geometric:
            weights[user] *= total / tokens_at(row, user, lengths[user])


@inlined
def put(values: FloatArray, into: FloatArray) -> None:
    """Copy values into an array: to assign them to a slice of it, numba would make another array."""
    for index in range(len(values)):
        into[index] = values[index]


@inlined
def above(score: float) -> float:
    """What another score has to pass to count as a gain."""
    return score + LEAST_GAIN * abs(score)


@inlined
def break_even(row: Row, total: float, waiting: float, score: float) -> float:
    """Deadline by which a total of tokens is worth a score, s."""
    if np.isnan(row.time_price):
        return total / score - waiting
    return (total - score) / row.time_price - waiting
