"""The way to the stationary point of one cell in plain loops, compiled by numba.

The steps are those of :mod:`.stationarity`. This module needs numba and is imported by :mod:`.compiled_rows` alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver import problem, stationarity
from multispin_gym.baselines.solver.compiled_curves import (
    Curves,
    along,
    coordinate,
    least_deadline,
    seconds_along,
    tokens_of,
)
from multispin_gym.baselines.solver.compiling import compiled, lean

_marginal_of = compiled(problem.marginal_of)
_band_costs = compiled(stationarity.band_costs)
_user_conditions = compiled(stationarity.user_conditions)
_solve_two = compiled(stationarity.solve_two)
_STEPS, _STILL, _NEAREST = stationarity.STEPS, stationarity.STILL, stationarity.NEAREST
_REACH_DEADLINE, _REACH_BAND_PRICE = stationarity.REACH_DEADLINE, stationarity.REACH_BAND_PRICE
_REACH_USER = stationarity.REACH_USER


class Relaxed(NamedTuple):
    """One row of a relaxed problem: see :class:`.problem.Problem`.

    Arrays over the users have shape (K,); ``low`` and ``high`` are the limits of real lengths, ``least`` the range's
    own least length.
    """

    curves: Curves
    logarithm: FloatArray
    difference: FloatArray
    weight: FloatArray
    decay: FloatArray
    gain: FloatArray
    low: FloatArray
    high: FloatArray
    least: FloatArray
    base: float
    slope: float
    time_price: float


@lean
def _bounded(step: float, size: float) -> float:
    return min(max(step, -size), size) if np.isfinite(step) else 0.0


@lean
def _is_idle(row: Relaxed, user: int, time_price: float, nu: float) -> bool:
    """Whether a user's first token is not worth its price even at the least share."""
    if row.least[user] > 0.0:
        return False
    first = _marginal_of(row.least[user], row.weight[user], row.gain[user], row.decay[user])
    return first <= time_price * row.slope + nu * (row.curves.scale[user] if row.curves.density else 0.0)


@lean
def _within(row: Relaxed, user: int, z: float, deadline: float, idle: bool) -> tuple[float, bool, bool]:
    """A coordinate within its limits, whose roots are sought only near them; whether it is the bottom, or the top."""
    length = deadline / seconds_along(row.curves, user, z)
    if idle or not length > row.low[user] or row.low[user] >= row.high[user]:
        top = coordinate(row.curves, user, deadline / row.low[user])
        if idle or z >= top or row.low[user] >= row.high[user]:
            return top, row.low[user] >= row.high[user], True
    if not length < row.high[user] or z <= _NEAREST:
        bottom = max(coordinate(row.curves, user, deadline / row.high[user]), _NEAREST)
        if z <= bottom:
            return bottom, True, False
    return z, False, False


