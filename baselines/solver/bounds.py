"""Upper bounds on the score that no decision passes, from token prices.

For prices c with ``T(L) >= c . L`` and a price of time eta, token/s, every decision that reaches the goodput eta
satisfies ``0 <= sum_k [weight_k N(alpha_k, L_k) - eta c_k L_k] - eta V(L)``. The right side separates over the users,
so its maximum over whole lengths is exact; the eta at which that maximum is zero bounds the goodput. Where a second has
a fixed price eta, the maximum itself bounds the tokens less that price.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.physics.verification import TableVerification

# Added to every bound, relative: far above the rounding of the sums behind it, far below any certified gap.
SAFETY = 1e-10


def lagrangian_bound(problem: Problem, prices: FloatArray, start: FloatArray, rounds: int = 4) -> FloatArray:
    """Bound on the score over whole lengths, for rows whose verification time is affine.

    The number of tokens in the batch is not held to the piece's range, so this is for padded batches and affine
    ragged ones; see :func:`table_bound` for the rest. The bound may start from any goodput, for example one that is
    reached, and is valid after any number of rounds of Dinkelbach's iteration.

    Shapes: prices that are valid for the row, s per token, (M, K); start, token/s, and bounds, token/s or tokens where
    time has a price, (M,).
    """
    time_price = problem.time_price_at(start)
    delay = prices + problem.slope[:, None]
    fixed = problem.base + problem.slope * problem.num_users
    for step in range(rounds + 1):
        lengths = problem.best_whole_lengths(time_price[:, None] * delay)
        tokens = problem.tokens(lengths).sum(axis=-1)
        seconds = (delay * lengths).sum(axis=-1) + fixed
        if step == rounds:
            break
        time_price = problem.time_price_at(tokens / seconds)
    # What is left above zero falls at least as fast as the shortest round is long.
    shortest = (delay * problem.low).sum(axis=-1) + fixed
    return _safe(problem, tokens, time_price, tokens - time_price * seconds, shortest)


def _safe(
    problem: Problem, tokens: FloatArray, time_price: FloatArray, left: FloatArray, shortest: FloatArray
) -> FloatArray:
    """Turn what the separated maximum leaves at a price of time into a bound with room for rounding errors."""
    ratio = (time_price + np.maximum(left, 0.0) / shortest) * (1.0 + SAFETY)
    return np.where(np.isnan(problem.time_price), ratio, left + SAFETY * tokens)


def table_bound(
    problem: Problem, server: TableVerification, prices: FloatArray, start: FloatArray, rounds: int = 4
) -> FloatArray:
    """Bound on the score over whole lengths for a ragged batch with a measured table.

    For a given number of tokens in the batch the best lengths take the drafted tokens in the order of their worth
    at these prices, so sorting all tokens once gives the exact maximum for every batch size. Shapes and units are those
    of :func:`lagrangian_bound`; minus infinity where no whole lengths lie in the row's range.
    """
    time_price = problem.time_price_at(start)
    rows, num_users = problem.alpha.shape
    span = int((problem.high - problem.low).max())
    drafted = problem.low[..., None] + np.arange(1, span + 1)
    gains = problem.gains(drafted).reshape(rows, -1)
    allowed = (drafted <= problem.high[..., None]).reshape(rows, -1)
    costs = np.repeat(prices, span, axis=-1)
    first = problem.low.sum(axis=-1) + num_users
    count = first[:, None] + np.arange(num_users * span + 1)
    last = problem.high.sum(axis=-1) + num_users
    inside = (count >= problem.least[:, None]) & (count <= np.minimum(problem.most, last)[:, None])
    verification = server.time(count)
    start_tokens = problem.tokens(problem.low).sum(axis=-1, keepdims=True)
    start_seconds = (prices * problem.low).sum(axis=-1, keepdims=True)
    shortest = start_seconds[:, 0] + np.where(inside, verification, np.inf).min(axis=-1)
    for step in range(rounds + 1):
        worth = np.where(allowed, gains - time_price[:, None] * costs, -np.inf)
        order = np.argsort(-worth, axis=-1)
        tokens = _running(start_tokens, gains, order)
        seconds = _running(start_seconds, costs, order) + verification
        value = np.where(inside, tokens - time_price[:, None] * seconds, -np.inf)
        best = value.argmax(axis=-1)[:, None]
        if step == rounds:
            break
        reached = np.take_along_axis(tokens, best, -1) / np.take_along_axis(seconds, best, -1)
        time_price = problem.time_price_at(np.where(inside.any(axis=-1), reached[:, 0], time_price))
    chosen, left = np.take_along_axis(tokens, best, -1)[:, 0], np.take_along_axis(value, best, -1)[:, 0]
    return np.where(inside.any(axis=-1), _safe(problem, chosen, time_price, left, shortest), -np.inf)


def _running(start: FloatArray, values: FloatArray, order: np.ndarray) -> FloatArray:
    return np.concatenate([start, start + np.cumsum(np.take_along_axis(values, order, -1), -1)], axis=-1)
