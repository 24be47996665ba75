"""Rules that plan for channels worse than expected: a margin below the report, or a quantile of what is believed."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_number
from multispin_gym.baselines.estimators.beliefs import Seen, Weights, reported_gain_db
from multispin_gym.baselines.estimators.believing import Believer
from multispin_gym.baselines.estimators.channel_belief import ChannelBelief
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision, compute_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.scenario import Scenario


def with_cutoff(decision: Decision, users: Users, scenario: Scenario, factor: float) -> Decision:
    """Add a cut-off to decisions: a factor times when the drafts would be in on given channels.

    Parameters
    ----------
    decision
        Lengths and shares. Shape (N, K).
    users
        The users with those channels. Shape (N, K).
    scenario
        The scenario, whose clock says whether there are cut-offs, and their range.
    factor
        The factor; infinite for no cut-off.

    Returns
    -------
    Decision
        The decision, with cut-offs where the clock has them and the factor is finite.
    """
    clock = scenario.clock
    assert clock is not None
    if not (clock.cutoff and np.isfinite(factor)):
        return decision
    outcome = compute_round(users, scenario.cell, decision)
    planned = (outcome.drafting_time + outcome.upload_time).max(axis=-1)
    return Decision.trusted(decision.draft_lengths, decision.bandwidth_shares, in_range(clock, factor * planned))


def in_range(clock: Clock, cutoff: FloatArray) -> FloatArray:
    """Return the nearest cut-offs that actions can ask for."""
    return np.asarray(np.clip(cutoff, clock.cutoff_min, clock.cutoff_max))


class _Cautious(Estimator):
    """What the two kinds of rule share: beliefs about rates, an objective, weights and a factor of the cut-off."""

    def __init__(
        self, scenario: Scenario, cutoff: float, objective: str, belief: str, weights: Weights | None = None
    ) -> None:
        if cutoff != np.inf:
            cutoff = check_number("cutoff", cutoff, low=0.1, high=100.0)
        self._scenario, self._cutoff = scenario, float(cutoff)
        self._objective, self._weights = Objective(objective), weights
        self._believer = Believer(scenario, belief)

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        self._believer.reset(observation, rows)

    def _decide_on(self, observation: Seen, gain_db: FloatArray) -> Decision:
        users = self._believer.users(observation)
        users = Users.trusted(**{**users.fields, "channel_gain": self._scenario.db_to_gain(gain_db)})
        goal = self._objective
        if self._weights is not None:
            goal = Objective.for_cells(goal.name, self._weights(observation, users))
        decision = decide_present(heterogeneous, users, self._scenario.cell, goal)
        return with_cutoff(decision, users, self._scenario, self._cutoff)


class Backoff(_Cautious):
    """``heterogeneous`` on gains that lie a common margin below their reports.

    Parameters
    ----------
    scenario
        The scenario.
    decibels
        The margin, dB; in [0, 60].
    cutoff
        The cut-off over the planned end of the uploads, in [0.1, 100]; infinite for none.
    objective
        One of :data:`multispin_gym.physics.objectives.OBJECTIVES`.
    belief
        What is believed of hidden acceptance rates, see :class:`Believer`.
    """

    def __init__(self, scenario: Scenario, decibels: float, cutoff: float, objective: str, belief: str) -> None:
        super().__init__(scenario, cutoff, objective, belief)
        self._decibels = check_number("decibels", decibels, low=0.0, high=60.0)

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        reported = reported_gain_db(observation)
        return self._decide_on(observation, reported - self._decibels)


class ChannelQuantile(_Cautious):
    """``heterogeneous`` on a quantile of what is believed of the present gains (:class:`ChannelBelief`).

    Parameters
    ----------
    scenario
        The scenario.
    level
        Probability that a gain is below what is planned with, in [0.001, 0.999].
    cutoff
        The cut-off over the planned end of the uploads, in [0.1, 100]; infinite for none.
    objective
        One of :data:`multispin_gym.physics.objectives.OBJECTIVES`.
    belief
        What is believed of hidden acceptance rates, see :class:`Believer`.
    weights
        Weights of the users' tokens by what is observed, positive; all one by default.
    """

    def __init__(
        self,
        scenario: Scenario,
        level: float,
        cutoff: float,
        objective: str,
        belief: str,
        weights: Weights | None = None,
    ) -> None:
        super().__init__(scenario, cutoff, objective, belief, weights)
        self._level = check_number("level", level, low=0.001, high=0.999)
        self._channels = ChannelBelief(scenario)

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        super()._reset(observation, info, rows)
        self._channels.reset(observation, info, rows)

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        return self._decide_on(observation, self._channels.observe(observation, info).quantile_db(self._level))


def backoff(
    scenario: Scenario,
    *,
    decibels: float = 3.0,
    cutoff: float = 1.1,
    objective: str = "sum",
    belief: str = "posterior",
) -> Backoff:
    """``heterogeneous`` on gains a common margin below their reports; see :class:`Backoff` (standard: fade margin)."""
    return Backoff(scenario, decibels, cutoff, objective, belief)


def channel_quantile(
    scenario: Scenario,
    *,
    level: float = 0.15,
    cutoff: float = 1.1,
    objective: str = "sum",
    belief: str = "posterior",
) -> ChannelQuantile:
    """``heterogeneous`` on a quantile of the present gains; see :class:`ChannelQuantile` (standard: outage level)."""
    return ChannelQuantile(scenario, level, cutoff, objective, belief)
