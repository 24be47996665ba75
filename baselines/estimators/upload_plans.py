"""The best lengths, shares and cut-off for channels that are known by their laws: the stochastic programme of a round.

``sum_k w_k E[N_k] - price * E[T]`` is maximised, where who is late gains nothing. The chance of a lost upload falls as
a draft grows, so expected tokens ``N(L) P(in by the cut-off)`` are neither concave nor even monotone in the length, and
the programme is not concave in lengths, shares and cut-off. It is solved by decomposition: for a given cut-off the
users are coupled by the band alone, and at a price of the band each chooses by itself, among all lengths and a grid of
chances of being late, by enumeration, whatever the shape. Bisection on the price of the band then gives the best choice
for the share of it that is taken, with the usual gap of a Lagrangian: what no choice takes is shared out in proportion.
The time of verification is expected, the start of verification is taken at the cut-off while users choose, and as it is
expected when cut-offs are compared; cut-offs are searched on a grid that is refined around the best. Tests compare with
exhaustive search over lengths, shares and cut-offs for one and two users: in their cells at most 0.3 % of the round's
worth in time is lost. For any number of users :mod:`multispin_gym.baselines.estimators.lossy_bound` has a bound that no
plan passes.

A draft in the batch takes time of the server even where it gains a single token. Where that time is worth more, the
best plan leaves a user out by a draft that cannot be in by the cut-off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, IntArray
from multispin_gym.baselines.estimators.lossy_rounds import Expected, LossyRounds
from multispin_gym.physics.uplink import LN2

FEW: FloatArray = np.array([0.02, 0.07, 0.2])
"""Chances of being late that users choose from while cut-offs are compared roughly."""
MANY: FloatArray = np.array([0.005, 0.015, 0.03, 0.05, 0.075, 0.1, 0.14, 0.19, 0.26, 0.36, 0.5, 0.7])
"""The same, for the plans that are kept."""
_BISECTIONS = 11
# Logarithms of the least and the largest price of the whole band, over what users are worth without a draft.
_LEAST_PRICE, _MOST_PRICE = -6.0, 8.0
_LEAST_SHARE = 1e-9
# What a choice is worth that is not allowed.
_NEVER = -1e30


class Valuing(Protocol):
    """What says how good plans are."""

    def value(self, plan: Plan) -> FloatArray:
        """The value of some plans. Shape (N,)."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Decisions and what is expected of them. Shapes: lengths and shares (N, K), cut-off (N,)."""

    lengths: FloatArray
    shares: FloatArray
    cutoff: FloatArray
    expected: Expected

    @classmethod
    def joined(cls, parts: Sequence[Plan]) -> Plan:
        """Plans of several batches as one batch."""
        names = ("lengths", "shares", "cutoff")
        lengths, shares, cutoff = (np.concatenate([getattr(part, name) for part in parts]) for name in names)
        return cls(lengths, shares, cutoff, Expected.joined([part.expected for part in parts]))

    def __getitem__(self, rows: Any) -> Plan:
        """Select rows."""
        return Plan(self.lengths[rows], self.shares[rows], self.cutoff[rows], self.expected[rows])

    def best_of_each(self, prices: Valuing, count: int) -> Plan:
        """The best of each ``count`` plans that follow each other."""
        value = prices.value(self).reshape(-1, count)
        return self[np.arange(len(value)) * count + value.argmax(axis=-1)]

    def or_better(self, other: Plan, prices: Valuing) -> Plan:
        """These plans, or other ones where those are better."""
        rows = np.arange(len(self.lengths))
        better = prices.value(other) > prices.value(self)
        return Plan.joined([self, other])[np.where(better, rows + rows.size, rows)]


