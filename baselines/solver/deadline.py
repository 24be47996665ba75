r"""The least round latency of given draft lengths, its bandwidth split and its gradient.

Let ``theta = T / L`` be the seconds that a user may spend on a drafted token when the uploads must be in by the
deadline T. The share of the band that this takes, ``s(theta)``, is convex and decreasing, so the least deadline T(L)
is the root of ``sum_k s_k(T / L_k) = 1``: at the optimum all users who draft finish together (model, sections 4
and 5). T is convex and homogeneous of degree one in L. Hence for any draft lengths

    T(L) >= sum_k c_k L_k   with   c = grad T(L0)

at every point L0: the prices c turn the joint problem into one problem per user, which is what bounds and
certificates are made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.share_curves import ShareCurves


def _seconds(deadline: FloatArray, lengths: FloatArray) -> FloatArray:
    """Seconds per token; infinite for users without a draft."""
    with np.errstate(divide="ignore"):
        return deadline[:, None] / lengths


def least_deadline(
    curves: ShareCurves, lengths: FloatArray, start: FloatArray | None = None, tolerance: float = 1e-8
) -> FloatArray:
    """Least time in which all drafts can be made and uploaded, over all splits of the band.

    Newton's method on ``ln sum_k s_k(T / L_k)`` as a function of ln T, which is convex and decreasing: after at
    most one step it climbs monotonically to the root. The whole band for one user alone is its lower safeguard.

    Parameters
    ----------
    curves
        The users' share curves. Arrays of shape (M, K).
    lengths
        Draft lengths, real, at least 0. Shape (M, K).
    start
        A guess of the result, s. Shape (M,).
    tolerance
        Step after which the iteration stops, relative to the distance from the users' rate limits; what is left is
        of the order of its square.

    Returns
    -------
    numpy.ndarray
        Deadlines, s; 0 where nobody drafts. Shape (M,).
    """
    idle = (lengths <= 0.0).all(axis=-1)
    alone = (lengths * curves.seconds_per_token(np.ones(1))).max(axis=-1)
    low = np.where(idle, 1.0, alone)
    if start is None:
        num_drafting = np.maximum((lengths > 0.0).sum(axis=-1, keepdims=True), 1)
        start = (lengths * curves.seconds_per_token(1.0 / num_drafting)).max(axis=-1)
    deadline = np.maximum(np.where(idle, 1.0, start), low)
    floor = (lengths * curves.floor).max(axis=-1)
    active = np.flatnonzero(~idle)
    for _ in range(60):
        if active.size == 0:
            break
        part = curves if active.size == len(deadline) else curves[active]
        length, time = lengths[active], deadline[active]
        theta = _seconds(time, length)
        share, slope = part.derivatives(theta, order=1)
        drafting = length > 0.0
        total = share.sum(axis=-1)
        # Users without a draft have theta = inf, where inf * 0 would be NaN.
        fall = np.where(drafting, slope * np.where(drafting, theta, 1.0), 0.0).sum(axis=-1)
        step = -np.log(total) * total / fall
        new = np.maximum(time * np.exp(step), low[active])
        deadline[active] = new
        # Near a user's rate limit the sum bends on the scale of the distance to that limit.
        enough = np.maximum(tolerance * (time - floor[active]), 4e-16 * time)
        active = active[np.abs(new - time) > enough]
    return np.where(idle, 0.0, deadline)


def finish_together(
    curves: ShareCurves, lengths: FloatArray, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Least deadline and the split of the band that meets it: all who draft finish together.

    Parameters
    ----------
    curves
        The users' share curves. Arrays of shape (M, K).
    lengths
        Draft lengths, at least 0. Shape (M, K).
    start
        A guess of the deadline, s. Shape (M,).

    Returns
    -------
    deadline : numpy.ndarray
        Seconds. Shape (M,).
    shares : numpy.ndarray
        Shares of the band; they sum to one where anybody drafts and are equal where nobody does. Shape (M, K).
    """
    # The split depends on the lengths' ratios only: a common length gets the same shares whatever it is.
    longest = np.maximum(lengths.max(axis=-1), 1e-300)
    lengths = lengths / longest[:, None]
    deadline = least_deadline(curves, lengths, None if start is None else start / longest)
    theta = _seconds(np.where(deadline > 0.0, deadline, 1.0), lengths)
    share, slope = curves.derivatives(theta, order=1)
    drafting = lengths > 0.0
    # What rounding leaves of the band goes where it changes least: along the shares' own change with the deadline.
    elastic = np.where(drafting, -slope * np.where(drafting, theta, 0.0), 0.0)
    spread = elastic.sum(axis=-1, keepdims=True)
    left = 1.0 - share.sum(axis=-1, keepdims=True)
    shares = np.maximum(share + left * elastic / np.where(spread > 0.0, spread, 1.0), 0.0)
    total = shares.sum(axis=-1, keepdims=True)
    split = np.where(total > 0.0, shares / np.where(total > 0.0, total, 1.0), 1.0 / lengths.shape[-1])
    return deadline * longest, split


