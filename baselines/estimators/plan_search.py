"""The best cut-off for a plan, and a climb from there along shares and cut-off together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.estimators.lossy_rounds import LossyRounds
from multispin_gym.baselines.estimators.upload_plans import FEW, MANY, Plan, UploadPlanner

# Between neighbours of the first cut-offs tried; each refinement halves its logarithm.
_RATIO = 1.7
_REFINEMENTS = 3
_CLIMBS = 2
# Steps of the climb: for slopes, and what of the steepest change of a logarithm is tried.
_SLOPE, _STEPS = 0.05, np.array([0.4, 0.2, 0.1, 0.05, 0.0125])
# Logarithms of the factors by which cut-offs are put off before: plans are made as if verification began at them.
_LATER = np.log([1.1, 1.3, 1.8, 3.0])
# Rows planned at a time; the tables take some hundred kilobytes each.
_CHUNK = 128


@dataclass(frozen=True, eq=False)
class Prices:
    """What is maximised: ``sum_k weight_k E[N_k] - time E[T]``. Shapes: weight (N, K), time (N,)."""

    weight: FloatArray
    time: FloatArray

    def value(self, plan: Plan) -> FloatArray:
        """The value of some plans. Shape (N,)."""
        return np.asarray((self.weight * plan.expected.tokens).sum(axis=-1) - self.time * plan.expected.seconds)

    @classmethod
    def joined(cls, parts: Sequence[Prices]) -> Prices:
        """Prices of several batches as one batch."""
        return cls(np.concatenate([part.weight for part in parts]), np.concatenate([part.time for part in parts]))

    def __getitem__(self, rows: Any) -> Prices:
        """Select rows, or repeat them."""
        return Prices(self.weight[rows], self.time[rows])


def plan_rounds(rounds: LossyRounds, prices: Prices, first: float, last: float) -> Plan:
    """Find the best plans with cut-offs in a range.

    Parameters
    ----------
    rounds
        The rounds. Shape (N, K).
    prices
        What is maximised.
    first, last
        The range of cut-offs, s.

    Returns
    -------
    Plan
        Plans. Shape (N, K).
    """
    chunks = [slice(begin, begin + _CHUNK) for begin in range(0, len(rounds.tokens), _CHUNK)]
    return Plan.joined([_plan(rounds[rows], prices[rows], first, last) for rows in chunks])


def _plan(rounds: LossyRounds, prices: Prices, first: float, last: float) -> Plan:
    count = len(rounds.tokens)
    tried = np.geomspace(first, last, max(int(np.ceil(np.log(last / first) / np.log(_RATIO))) + 1, 2))
    best = _best_of(UploadPlanner(rounds, FEW), prices, np.tile(tried, (count, 1)))
    planner = UploadPlanner(rounds, MANY)
    step = (tried[1] / tried[0]) ** 0.5
    for _ in range(_REFINEMENTS):
        near = np.clip(best.cutoff[:, None] * np.array([1.0 / step, step]), first, last)
        best = best.or_better(_best_of(planner, prices, near), prices)
        step = step**0.5
    later = np.zeros((_LATER.size, best.lengths.shape[1] + 1))
    later[:, -1] = _LATER
    waiting = _moved(rounds, best, np.tile(later, (count, 1)), first, last)
    best = best.or_better(waiting.best_of_each(prices[np.repeat(np.arange(count), _LATER.size)], _LATER.size), prices)
    return climb(rounds, prices, best, first, last)


def _best_of(planner: UploadPlanner, prices: Prices, cutoffs: FloatArray) -> Plan:
    """The best plan of each row with one of some cut-offs, s. Shape (N, C)."""
    found = planner.plan(cutoffs, prices.weight, prices.time)
    count = cutoffs.shape[1]
    rows = np.repeat(np.arange(len(cutoffs)), count)
    return found.best_of_each(prices[rows], count)


def climb(rounds: LossyRounds, prices: Prices, plan: Plan, first: float, last: float) -> Plan:
    """Climb along the slopes of value by the logarithms of all shares and of the cut-off, lengths staying.

    Parameters
    ----------
    rounds, prices
        The rounds, and what is maximised.
    plan
        Where to begin.
    first, last
        The range of cut-offs, s.

    Returns
    -------
    Plan
        Plans at least as good.
    """
    count, users = plan.lengths.shape
    every = np.eye(users + 1)
    for _ in range(_CLIMBS):
        moved = _moved(rounds, plan, np.tile(_SLOPE * every, (count, 1)), first, last)
        rows = np.repeat(np.arange(count), users + 1)
        gain = prices[rows].value(moved).reshape(count, users + 1) - prices.value(plan)[:, None]
        # A small share is worth a larger change of its logarithm.
        gain[:, :users] /= np.sqrt(np.maximum(plan.shares, 0.02))
        way = gain / np.maximum(np.abs(gain).max(axis=-1, keepdims=True), 1e-300)
        steps = (way[:, None, :] * _STEPS[:, None]).reshape(-1, users + 1)
        found = _moved(rounds, plan, steps, first, last)
        rows = np.repeat(np.arange(count), _STEPS.size)
        plan = plan.or_better(found.best_of_each(prices[rows], _STEPS.size), prices)
    return plan


def _moved(rounds: LossyRounds, plan: Plan, steps: FloatArray, first: float, last: float) -> Plan:
    """Plans with other shares and cut-offs, several of each row. ``steps`` has shape (N C, K + 1)."""
    count = len(plan.lengths)
    rows = np.repeat(np.arange(count), len(steps) // count)
    shares = plan.shares[rows] * np.exp(steps[:, :-1])
    total = shares.sum(axis=-1, keepdims=True)
    shares = shares / np.where(total > 0.0, total, 1.0)
    cutoff = np.clip(plan.cutoff[rows] * np.exp(steps[:, -1]), first, last)
    lengths = plan.lengths[rows]
    return Plan(lengths, shares, cutoff, rounds[rows].expect(lengths, shares, cutoff))
