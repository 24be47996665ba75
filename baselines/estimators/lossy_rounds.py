"""Rounds whose uploads may be late: what is expected of a decision where channels are known by their laws only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.measured_gains import gain_needed
from multispin_gym.physics.cell import Cell

_POINTS, _WEIGHTS = (np.asarray(part) for part in np.polynomial.legendre.leggauss(10))


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
        return LossyRounds(self.cell, self.power, self.law[rows], tokens, drafting_time, present)

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

        The start of verification is the integral of the chance that somebody is still missing, by Gauss' rule of ten
        points from the moment at which the last one has drafted to the cut-off; verification counts with the mean
        number of drafts in its batch, and with all of them where its time depends on their lengths.

        Shapes: lengths and shares (N, K), cut-off (N,), s, finite.
        """
        drafted = (np.where(self.present, lengths, 0.0) * self.drafting_time).max(axis=-1)
        begin = np.minimum(drafted + self.cell.round_trip * (drafted > 0.0), cutoff)
        span = np.where(drafted > 0.0, cutoff - begin, 0.0)
        times = begin[:, None] + span[:, None] * (0.5 * (_POINTS + 1.0))
        chance = self.in_by(lengths, shares, np.concatenate([times, cutoff[:, None]], axis=1))
        missing = 1.0 - chance[..., :-1].prod(axis=1)
        start = np.where(drafted > 0.0, begin, 0.0) + 0.5 * span * (missing @ _WEIGHTS)
        in_time = np.where(self.present, chance[..., -1], 0.0)
        gained = np.take_along_axis(self.tokens, lengths.astype(np.int64)[..., None], axis=-1)[..., 0] * in_time
        return Expected(gained, in_time, start + self._verification(lengths, in_time) + self.cell.downlink_time)

    def _verification(self, lengths: FloatArray, in_time: FloatArray) -> FloatArray:
        everybody = np.asarray(self.cell.verification.round_time(lengths, self.present))
        late = (self.present * (1.0 - in_time)).sum(axis=-1)
        nobody = np.where(self.present, 1.0 - in_time, 1.0).prod(axis=-1)
        return np.asarray((everybody - late * self.draft_time) * (1.0 - nobody))

    @property
    def draft_time(self) -> float:
        """Seconds of verification that a draft in the batch costs, whatever its length."""
        return float(getattr(self.cell.verification, "per_draft", 0.0))
