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
# Of a deadline, relative to its distance from the users' rate limits.
_TOLERANCE = 1e-8


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


def with_rest(share: FloatArray, elastic: FloatArray, left: FloatArray, spread: FloatArray) -> FloatArray:
    """Shares with what is left of the band given out along their own change with the deadline, element by element."""
    return np.maximum(share + left * elastic / spread, 0.0)


def least_deadline(
    curves: ShareCurves, lengths: FloatArray, start: FloatArray | None = None, tolerance: float = _TOLERANCE
) -> FloatArray:
    """Least time in which all drafts can be made and uploaded, over all splits of the band.

    Newton's method on ``ln sum_k s_k(T / L_k)`` as a function of ln T, which is convex and decreasing: after at
    most one step it climbs monotonically to the root. The whole band for one user alone is its lower safeguard. A row
    stops after a step that is below ``tolerance``, relative to the distance from the users' rate limits; what is left
    is of the order of its square.

    Shapes: real lengths (M, K); ``start``, a guess of the result, and the deadlines (M,), s, 0 where nobody drafts.
    """
    few = curves.density or lengths.size <= FEW
    if few and (rows := compiled_rows()) is not None:
        # What is left after a step is of the order of its cube there.
        tolerance **= 2.0 / 3.0
        deadline, lengths = _guess(start, len(lengths)), np.array(lengths, order="C")
        rows.least_deadline(curves.density, np.stack(curves.fields, axis=1), lengths, tolerance, deadline)
        return deadline
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
        total = share.sum(axis=-1)
        step = np.log(total) * total / _elastic(theta, slope)[1].sum(axis=-1)
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
        curved = np.where(drafting, curvature, 0.0) * finite + 2.0 * np.where(drafting, slope, 0.0)
        bend = finite**3 * curved / (deadline * elastic.sum(axis=-1))[:, None]
        rate = lengths / deadline[:, None]
        return cls(_gradient(curves, finite, share, elastic), rate, bend, (bend * rate * rate).sum(axis=-1))

    def own_curvature(self) -> FloatArray:
        """Second derivatives of the deadline by each user's length, s per token squared. Shape (M, K)."""
        mixed = self.bend * self.rate * self.prices
        return np.asarray(self.bend - 2.0 * mixed + self.middle[:, None] * self.prices**2)
