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
from multispin_gym.baselines.solver.switch import compiled_rows

# Entries, cells times users, up to which compiled loops are faster than NumPy at the logarithms of total power.
FEW = 2_000
# What is left of a deadline is of the order of its cube, relative to the distance from the users' rate limits.
_TOLERANCE = 5e-6
# Distance of the logarithm of the sum of shares from its root, within which Halley's step is taken.
_NEAR = 0.3


def _guess(start: FloatArray | None, rows: int) -> FloatArray:
    """Guessed deadlines, s, to be overwritten by better ones; NaN where there are none."""
    return np.full(rows, np.nan) if start is None else np.array(start, dtype=np.float64)


def _seconds(deadline: FloatArray, lengths: FloatArray) -> FloatArray:
    """Seconds per token; infinite for users without a draft."""
    with np.errstate(divide="ignore"):
        return deadline[:, None] / lengths


def _elastic(theta: FloatArray, slope: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Seconds per token and ``e = -s' theta``, the change of the shares with ln theta; 0 for users without a draft."""
    # Without a draft theta is infinite and its slope zero, whose product would be NaN.
    drafting = np.isfinite(theta)
    finite = np.where(drafting, theta, 0.0)
    return finite, -np.where(drafting, slope, 0.0) * finite


def _gradient(curves: ShareCurves, theta: FloatArray, share: FloatArray, elastic: FloatArray) -> FloatArray:
    """Prices ``b' / (sum e + 1 - sum s)`` with ``b' = e theta``; see :func:`token_prices`."""
    total = elastic.sum(axis=-1) + 1.0 - share.sum(axis=-1)
    return np.asarray(np.where(theta > 0.0, elastic * theta, curves.idle_cost) / total[:, None])


def hyperbolic_step(total: FloatArray, first: FloatArray) -> FloatArray:
    """Relative change of T towards the root for a fixed density, element by element.

    Shares are ``q / (T - a)``, so one over their sum is concave in T, and nearly a line: Newton's step on it comes
    close, and from the left. ``first`` is the derivative of the sum by ln T.
    """
    return (1.0 - total) * total / first


def log_step(value: FloatArray, first: FloatArray, second: FloatArray) -> FloatArray:
    """Change of ln T towards the root of the logarithm of the sum of shares, element by element.

    Newton's step, and near the root Halley's. ``value`` is that logarithm; ``first`` and ``second`` are the sum's
    derivatives by ln T, over the sum.
    """
    bent = 2.0 * first * first - value * (second - first * first)
    near = (np.abs(value) < _NEAR) & (bent > first * first)
    return np.where(near, -2.0 * value * first / np.where(near, bent, 1.0), -value / first)


def with_rest(share: FloatArray, elastic: FloatArray, left: FloatArray, spread: FloatArray) -> FloatArray:
    """Shares with what is left of the band given out along their own change with the deadline, element by element."""
    return np.maximum(share + left * elastic / spread, 0.0)


def _nearer(own: ShareCurves, time: FloatArray) -> FloatArray:
    """Deadlines nearer to the root, s, of curves by the deadline itself. Shapes: (M, K) and (M,)."""
    if own.density:
        share, slope = own.derivatives(time[:, None], order=1)
        return np.asarray(time * (1.0 + hyperbolic_step(share.sum(axis=-1), slope.sum(axis=-1) * time)))
    share, slope, curvature = own.derivatives(time[:, None], order=2)
    total, first = share.sum(axis=-1), slope.sum(axis=-1) * time
    step = log_step(np.log(total), first / total, (curvature.sum(axis=-1) * time * time + first) / total)
    return np.asarray(time * np.exp(step))


def least_deadline(
    curves: ShareCurves, lengths: FloatArray, start: FloatArray | None = None, tolerance: float = _TOLERANCE
) -> FloatArray:
    """Least time in which all drafts can be made and uploaded, over all splits of the band.

    Newton's method on ``ln sum_k s_k(T / L_k)`` as a function of ln T, which is convex and decreasing, or for a fixed
    density on one over that sum: after at most one step both climb monotonically towards the root, near which the first
    takes Halley's steps. The whole band for one user alone is the lower safeguard. What is left at the end is of the
    order of the cube of ``tolerance``, relative to the distance from the users' rate limits.

    Shapes: real lengths (M, K); ``start``, a guess of the result, and the deadlines (M,), s, 0 where nobody drafts.
    """
    few = curves.density or lengths.size <= FEW
    if few and (rows := compiled_rows()) is not None:
        deadline, lengths = _guess(start, len(lengths)), np.array(lengths, order="C")
        rows.least_deadline(curves.density, np.stack(curves.fields, axis=1), lengths, tolerance, deadline)
        return deadline
    # What a step leaves is of the order of its square for a fixed density, and of its cube for total power.
    tolerance = tolerance**1.5 if curves.density else tolerance
    idle = (lengths <= 0.0).all(axis=-1)
    alone = (lengths * curves.seconds_per_token(np.ones(1))).max(axis=-1)
    low = np.where(idle, 1.0, alone)
    if start is None:
        num_drafting = np.maximum((lengths > 0.0).sum(axis=-1, keepdims=True), 1)
        start = (lengths * curves.seconds_per_token(1.0 / num_drafting)).max(axis=-1)
    deadline = np.maximum(np.where(idle, 1.0, start), low)
    floor = (lengths * curves.floor).max(axis=-1)
    own, active = curves.times(lengths), np.flatnonzero(~idle)
    for _ in range(60):
        if active.size == 0:
            break
        part = own if active.size == len(deadline) else own[active]
        time = deadline[active]
        new = np.maximum(_nearer(part, time), low[active])
        deadline[active] = new
        # Near a user's rate limit the sum bends on the scale of the distance to that limit.
        enough = np.maximum(tolerance * (time - floor[active]), 4e-16 * time)
        active = active[np.abs(new - time) > enough]
    return np.where(idle, 0.0, deadline)


def finish_together(
    curves: ShareCurves, lengths: FloatArray, start: FloatArray | None = None
) -> tuple[FloatArray, FloatArray]:
    """Least deadline and the split of the band that meets it: all who draft finish together.

    The shares sum to one where anybody drafts and are equal where nobody does. Shapes: lengths and shares (M, K);
    ``start``, a guess of the deadline, and the deadline (M,), s.
    """
    # The split depends on the lengths' ratios only: a common length gets the same shares whatever it is.
    longest = np.maximum(lengths.max(axis=-1), 1e-300)
    lengths = lengths / longest[:, None]
    start = None if start is None else start / longest
    few = curves.density or lengths.size <= FEW
    if few and (rows := compiled_rows()) is not None:
        deadline, split = _guess(start, len(lengths)), np.empty_like(lengths)
        rows.finish_together(curves.density, np.stack(curves.fields, axis=1), lengths, _TOLERANCE, deadline, split)
        return deadline * longest, split
    deadline = least_deadline(curves, lengths, start)
    theta = _seconds(np.where(deadline > 0.0, deadline, 1.0), lengths)
    share, slope = curves.derivatives(theta, order=1)
    # What rounding leaves of the band goes where it changes least: along the shares' own change with the deadline.
    _, elastic = _elastic(theta, slope)
    spread = elastic.sum(axis=-1, keepdims=True)
    left = 1.0 - share.sum(axis=-1, keepdims=True)
    shares = with_rest(share, elastic, left, np.where(spread > 0.0, spread, 1.0))
    total = shares.sum(axis=-1, keepdims=True)
    split = np.where(total > 0.0, shares / np.where(total > 0.0, total, 1.0), 1.0 / lengths.shape[-1])
    return deadline * longest, split


def token_prices(curves: ShareCurves, lengths: FloatArray, deadline: FloatArray) -> FloatArray:
    """Prices c with ``T(L) >= sum_k c_k L_k`` for every L: the gradient of the least deadline.

    With ``x = L0 / T0`` and b(x) the share that x tokens per second take, convexity gives
    ``sum b'(x) x' <= sum b'(x) x + 1 - sum b(x)`` for every feasible x', whatever x is. Dividing by the right side
    makes the prices valid even where ``deadline`` is not exactly the least one.

    Shapes: lengths (M, K), with at least one positive in each row, deadline (M,), s; prices (M, K), s per token.
    """
    theta = _seconds(deadline, lengths)
    share, slope = curves.derivatives(theta, order=1)
    finite, elastic = _elastic(theta, slope)
    return _gradient(curves, finite, share, elastic)


@dataclass(frozen=True, eq=False)
class Tangent:
    """The least deadline near some draft lengths, to second order.

    ``T(L0 + d) ~ T0 + c . d + d^T (I - c x^T) D (I - x c^T) d / 2`` with D diagonal, ``D = b''(x) / (T sum b' x)``:
    along x, the users' token rates, the deadline is linear.

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
        """Expand the least deadline, s, of lengths with at least one positive in each row. Shapes: (M, K), (M,)."""
        theta = _seconds(deadline, lengths)
        share, slope, curvature = curves.derivatives(theta, order=2)
        finite, elastic = _elastic(theta, slope)
        drafting = finite > 0.0
        rate = lengths / deadline[:, None]
        # Where channels are next to dead the curvature overflows, and moves are judged without it.
        with np.errstate(over="ignore", invalid="ignore"):
            curved = np.where(drafting, curvature, 0.0) * finite + 2.0 * np.where(drafting, slope, 0.0)
            bend = finite**3 * curved / (deadline * elastic.sum(axis=-1))[:, None]
        bend = np.where(np.isfinite(bend), bend, 0.0)
        return cls(_gradient(curves, finite, share, elastic), rate, bend, (bend * rate * rate).sum(axis=-1))

    def own_curvature(self) -> FloatArray:
        """Second derivatives of the deadline by each user's length, s per token squared. Shape (M, K)."""
        mixed = self.bend * self.rate * self.prices
        return np.asarray(self.bend - 2.0 * mixed + self.middle[:, None] * self.prices**2)
