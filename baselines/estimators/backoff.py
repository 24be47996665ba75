"""Rules that plan for channels worse than expected: a margin below the report, or a quantile of what is believed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray, check_choice, check_number
from multispin_gym.baselines.controller import Controller
from multispin_gym.baselines.estimators.beliefs import Seen, believed_users, one_of, task_rates
from multispin_gym.baselines.estimators.channel_belief import ChannelBelief
from multispin_gym.baselines.estimators.memoryless import Memoryless
from multispin_gym.baselines.registry import make_controller
from multispin_gym.physics.objectives import OBJECTIVES
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


class _Cautious:
    """What the two kinds of rule share: an objective and a factor of the cut-off."""

    def __init__(self, scenario: Scenario, cutoff: float, objective: str) -> None:
        check_choice("objective", objective, OBJECTIVES)
        if cutoff != np.inf:
            cutoff = check_number("cutoff", cutoff, low=0.1, high=100.0)
        self._scenario, self._cutoff = scenario, float(cutoff)
        self._controller: Controller = make_controller("heterogeneous", objective=objective)

    def _decide(self, observation: Seen, gain_db: FloatArray) -> Decision:
        shown = {key: value for key, value in observation.items() if not key.endswith("channel_gain_db")}
        seen = {**shown, "channel_gain_db": gain_db}
        users = believed_users(self._scenario, seen, task_rates(self._scenario, observation))
        decision = self._controller(users, self._scenario.cell)
        return with_cutoff(decision, users, self._scenario, self._cutoff)


class Backoff(_Cautious, Memoryless):
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
    """

    def __init__(self, scenario: Scenario, decibels: float, cutoff: float, objective: str) -> None:
        super().__init__(scenario, cutoff, objective)
        self._decibels = check_number("decibels", decibels, low=0.0, high=60.0)

    def decide(self, observation: Seen, info: Seen) -> Decision:
        """Decide a round.

        Parameters
        ----------
        observation
            What is seen. Entries of shape (N, K).
        info
            What is known of the round before.

        Returns
        -------
        Decision
            The decision. Shape (N, K).
        """
        reported = one_of(observation, "channel_gain_db", "reported_channel_gain_db")
        return self._decide(observation, reported - self._decibels)


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
    """

    def __init__(self, scenario: Scenario, level: float, cutoff: float, objective: str) -> None:
        super().__init__(scenario, cutoff, objective)
        self._level = check_number("level", level, low=0.001, high=0.999)
        self._belief = ChannelBelief(scenario)

    def reset(self, observation: Seen, info: Seen, rows: NDArray[np.bool_] | None = None) -> None:
        """Begin new episodes.

        Parameters
        ----------
        observation, info
            What is seen. Entries of shape (N, K).
        rows
            Which of the batch begin anew; None: all. Shape (N,).
        """
        self._belief.reset(observation, info, rows)

    def decide(self, observation: Seen, info: Seen) -> Decision:
        """Decide a round.

        Parameters
        ----------
        observation
            What is seen. Entries of shape (N, K).
        info
            What is known of the round before.

        Returns
        -------
        Decision
            The decision. Shape (N, K).
        """
        return self._decide(observation, self._belief.observe(observation, info).quantile_db(self._level))


def backoff(scenario: Scenario, *, decibels: float = 4.0, cutoff: float = 1.1, objective: str = "sum") -> Backoff:
    """``heterogeneous`` on gains a common margin below their reports; see :class:`Backoff` (standard: a fade margin)."""
    return Backoff(scenario, decibels, cutoff, objective)


def channel_quantile(
    scenario: Scenario, *, level: float = 0.15, cutoff: float = 1.2, objective: str = "sum"
) -> ChannelQuantile:
    """``heterogeneous`` on a quantile of the present gains; see :class:`ChannelQuantile` (standard: outage)."""
    return ChannelQuantile(scenario, level, cutoff, objective)