@compiled
def _conditions(
    row: Relaxed, z: FloatArray, bottom: np.ndarray, top: np.ndarray, deadline: float, nu: float, users: FloatArray
) -> tuple[float, float, float]:
    """Fill in a state: lengths, errors, who is held and idle, and how all follow; nu and the joint step.

    The rows of ``users`` are the lengths, the error, held and idle (0 or 1), own, by deadline, by band price and tilt
    of the state in :mod:`.stationarity`. Who is at the bottom or the top is given. A nu of NaN is taken from the point.
    """
    count = len(z)
    lengths, error, held, idle, own, by_deadline, by_band_price, tilt = users
    cost, bend, marginal, rate = np.empty(count), np.empty(count), np.empty(count), np.empty(count)
    tokens = drafted = elasticity = used = 0.0
    for user in range(count):
        theta, theta_by_z, share, slope, curvature = along(row.curves, user, z[user])
        rate[user] = 1.0 / theta
        cost[user], bend[user] = _band_costs(theta, slope, curvature)
        lengths[user] = deadline * rate[user]
        tilt[user] = rate[user] * rate[user] * theta_by_z
        marginal[user] = _marginal_of(lengths[user], row.weight[user], row.gain[user], row.decay[user])
        tokens += row.weight[user] * tokens_of(lengths[user], row.logarithm[user], row.difference[user])
        drafted += lengths[user]
        elasticity += cost[user] * rate[user]
        used += share
    seconds = deadline + row.base + row.slope * (drafted + count)
    priced = not np.isnan(row.time_price)
    time_price = row.time_price if priced else tokens / seconds
    if np.isnan(nu):
        nu = time_price / elasticity
    a = b = c = d = p = q = 0.0
    for user in range(count):
        error[user], own[user], by_deadline[user], by_band_price[user] = _user_conditions(
            marginal[user], time_price * row.slope, nu, cost[user], bend[user], row.decay[user], deadline, lengths[user]
        )
        low, high = bottom[user] and error[user] > 0.0, top[user] and error[user] < 0.0
        held[user], idle[user] = low or high, _is_idle(row, user, time_price, nu)
        if held[user] > 0.0:
            own[user], by_deadline[user], by_band_price[user] = 0.0, -rate[user], 0.0
        growth = 0.0 if priced else marginal[user] / tokens - row.slope / seconds
        pull = (bend[user] * rate[user] + cost[user]) / elasticity - growth * deadline
        a += cost[user] * by_deadline[user]
        b += cost[user] * by_band_price[user]
        c += pull * by_deadline[user] - growth * lengths[user]
        d += pull * by_band_price[user]
        p -= cost[user] * own[user]
        q -= pull * own[user]
    waiting = 0.0 if priced else deadline / seconds
    p, q = p / used - np.log(used), q + np.log(time_price / (nu * elasticity))
    d_deadline, d_nu = _solve_two(a / used, b / used, c + waiting, d + 1.0, p, q)
    return nu, d_deadline, d_nu


@compiled
def settle(row: Relaxed, lengths: FloatArray) -> float:
    """Do Newton's method of :mod:`.stationarity` in place; the last deadline."""
    count = len(lengths)
    curves = row.curves
    deadline = least_deadline(curves, lengths, np.nan, 0.2)
    z, here, idle = np.empty(count), np.empty(count), np.zeros(count)
    bottom, top = np.empty(count, dtype=np.bool_), np.empty(count, dtype=np.bool_)
    users = np.empty((8, count))
    alone = 0.0
    for user in range(count):
        alone = max(alone, row.low[user] * curves.alone[user])
        z[user] = coordinate(curves, user, deadline / lengths[user])
    nu, before, reach = np.nan, 0.0, 1.0
    for _ in range(_STEPS):
        for user in range(count):
            here[user], bottom[user], top[user] = _within(row, user, z[user], deadline, idle[user] > 0.0)
        nu, d_deadline, d_nu = _conditions(row, here, bottom, top, deadline, nu, users)
        for user in range(count):
            # Rounding does not take a length at its limit off it.
            lengths[user] = row.low[user] if top[user] else min(users[0, user], row.high[user])
        if d_deadline * before < 0.0:
            reach *= 0.5
        if abs(d_deadline) < _STILL and abs(d_nu) < _STILL:
            break
        d_deadline = _bounded(d_deadline, _REACH_DEADLINE * reach)
        d_nu = _bounded(d_nu, _REACH_BAND_PRICE * reach)
        for user in range(count):
            step = (users[4, user] + users[5, user] * d_deadline + users[6, user] * d_nu) / users[7, user]
            step = np.sign(users[1, user]) if users[2, user] > 0.0 else _bounded(step, _REACH_USER)
            if not idle[user] > 0.0:
                z[user] = here[user] - step
            idle[user] = users[3, user]
        before = d_deadline
        deadline = max(deadline * np.exp(d_deadline), alone)
        nu *= np.exp(d_nu)
    return deadline
