"""Share curves and the least deadline of one cell in plain loops, compiled by numba.

The formulas are those of :mod:`.share_curves` and of the physics, compiled as they stand there; here are only the loops
over the users. This module needs numba and is imported by :mod:`.compiled_rows` alone.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver import deadline as deadlines
from multispin_gym.baselines.solver import share_curves
from multispin_gym.baselines.solver.compiling import compiled, inlined, lean
from multispin_gym.physics import acceptance, uplink

_series_root = compiled(uplink.series_root)
_halley_root = compiled(uplink.halley_root)
_ratio_derivatives = compiled(share_curves.ratio_derivatives)
_ratio_series = compiled(share_curves.ratio_series)
_share_of_log_snr = compiled(share_curves.share_of_log_snr)
_bend_of_log_snr = compiled(share_curves.bend_of_log_snr)
_upload_of_share = compiled(share_curves.upload_of_share)
_share_of_spare = compiled(share_curves.share_of_spare)
_with_rest = compiled(deadlines.with_rest)
_hyperbolic_step = compiled(deadlines.hyperbolic_step)
_log_step = compiled(deadlines.log_step)
tokens_of = compiled(acceptance.tokens_of)
# How far a sum of shares may lie above one by rounding alone.
ROUNDING = 1e-12
_SERIES_END, _EXP_SERIES = uplink.SERIES_END, share_curves.EXP_SERIES


class Curves(NamedTuple):
    """The share curves of one cell: see :class:`.share_curves.ShareCurves`. Shape (K,) each.

    ``alone`` and ``equal`` are the seconds per token on the whole band and on an equal share of it.
    """

    density: bool
    drafting_time: FloatArray
    scale: FloatArray
    signal: FloatArray
    alone: FloatArray
    equal: FloatArray
    floor: FloatArray


@compiled
def curves_of(density: bool, drafting_time: FloatArray, scale: FloatArray, signal: FloatArray) -> Curves:
    """Share curves of one cell."""
    users = len(scale)
    alone, equal, floor = np.empty(users), np.empty(users), np.empty(users)
    for user in range(users):
        if density:
            alone[user] = drafting_time[user] + scale[user]
            equal[user] = drafting_time[user] + scale[user] * users
            floor[user] = drafting_time[user]
        else:
            alone[user] = drafting_time[user] + _upload_of_share(scale[user], signal[user], 1.0)
            equal[user] = drafting_time[user] + _upload_of_share(scale[user], signal[user], 1.0 / users)
            floor[user] = drafting_time[user] + scale[user]
    return Curves(density, drafting_time, scale, signal, alone, equal, floor)


@inlined
def log_snr(excess: float) -> float:
    """Solve ``expm1(w) / w = 1 + excess``; see :func:`multispin_gym.physics.uplink.log_snr_of_ratio`."""
    target = np.log1p(excess)
    if target < _SERIES_END:
        return _series_root(target)
    return _halley_root(target) if target < np.inf else np.inf


@inlined
def of_log_snr(scale: float, signal: float, w: float) -> tuple[float, float, float, float]:
    """Slope of theta in w, and the share with two derivatives by theta, for total power."""
    growth = np.expm1(w)
    first, second = _ratio_series(w) if w < _EXP_SERIES else _ratio_derivatives(w, growth)
    inner = scale * first
    share, slope = _share_of_log_snr(signal, growth, inner)
    return inner, share, slope, _bend_of_log_snr(slope, growth, inner, second / first)


@inlined
def share_at(curves: Curves, user: int, theta: float) -> tuple[float, float, float]:
    """Share of the band and its two derivatives by the seconds per token."""
    scale, spare = curves.scale[user], theta - curves.drafting_time[user]
    if curves.density:
        return _share_of_spare(scale, spare)
    w = log_snr(max((spare - scale) / scale, 0.0))
    _, share, slope, curvature = of_log_snr(scale, curves.signal[user], w)
    return share, slope, curvature


@inlined
def seconds_along(curves: Curves, user: int, z: float) -> float:
    """Seconds per token along the coordinate of :func:`along`."""
    v = np.exp(z)
    return curves.drafting_time[user] + (v if curves.density else curves.scale[user] * np.expm1(v) / v)


@inlined
def along(curves: Curves, user: int, z: float) -> tuple[float, float, float, float, float]:
    """Seconds per token and share along :meth:`.share_curves.ShareCurves.along`'s coordinate."""
    v, scale, theta = np.exp(z), curves.scale[user], seconds_along(curves, user, z)
    if curves.density:
        share, slope, curvature = _share_of_spare(scale, v)
        return theta, v, share, slope, curvature
    inner, share, slope, curvature = of_log_snr(scale, curves.signal[user], v)
    return theta, inner * v, share, slope, curvature


