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
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.cell import Cell
from multispin_gym.uplink import LN2, DensityUplink, log_snr_of_ratio
from multispin_gym.users import Users

_EXP_SERIES = 0.05


def _ratio_derivatives(w: FloatArray, grown: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First two derivatives of E(w) = expm1(w) / w, given ``grown = exp(w)``."""
    v = np.maximum(w, _EXP_SERIES)
    first = (grown - np.expm1(v) / v) / v
    second = (grown - 2.0 * first) / v
    small = w < _EXP_SERIES
    if small.any():
        first = np.where(small, 0.5 + w * (1 / 3 + w * (1 / 8 + w * (1 / 30 + w * (1 / 144 + w / 840)))), first)
        second = np.where(small, 1 / 3 + w * (1 / 4 + w * (1 / 10 + w * (1 / 36 + w * (1 / 168 + w / 960)))), second)
    return first, second


@dataclass(frozen=True, eq=False)
class ShareCurves:
    """For each user, the share of the band that buys a given number of seconds per token.

    Parameters
    ----------
    drafting_time
        Seconds per drafted token, tau. Shape (M, K).
    scale
        Total power: payload over the wideband rate limit, ``Q ln2 / S``, s. Density: seconds to upload a
        token over the whole band, s. Shape (M, K).
    signal
        Total power: ``S / B``; density: unused ones. Shape (M, K).
    density
        Whether the uplink has a fixed power density.
    """

    drafting_time: FloatArray
    scale: FloatArray
    signal: FloatArray
    density: bool

    @classmethod
    def of(cls, users: Users, cell: Cell) -> ShareCurves:
        """Build the curves of a batch of cells, the batch axes flattened.

        Parameters
        ----------
        users
            The users. Shape (..., K).
        cell
            The shared system.

        Returns
        -------
        ShareCurves
            Curves with arrays of shape (M, K).
        """
        shape = (-1, users.num_users)
        signal = cell.signal(users).reshape(shape)
        tau = users.drafting_time.reshape(shape)
        if isinstance(cell.uplink, DensityUplink):
            whole = cell.payload / (cell.bandwidth * cell.uplink.efficiency(signal))
            return cls(tau, whole, np.ones_like(signal), True)
        return cls(tau, cell.payload * LN2 / signal, signal / cell.bandwidth, False)

    def __getitem__(self, rows: Any) -> ShareCurves:
        """Select rows of the batch, or repeat them, with any NumPy index."""
        return ShareCurves(self.drafting_time[rows], self.scale[rows], self.signal[rows], self.density)

    @property
    def floor(self) -> FloatArray:
        """Seconds per token that no share goes below. Shape (M, K)."""
        return self.drafting_time if self.density else self.drafting_time + self.scale

    def seconds_per_token(self, share: FloatArray) -> FloatArray:
        """Drafting plus upload time of a token on a given share of the band.

        Parameters
        ----------
        share
            Shares in (0, 1], broadcasting with (M, K).

        Returns
        -------
        numpy.ndarray
            Seconds per token. Shape (M, K).
        """
        if self.density:
            return self.drafting_time + self.scale / share
        w = np.log1p(self.signal / share)
        return self.drafting_time + self.scale * self.signal / (share * w)

    def shares(self, theta: FloatArray) -> FloatArray:
        """Share of the band needed to spend at most ``theta`` seconds on a token.

        Parameters
        ----------
        theta
            Seconds per token, above :attr:`floor`; infinity asks for nothing. Shape (M, K).

        Returns
        -------
        numpy.ndarray
            Shares of the band. Shape (M, K).
        """
        return self.derivatives(theta, order=0)[0]

    def derivatives(self, theta: FloatArray, order: int) -> tuple[FloatArray, ...]:
        """Shares and their derivatives with respect to the seconds per token.

        Parameters
        ----------
        theta
            Seconds per token, above :attr:`floor`. Shape (M, K).
        order
            Number of derivatives, 0 to 2.

        Returns
        -------
        tuple of numpy.ndarray
            ``s``, then ``s'`` (negative) and ``s''`` (positive) as asked. Shape (M, K) each.
        """
        spare = theta - self.drafting_time
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            if self.density:
                share = self.scale / spare
                return (share, -share / spare, 2.0 * share / (spare * spare))[: order + 1]
            w = log_snr_of_ratio(np.maximum((spare - self.scale) / self.scale, 0.0))
            grown = np.exp(w)
            growth = np.expm1(w)
            share = self.signal / growth
            if order == 0:
                return (share,)
            first, second = _ratio_derivatives(w, grown)
            inner = self.scale * first
            slope = -share * (grown / growth) / inner
            if order == 1:
                return share, slope
            curvature = slope * (1.0 - 2.0 * grown / growth - second / first) / inner
            return share, slope, curvature


def _seconds(deadline: FloatArray, lengths: FloatArray) -> FloatArray:
    """Seconds per token; infinite for users without a draft."""
    with np.errstate(divide="ignore"):
        return deadline[:, None] / lengths


def least_deadline(
    curves: ShareCurves, lengths: FloatArray, start: FloatArray | None = None, tolerance: float = 1e-14
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
        Relative accuracy of the deadline at which the iteration stops.

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
        active = active[np.abs(new - time) > tolerance * time]
    return np.where(idle, 0.0, deadline)


def finish_together(curves: ShareCurves, lengths: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Least deadline and the split of the band that meets it: all who draft finish together.

    Parameters
    ----------
    curves
        The users' share curves. Arrays of shape (M, K).
    lengths
        Draft lengths, at least 0. Shape (M, K).

    Returns
    -------
    deadline : numpy.ndarray
        Seconds. Shape (M,).
    shares : numpy.ndarray
        Shares of the band; they sum to one where anybody drafts and are equal where nobody does. Shape (M, K).
    """
    deadline = least_deadline(curves, lengths)
    shares = np.where(lengths > 0.0, curves.shares(_seconds(np.where(deadline > 0.0, deadline, 1.0), lengths)), 0.0)
    total = shares.sum(axis=-1, keepdims=True)
    return deadline, np.where(total > 0.0, shares / np.where(total > 0.0, total, 1.0), 1.0 / lengths.shape[-1])


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
    # With total power the first token's marginal share vanishes; with a fixed density it is scale * 1.
    idle_price = curves.scale if curves.density else np.zeros_like(curves.scale)
    marginal = np.where(drafting, elastic * finite, idle_price)
    return np.asarray(marginal / total[:, None])
