"""For each user, the share of the band that buys a given number of seconds per token.

Spending ``theta`` seconds on a token, drafting included, takes a share s(theta) of the band that is convex and
decreasing for both uplinks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.uplink import LN2, DensityUplink, log_snr_of_ratio
from multispin_gym.physics.users import Users

EXP_SERIES = 0.05
# Below this SNR over the whole band, bandwidth changes a user's rate by less than rounding can show. Taking a weaker
# user's SNR for this, at its own rate limit, moves its time by a relative 1e-11 / (2 share) at most.
WEAKEST = 1e-11
# The upload time that bandwidth can change is what is left of the seconds per token once all that is fixed is taken
# off. Where it is less than this part of them, rounding would leave nothing: the user gets an upload of that part.
# That moves a deadline by no more than this part times the number of users.
SHORTEST_UPLOAD = 2.0**-48

# Stands for the upload time of no tokens, s, where there has to be one.
_NO_UPLOAD = 1e-200


def ratio_derivatives(w: FloatArray, growth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """First two derivatives of E(w) = expm1(w) / w, given ``growth = expm1(w)``, element by element."""
    first = (growth + 1.0 - growth / w) / w
    return first, (growth + 1.0 - 2.0 * first) / w


def ratio_series(w: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The same for small w, where the closed form would cancel, element by element."""
    first = 0.5 + w * (1 / 3 + w * (1 / 8 + w * (1 / 30 + w * (1 / 144 + w / 840))))
    return first, 1 / 3 + w * (1 / 4 + w * (1 / 10 + w * (1 / 36 + w * (1 / 168 + w / 960))))


