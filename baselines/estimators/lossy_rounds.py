"""Rounds whose uploads may be late: what is expected of a decision where channels are known by their laws only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.measured_gains import gain_needed
from multispin_gym.physics.cell import Cell

# Chances that a gain is less than what makes an upload late, and than what makes it early.
_LATE, _EARLY = 0.003, 0.995


def _powers(count: int, power: int) -> tuple[FloatArray, FloatArray]:
    """Points in [0, 1] and weights of Gauss' rule for a root of the variable: close together at the beginning."""
    points, weights = np.polynomial.legendre.leggauss(count)
    roots = 0.5 * (points + 1.0)
    return np.asarray(roots**power), np.asarray(0.5 * weights * power * roots ** (power - 1))


_BODY, _BODY_WEIGHTS = _powers(10, 2)
_TAIL, _TAIL_WEIGHTS = _powers(5, 3)


@dataclass(frozen=True, eq=False)
class Expected:
    """What is expected of rounds.

    Parameters
    ----------
    tokens
        Expected tokens of each user: those of its draft, times the chance that it is in. Shape (..., K).
    in_time
        The chance that each user is in by the cut-off. Shape (..., K).
    seconds
        Expected latency, s. Shape (...,).
    """

    tokens: FloatArray
    in_time: FloatArray
    seconds: FloatArray

    @classmethod
    def joined(cls, parts: Sequence[Expected]) -> Expected:
        """What is expected in several batches as one batch."""
        names = ("tokens", "in_time", "seconds")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def __getitem__(self, rows: Any) -> Expected:
        """Select rounds."""
        return Expected(self.tokens[rows], self.in_time[rows], self.seconds[rows])


@dataclass(frozen=True, eq=False)
class LossyRounds:
    """Cells with independent channels of known laws, in which uploads may be late.

    Parameters
    ----------
    cell
        The shared system.
    power
        Transmit power, W.
    law
        Laws of the gains. Shape (N, K).
    tokens
        Expected tokens of a verified draft of each length from 0 on. Shape (N, K, L + 1).
    drafting_time
        Seconds per drafted token. Shape (N, K).
    present
        Who is there. Shape (N, K).
    """

    cell: Cell
    power: float
    law: GainLaw
    tokens: FloatArray
    drafting_time: FloatArray
    present: BoolArray

    def __getitem__(self, rows: Any) -> LossyRounds:
        """Select cells, or repeat them."""
        tokens, drafting_time, present = (array[rows] for array in (self.tokens, self.drafting_time, self.present))
        some = LossyRounds(self.cell, self.power, self.law[rows], tokens, drafting_time, present)
        vars(some)["_extreme_signals"] = self._extreme_signals[:, rows]
        return some

    def in_by(self, lengths: FloatArray, shares: FloatArray, times: FloatArray) -> FloatArray:
        """Probability that each upload is in by some times; absent users always are.

        Shapes: lengths and shares (N, K), times (N, J), s; result (N, K, J).
        """
        drafts = (lengths > 0.0) & self.present
        length = np.where(drafts, lengths, 0.0)[..., None]
        delay = (length * self.drafting_time[..., None]) + self.cell.round_trip
        left = times[:, None, :] - delay
        with np.errstate(divide="ignore"):
            rate = np.where(left > 0.0, length * self.cell.payload / np.where(left > 0.0, left, 1.0), np.inf)
            band = np.maximum(shares, 1e-12)[..., None] * self.cell.bandwidth
            needed = 10.0 * np.log10(gain_needed(self.cell, self.power, rate, band))
        return np.where(drafts[..., None], self.law.above(needed), 1.0)

    def expect(self, lengths: FloatArray, shares: FloatArray, cutoff: FloatArray) -> Expected:
        """Return what is expected of a decision.

        The start of verification is the integral of the chance that somebody is still missing: one until the slowest
        may be in, then by Gauss' rule of ten points until the slowest is all but certainly in, and of five from there
        to the cut-off. Verification counts with the mean number of drafts in its batch, and with all of them where its
        time depends on their lengths.

        Shapes: lengths and shares (N, K), cut-off (N,), s, finite.
        """
        begin, settled = self._span(lengths, shares, cutoff)
        body, tail = (settled - begin)[:, None], (cutoff - settled)[:, None]
        times = [begin[:, None] + body * _BODY, settled[:, None] + tail * _TAIL, cutoff[:, None]]
        chance = self.in_by(lengths, shares, np.concatenate(times, axis=1))
        missing = 1.0 - chance[..., :-1].prod(axis=1)
        weights = np.concatenate([body * _BODY_WEIGHTS, tail * _TAIL_WEIGHTS], axis=1)
        start = begin + (missing * weights).sum(axis=1)
        in_time = np.where(self.present, chance[..., -1], 0.0)
        gained = np.take_along_axis(self.tokens, lengths.astype(np.int64)[..., None], axis=-1)[..., 0] * in_time
        return Expected(gained, in_time, start + self._verification(lengths, in_time) + self.cell.downlink_time)

    @cached_property
    def _extreme_signals(self) -> FloatArray:
        """Signals, Hz, that are seldom below, and seldom above. Shape (2, N, K)."""
        gains = np.stack([self.law.quantile_db(_EARLY), self.law.quantile_db(_LATE)])
        return np.asarray(10.0 ** (0.1 * gains) * (self.power / self.cell.noise_density))

    def _span(self, lengths: FloatArray, shares: FloatArray, cutoff: FloatArray) -> tuple[FloatArray, FloatArray]:
        """When the last upload may be in, and when all are, but for very bad channels. Shapes (N,)."""
        drafted = lengths * self.drafting_time + self.cell.round_trip
        with np.errstate(divide="ignore", invalid="ignore"):
            rate = self.cell.uplink.quiet_rate(shares * self.cell.bandwidth, self._extreme_signals)
            arrival = np.where((lengths > 0.0) & self.present, drafted + lengths * self.cell.payload / rate, 0.0)
        first, last = np.minimum(arrival.max(axis=-1), cutoff)
        return first, last

    def _verification(self, lengths: FloatArray, in_time: FloatArray) -> FloatArray:
        everybody = np.asarray(self.cell.verification.round_time(lengths, self.present))
        late = (self.present * (1.0 - in_time)).sum(axis=-1)
        nobody = np.where(self.present, 1.0 - in_time, 1.0).prod(axis=-1)
        return np.asarray((everybody - late * self.draft_time) * (1.0 - nobody))

    @property
    def draft_time(self) -> float:
        """Seconds of verification that a draft in the batch costs, whatever its length."""
        return float(getattr(self.cell.verification, "per_draft", 0.0))