def token_prices(curves: ShareCurves, lengths: FloatArray, deadline: FloatArray) -> FloatArray:
    """Prices c with ``T(L) >= sum_k c_k L_k`` for every L: the gradient of the least deadline.

    With ``x = L0 / T0`` and b(x) the share that x tokens per second take, convexity gives
    ``sum b'(x) x' <= sum b'(x) x + 1 - sum b(x)`` for every feasible x', whatever x is. Dividing by the right side
    makes the prices valid even where ``deadline`` is not exactly the least one.

    Parameters
    ----------
    curves
        The users' share curves. Arrays of shape (M, K).
    lengths
        Draft lengths L0, at least one positive in each row. Shape (M, K).
    deadline
        The least deadline of L0, or a time near it, s. Shape (M,).

    Returns
    -------
    numpy.ndarray
        Seconds of deadline per token. Shape (M, K).
    """
    theta = _seconds(deadline, lengths)
    share, slope = curves.derivatives(theta, order=1)
    drafting = np.isfinite(theta)
    finite = np.where(drafting, theta, 0.0)
    elastic = -np.where(drafting, slope, 0.0) * finite
    total = elastic.sum(axis=-1) + 1.0 - share.sum(axis=-1)
    marginal = np.where(drafting, elastic * finite, curves.idle_cost)
    return np.asarray(marginal / total[:, None])


@dataclass(frozen=True, eq=False)
class Tangent:
    """The least deadline near some draft lengths, to second order.

    ``T(L0 + d) ~ T0 + c . d + d^T (I - c x^T) D (I - x c^T) d / 2`` with D diagonal: along x, the users' token rates,
    the deadline is linear.

    Parameters
    ----------
    prices
        The gradient c, s per token; see :func:`token_prices`. Shape (M, K).
    rate
        Tokens per second x; 0 for users without a draft. Shape (M, K).
    bend
        Diagonal of D, s per token squared; 0 for users without a draft. Shape (M, K).
    middle
        ``x^T D x``. Shape (M,).
    """

    prices: FloatArray
    rate: FloatArray
    bend: FloatArray
    middle: FloatArray

    @classmethod
    def at(cls, curves: ShareCurves, lengths: FloatArray, deadline: FloatArray) -> Tangent:
        """Expand the least deadline.

        Parameters
        ----------
        curves
            The users' share curves. Arrays of shape (M, K).
        lengths
            Draft lengths L0, at least one positive in each row. Shape (M, K).
        deadline
            The least deadline of L0, s. Shape (M,).

        Returns
        -------
        Tangent
            The expansion.
        """
        theta = _seconds(deadline, lengths)
        share, slope, curvature = curves.derivatives(theta, order=2)
        drafting = np.isfinite(theta)
        finite = np.where(drafting, theta, 0.0)
        slope = np.where(drafting, slope, 0.0)
        elastic = -slope * finite
        worth = elastic.sum(axis=-1)
        total = worth + 1.0 - share.sum(axis=-1)
        prices = np.where(drafting, elastic * finite, curves.idle_cost) / total[:, None]
        curved = np.where(drafting, curvature, 0.0) * finite + 2.0 * slope
        bend = finite**3 * curved / (deadline * worth)[:, None]
        rate = lengths / deadline[:, None]
        return cls(prices, rate, bend, (bend * rate * rate).sum(axis=-1))

    def own_curvature(self) -> FloatArray:
        """Second derivatives of the deadline by each user's length, s per token squared. Shape (M, K)."""
        mixed = self.bend * self.rate * self.prices
        return np.asarray(self.bend - 2.0 * mixed + self.middle[:, None] * self.prices**2)