def share_of_log_snr(signal: FloatArray, growth: FloatArray, inner: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Share s and s' by the seconds per token theta for total power, element by element.

    ``growth`` is the SNR expm1(w) and ``inner`` the slope d theta / dw.
    """
    share = signal / growth
    return share, -share * ((growth + 1.0) / growth) / inner


def bend_of_log_snr(slope: FloatArray, growth: FloatArray, inner: FloatArray, bend: FloatArray) -> FloatArray:
    """And s'', given s' and E'' / E'."""
    return slope * (1.0 - 2.0 * ((growth + 1.0) / growth) - bend) / inner


def upload_of_share(scale: FloatArray, signal: FloatArray, share: FloatArray) -> FloatArray:
    """Upload time of a token on a share of the band for total power, element by element."""
    return scale * signal / (share * np.log1p(signal / share))


def share_of_spare(scale: FloatArray, spare: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Share s, s' and s'' by the seconds per token for a fixed density, of which ``spare`` is the upload's part."""
    inverse = 1.0 / spare
    share = scale * inverse
    slope = -share * inverse
    return share, slope, -2.0 * slope * inverse


def _resolved(tau: FloatArray, scale: FloatArray, signal: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Scale and signal of total power, with an upload of at least :data:`SHORTEST_UPLOAD`. Shapes: (M, K).

    Neither falls, so that no share buys a shorter upload than before. Up to an E(w) of 2 it is the signal that rises,
    as the scale is part of what is fixed; beyond, the scale.
    """
    needed = SHORTEST_UPLOAD * (tau + scale)
    w = np.log1p(signal)
    excess = np.where(w < EXP_SERIES, 0.5 * w, signal / w - 1.0)
    short = scale * excess < needed
    if not short.any():
        return scale, signal
    longer = np.maximum(scale, needed / np.maximum(excess, 1.0))
    stronger = np.expm1(log_snr_of_ratio(np.minimum(needed / longer, 1.0)))
    return np.where(short, longer, scale), np.where(short & (excess < 1.0), np.maximum(signal, stronger), signal)


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
        """Build the curves of a batch of cells, the batch axes flattened: users (..., K), curves (M, K)."""
        shape = (-1, users.num_users)
        signal = cell.signal(users).reshape(shape)
        tau = users.drafting_time.reshape(shape)
        if isinstance(cell.uplink, DensityUplink):
            whole = cell.payload / (cell.bandwidth * cell.uplink.efficiency(signal))
            return cls(tau, np.maximum(whole, SHORTEST_UPLOAD * tau), np.ones_like(signal), True)
        return cls(
            tau, *_resolved(tau, cell.payload * LN2 / signal, np.maximum(signal / cell.bandwidth, WEAKEST)), False
        )

    def __getitem__(self, rows: Any) -> ShareCurves:
        """Select rows of the batch, or repeat them, with any NumPy index."""
        return ShareCurves(self.drafting_time[rows], self.scale[rows], self.signal[rows], self.density)

    def times(self, lengths: FloatArray) -> ShareCurves:
        """The same by the seconds for whole drafts: shares that bring drafts of some lengths in by a deadline. (M, K).

        Whoever drafts nothing has no share at any deadline.
        """
        if self.density:
            return ShareCurves(self.drafting_time * lengths, self.scale * lengths, self.signal, True)
        drafting = lengths > 0.0
        scale, signal = np.where(drafting, self.scale * lengths, _NO_UPLOAD), np.where(drafting, self.signal, 0.0)
        return ShareCurves(self.drafting_time * lengths, scale, signal, False)

    @property
    def floor(self) -> FloatArray:
        """Seconds per token that no share goes below. Shape (M, K)."""
        return self.drafting_time if self.density else self.drafting_time + self.scale

    @property
    def idle_cost(self) -> FloatArray:
        """Derivative of the share in the token rate at rate zero, s: it vanishes for total power. Shape (M, K)."""
        return self.scale if self.density else np.zeros_like(self.scale)

    @property
    def fields(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """The three arrays."""
        return self.drafting_time, self.scale, self.signal

    def seconds_per_token(self, share: FloatArray) -> FloatArray:
        """Drafting plus upload time of a token on a share of the band in (0, 1], which broadcasts with (M, K); s."""
        if self.density:
            return self.drafting_time + self.scale / share
        return self.drafting_time + upload_of_share(self.scale, self.signal, share)

    def derivatives(self, theta: FloatArray, order: int) -> tuple[FloatArray, ...]:
        """Shares s, s' (negative) and for order 2 s'' (positive), by the seconds per token, above :attr:`floor`.

        Shapes: (M, K) each; units 1, token/s, (token/s)**2.
        """
        spare = theta - self.drafting_time
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            if self.density:
                return share_of_spare(self.scale, spare)[: order + 1]
            w = log_snr_of_ratio(np.maximum((spare - self.scale) / self.scale, 0.0))
            return self._on_log_snr(w, order)[1:]

    def _on_log_snr(self, w: FloatArray, order: int) -> tuple[FloatArray, ...]:
        """Slope of theta in w, then shares and derivatives, at given logarithms of one plus the SNR."""
        growth = np.expm1(w)
        first, second = ratio_derivatives(w, growth)
        small = w < EXP_SERIES
        if small.any():
            first[small], second[small] = ratio_series(w[small])
        inner = self.scale * first
        share, slope = share_of_log_snr(self.signal, growth, inner)
        if order == 1:
            return inner, share, slope
        return inner, share, slope, bend_of_log_snr(slope, growth, inner, second / first)

    def along(self, z: FloatArray) -> tuple[FloatArray, ...]:
        """Seconds per token and shares along a coordinate on which both are smooth up to their limits.

        The coordinate z is the logarithm of ``ln(1 + SNR)`` for total power and of the upload time of a token for a
        fixed density. Returns theta, d theta / dz, and s, s', s'' by theta. Shapes: (M, K) each.
        """
        v = np.exp(z)
        if self.density:
            return self.drafting_time + v, v, *share_of_spare(self.scale, v)
        inner, share, slope, curvature = self._on_log_snr(v, 2)
        return self.drafting_time + self.scale * np.expm1(v) / v, inner * v, share, slope, curvature

    def coordinate(self, theta: FloatArray) -> FloatArray:
        """Coordinate of :meth:`along` at given seconds per token, minus infinity below :attr:`floor`. Shape (M, K)."""
        spare = theta - self.drafting_time
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.density:
                return np.log(np.maximum(spare, 0.0))
            return np.log(log_snr_of_ratio(np.maximum((spare - self.scale) / self.scale, 0.0)))
