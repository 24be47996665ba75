"""Rules for requests with deadlines: weights of their tokens, whom to give up, and the round that follows from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, IntArray, check_array, check_choice
from multispin_gym.baselines.estimators.beliefs import Seen
from multispin_gym.baselines.estimators.believing import Believer
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.estimators.pending import Pending, pending_requests, rates_alone
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.baselines.solver.deadline import finish_together
from multispin_gym.baselines.solver.share_curves import ShareCurves
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.decisions import Decision
from multispin_gym.physics.objectives import OBJECTIVES, Objective
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

Weigh = Callable[[Pending, Cell], tuple[FloatArray, BoolArray]]
"""Weights of the users' tokens, at least 0, and whose request is not worth its place. Shapes (N, K)."""
# Weights are relative to the largest of their cell, and no smaller than this.
LEAST_WEIGHT = 1e-6


class DeadlineRule(Estimator):
    """Weighs requests, lets those go that are not worth their place, and decides the round by ``heterogeneous``.

    Where acceptance rates are hidden, users have what the counts of their requests leave of the law of their task.

    Parameters
    ----------
    scenario
        The scenario. Where its clock has no ``admission``, nobody can be given up: whoever would be keeps the place and
        has next to no weight.
    weigh
        What weighs the requests.
    objective
        The objective that the weights stand in: ``"sum"`` or ``"proportional_fair"``.
    hopeless
        A request is given up if it would not be on time at so many times the rate that it had alone in the cell;
        positive, infinite for never.

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    def __init__(self, scenario: Scenario, weigh: Weigh, *, objective: str, hopeless: float) -> None:
        self._scenario, self._weigh = scenario, weigh
        self._believer = Believer(scenario)
        self._objective = check_choice("objective", objective, OBJECTIVES)
        self._hopeless = float(check_array("hopeless", hopeless, low=0.0, low_open=True, infinite=True))
        self._admits = scenario.clock is not None and scenario.clock.admission

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        self._believer.reset(observation, rows)

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        pending = pending_requests(self._scenario, observation, self._believer.users(observation))
        return self.decide_for(pending, self._scenario.cell)

    def decide_for(self, pending: Pending, cell: Cell) -> Decision:
        """Decide a round for given requests.

        Parameters
        ----------
        pending
            The requests. Shape (N, K).
        cell
            The shared system.

        Returns
        -------
        Decision
            The decision. Shape (N, K).
        """
        gone = self._late(pending, cell)
        weights, unworthy = self._weigh(pending if not gone.any() else pending.without(gone), cell)
        return decide_weighted(pending, cell, self._objective, weights, gone | unworthy, self._admits)

    def _late(self, pending: Pending, cell: Cell) -> BoolArray:
        """Who is hopeless. Shape (N, K)."""
        if np.isinf(self._hopeless):
            return np.zeros(pending.remaining.shape, dtype=np.bool_)
        within_reach = self._hopeless * rates_alone(pending.users, cell) * pending.time_left
        return pending.present & (pending.remaining > within_reach)


def decide_weighted(
    pending: Pending, cell: Cell, objective: str, weights: FloatArray, gone: BoolArray, admits: bool
) -> Decision:
    """Decide a round by weights.

    Parameters
    ----------
    pending
        The requests. Shape (N, K).
    cell
        The shared system.
    objective
        The objective that the weights stand in.
    weights
        Weights of the users' tokens, at least 0. Shape (N, K).
    gone
        Who is given up, or, where that cannot be decided, has next to no weight. Shape (N, K).
    admits
        Whether it can be decided.

    Returns
    -------
    Decision
        The decision. Shape (N, K).
    """
    gone = gone & pending.present
    weights = np.where(pending.present & ~gone, weights, 0.0)
    most = weights.max(axis=-1, keepdims=True)
    relative = np.maximum(weights / np.where(most > 0.0, most, 1.0), LEAST_WEIGHT)
    users = pending.users.without(gone) if admits and gone.any() else pending.users
    decision = decide_present(heterogeneous, users, cell, Objective.for_cells(objective, relative))
    lengths, shares = without_surplus(users, cell, decision, pending.remaining)
    return Decision.trusted(lengths, shares, None, gone if admits else None)


def without_surplus(users: Users, cell: Cell, decision: Decision, remaining: FloatArray) -> tuple[IntArray, FloatArray]:
    """Draft no more than what is left of a request, the server's own token counted, and split the band anew.

    Parameters
    ----------
    users
        The users, with a word on who is present. Shape (N, K).
    cell
        The shared system.
    decision
        The decision. Shape (N, K).
    remaining
        Tokens left. Shape (N, K).

    Returns
    -------
    draft_lengths, bandwidth_shares : numpy.ndarray
        With the same tokens of use, in no more time. Shape (N, K).
    """
    useful = np.maximum(np.ceil(remaining) - 1.0, float(cell.min_draft_length))
    lengths = np.minimum(decision.draft_lengths, useful.astype(np.int64))
    shares = decision.bandwidth_shares
    rows = np.flatnonzero((lengths < decision.draft_lengths).any(axis=-1))
    if rows.size:
        _, split = finish_together(ShareCurves.of(users[rows], cell), lengths[rows].astype(np.float64))
        shares = shares.copy()
        shares[rows] = np.where(lengths[rows] > 0, split, 0.0)
    return lengths, shares


def nobody(pending: Pending) -> BoolArray:
    """Nobody is given up. Shape (N, K)."""
    return np.zeros(pending.remaining.shape, dtype=np.bool_)