class UploadPlanner:
    """Plans rounds of given laws: tables of what each choice of a user is worth and takes.

    Parameters
    ----------
    rounds
        The rounds. Shape (N, K).
    chances
        Chances of being late that users choose from. Shape (J,).
    """

    def __init__(self, rounds: LossyRounds, chances: FloatArray) -> None:
        self._chances = chances
        self.rounds, cell = rounds, rounds.cell
        self._shortest = max(cell.min_draft_length, 1)
        self._lengths = np.arange(self._shortest, cell.max_draft_length + 1.0)
        gains = np.stack([rounds.law.quantile_db(float(chance)) for chance in chances], axis=-1)
        self._signal = 10.0 ** (0.1 * gains) * (rounds.power / cell.noise_density)

    def plan(self, cutoffs: FloatArray, weights: FloatArray, price: FloatArray) -> Plan:
        """Plan rounds with given cut-offs, several of each, which follow each other in the result.

        Shapes: cut-offs (N, C), s, weights (N, K), price (N,); result (N C, K).
        """
        rows = np.repeat(np.arange(len(cutoffs)), cutoffs.shape[1])
        rounds, cutoff = self.rounds[rows], cutoffs.reshape(-1)
        share = self._shares_taken(cutoffs)
        worth = np.where(share <= 1.0, self._worth(weights, price)[rows], -np.inf)
        worth[..., 0] = self._worth_of_none(weights, price)[rows]
        index = _choose(worth, np.minimum(share, 1.0), rounds.present)
        chosen = np.take_along_axis(share, index[..., None], axis=-1)[..., 0]
        drafts = rounds.present & ((index > 0) | (self.rounds.cell.min_draft_length > 0))
        lengths = np.where(drafts, self._lengths[np.maximum(index - 1, 0) // self._chances.size], 0.0)
        chosen = np.where(drafts, np.clip(chosen, _LEAST_SHARE, 1.0), 0.0)
        total = chosen.sum(axis=-1, keepdims=True)
        equal = rounds.present / np.maximum(rounds.present.sum(axis=-1, keepdims=True), 1)
        shares = np.where(total > 0.0, chosen / np.where(total > 0.0, total, 1.0), equal)
        return Plan(lengths, shares, cutoff, rounds.expect(lengths, shares, cutoff))

    def _worth(self, weights: FloatArray, price: FloatArray) -> FloatArray:
        """What each choice is worth, the first of which is no draft. Shape (N, K, 1 + choices)."""
        in_batch = (price * self.rounds.draft_time)[:, None, None]
        drafted = weights[..., None] * self.rounds.tokens[..., self._shortest :] - in_batch
        worth = (drafted[..., None] * (1.0 - self._chances)).reshape(*weights.shape, -1)
        return np.concatenate([np.zeros((*weights.shape, 1)), worth], axis=-1)

    def _worth_of_none(self, weights: FloatArray, price: FloatArray) -> FloatArray:
        """What no draft is worth: the server's own token, where users may opt out. Shape (N, K)."""
        if self.rounds.cell.min_draft_length > 0:
            return np.full(weights.shape, _NEVER)
        return np.asarray(weights * self.rounds.tokens[..., 0] - (price * self.rounds.draft_time)[:, None])

    def _shares_taken(self, cutoffs: FloatArray) -> FloatArray:
        """The share of the band that each choice takes, more than 1 where none suffices. (N C, K, 1 + choices)."""
        rounds, cell, lengths = self.rounds, self.rounds.cell, self._lengths
        drafted = lengths * rounds.drafting_time[:, None, :, None] + cell.round_trip
        left = cutoffs[:, :, None, None] - drafted
        rate = np.where(left > 0.0, lengths * cell.payload / np.where(left > 0.0, left, 1.0), np.inf)[..., None]
        signal = self._signal[:, None, :, None, :]
        if cell.power == "density":
            share = rate / (np.log1p(signal / cell.bandwidth) * (cell.bandwidth / LN2))
        else:
            share = cell.uplink.bandwidth(rate, signal) / cell.bandwidth
        share = share.reshape(cutoffs.size, rounds.tokens.shape[1], -1)
        return np.concatenate([np.zeros((*share.shape[:2], 1)), share], axis=-1)


def _choose(worth: FloatArray, share: FloatArray, present: BoolArray) -> IntArray:
    """Choices of most worth that fit the band, by bisection on its price.

    Shapes: worth and share (M, K, choices), present and result (M, K).
    """
    least = worth[..., 0]
    if (least <= _NEVER).any():
        # Users must draft: what drafts are worth at best says of which size prices are.
        least = np.where(least > _NEVER, least, worth[..., 1:].max(axis=-1))
    scale = np.where(present & (least > _NEVER), np.abs(least), 0.0).max(axis=-1) + 1.0
    low, high = np.full(len(worth), _LEAST_PRICE), np.full(len(worth), _MOST_PRICE)
    worth, share = worth.astype(np.float32), share.astype(np.float32)
    found = np.zeros(present.shape, np.int64)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        price = (np.exp(middle) * scale).astype(np.float32)[:, None, None]
        index = np.argmax(worth - price * share, axis=-1)
        taken = np.take_along_axis(share, index[..., None], axis=-1)[..., 0]
        fits = (taken * present).sum(axis=-1) <= 1.0
        found[fits] = index[fits]
        low, high = np.where(fits, low, middle), np.where(fits, middle, high)
    return found