@inlined
def coordinate(curves: Curves, user: int, theta: float) -> float:
    """Coordinate of :func:`along` at given seconds per token."""
    scale, spare = curves.scale[user], theta - curves.drafting_time[user]
    if curves.density:
        return np.log(max(spare, 0.0))
    return np.log(log_snr(max((spare - scale) / scale, 0.0)))


@lean
def least_deadline(curves: Curves, lengths: FloatArray, start: float, tolerance: float) -> float:
    """Least deadline of one cell's lengths; see :func:`.deadline.least_deadline`. A NaN is no start.

    What is left is of the order of the tolerance's cube.
    """
    return deadline_within(curves, lengths, start, tolerance, False)


@lean
def deadline_within(curves: Curves, lengths: FloatArray, start: float, tolerance: float, latest: bool) -> float:
    """Least deadline of one cell's lengths; NaN where the start is to be the latest and they clearly miss it.

    One look at the band tells most that miss it.
    """
    low = floor = 0.0
    drafting = 0
    for user in range(len(lengths)):
        if lengths[user] > 0.0:
            drafting += 1
            low = max(low, lengths[user] * curves.alone[user])
            floor = max(floor, lengths[user] * curves.floor[user])
    if drafting == 0:
        return 0.0
    if np.isnan(start):
        start = 0.0
        for user in range(len(lengths)):
            start = max(start, lengths[user] * curves.equal[user])
    if latest and not start >= low * (1.0 - ROUNDING):
        return np.nan
    deadline = max(start, low)
    if curves.density:
        tolerance = tolerance**1.5
    for _ in range(60):
        total = first = second = 0.0
        for user in range(len(lengths)):
            if lengths[user] > 0.0:
                theta = deadline / lengths[user]
                share, slope, curvature = share_at(curves, user, theta)
                total += share
                first += slope * theta
                second += (curvature * theta + slope) * theta
                if latest and total > 1.0 + ROUNDING:
                    return np.nan
        latest = False
        if curves.density:
            change = 1.0 + _hyperbolic_step(total, first)
        else:
            change = np.exp(_log_step(np.log(total), first / total, second / total))
        new = max(deadline * change, low)
        moved = abs(new - deadline)
        enough = max(tolerance * (deadline - floor), 4e-16 * deadline)
        deadline = new
        if not moved > enough:
            break
    return deadline


@compiled
def split(curves: Curves, lengths: FloatArray, deadline: float, shares: FloatArray) -> None:
    """Fill in the split of the band that meets a deadline; see :func:`.deadline.finish_together`."""
    users, spread, left = len(lengths), 0.0, 1.0
    elastic = np.zeros(users)
    shares[:] = 0.0
    for user in range(users):
        if lengths[user] > 0.0:
            theta = deadline / lengths[user]
            shares[user], slope, _ = share_at(curves, user, theta)
            elastic[user] = -slope * theta
            left -= shares[user]
            spread += elastic[user]
    total = 0.0
    for user in range(users):
        shares[user] = _with_rest(shares[user], elastic[user], left, spread if spread > 0.0 else 1.0)
        total += shares[user]
    for user in range(users):
        shares[user] = shares[user] / total if total > 0.0 else 1.0 / users


@lean
def tangent(
    curves: Curves, lengths: FloatArray, deadline: float, prices: FloatArray, bend: FloatArray, own: FloatArray
) -> tuple[float, float]:
    """Fill in the prices, bend and own curvature of :class:`.deadline.Tangent`, and return its middle.

    Somebody drafts.
    """
    total = 1.0
    spread = 0.0
    for user in range(len(lengths)):
        if lengths[user] > 0.0:
            theta = deadline / lengths[user]
            share, slope, curvature = share_at(curves, user, theta)
            elastic = -slope * theta
            prices[user] = elastic * theta
            bend[user] = theta**3 * (curvature * theta + 2.0 * slope)
            total += elastic - share
            spread += elastic
        else:
            prices[user] = curves.scale[user] if curves.density else 0.0
            bend[user] = 0.0
    middle = 0.0
    for user in range(len(lengths)):
        rate = lengths[user] / deadline
        prices[user] /= total
        bend[user] /= deadline * spread
        middle += bend[user] * rate * rate
    for user in range(len(lengths)):
        rate = lengths[user] / deadline
        own[user] = bend[user] - 2.0 * bend[user] * rate * prices[user] + middle * prices[user] ** 2
    return middle, spread
