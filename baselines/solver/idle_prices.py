"""Token prices for cells in which no draft pays.

The least deadline has a kink where nobody drafts: each direction away from it has prices of its own. Let r be what the
users' first tokens are worth in seconds, and X the token rates x that the band carries, ``sum_k b_k(x_k) <= 1``. The
prices ``r / max(r . x)`` are valid, and where that maximum is at most one they exceed what every first token is worth:
they prove that nobody should draft. They are the prices in the direction of the maximiser.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.deadline import least_deadline, token_prices
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.share_curves import ShareCurves

# Halvings of the multiplier's bracket, and Newton steps of the users' coordinates in each.
_HALVINGS, _STEPS = 24, 3
_REACH = 2.0
# Beyond these coordinates a user's share of the band is no number any more.
_FARTHEST_TOTAL, _FARTHEST_DENSITY = 5.0, 30.0


def idle_prices(problem: Problem, time_price: FloatArray) -> FloatArray:
    """Token prices, valid for the row's cell, in the direction in which drafting comes nearest to paying.

    The rows are in a piece. Shapes: what a second is worth where nobody drafts, token/s, (M,); prices, s per token,
    (M, K).
    """
    first = problem.marginal_tokens(np.zeros_like(problem.alpha))
    worth = first / time_price[:, None] - problem.slope[:, None]
    worth = np.where(problem.high > 0.0, np.maximum(worth, 0.0), 0.0)
    largest = worth.max(axis=-1, keepdims=True)
    rates = best_rates(problem.curves, np.where(largest > 0.0, np.maximum(worth, 1e-9 * largest), 1.0))
    return token_prices(problem.curves, rates, least_deadline(problem.curves, rates))


def best_rates(curves: ShareCurves, worth: FloatArray) -> FloatArray:
    """Token rates on the whole band that maximise their total worth.

    At the maximum the share that one more token per second takes is proportional to its worth: ``worth = mu b'(x)``.
    Shapes: positive worths and rates near the maximiser, token/s, (M, K).
    """
    num_users = worth.shape[-1]
    near = curves.coordinate(curves.seconds_per_token(np.ones(1)))
    equal = curves.coordinate(curves.seconds_per_token(np.full(1, 1.0 / num_users)))
    far = np.maximum(near, _FARTHEST_DENSITY if curves.density else _FARTHEST_TOTAL)
    # One user takes the whole band at the smaller multiplier, nobody more than an equal share at the larger one.
    lower, upper = ((np.log(worth) - _log_cost(curves, z)[1]).max(axis=-1, keepdims=True) for z in (near, equal))
    z = equal
    for _ in range(_HALVINGS):
        log_multiplier = 0.5 * (lower + upper)
        for _ in range(_STEPS):
            _, cost, slope, _ = _log_cost(curves, z)
            step = np.clip((cost + log_multiplier - np.log(worth)) / np.minimum(slope, -1e-9), -_REACH, _REACH)
            z = np.clip(z - step, near, far)
        share = _log_cost(curves, z)[3]
        over = share.sum(axis=-1, keepdims=True) > 1.0
        lower, upper = np.where(over, log_multiplier, lower), np.where(over, upper, log_multiplier)
    return 1.0 / _log_cost(curves, z)[0]


def _log_cost(curves: ShareCurves, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Seconds per token, ``ln b'`` with its derivative by the coordinate, and the share."""
    theta, theta_by_z, share, slope, curvature = curves.along(z)
    return theta, np.log(-slope * theta * theta), (curvature / slope + 2.0 / theta) * theta_by_z, share
