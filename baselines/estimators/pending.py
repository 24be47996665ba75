"""What a rule for requests with deadlines decides by: users as they are believed to be, and what is left to do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray
from multispin_gym.baselines.estimators.beliefs import Seen, believed_users, present_in, task_rates
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.decisions import Decision
from multispin_gym.physics.rounds import compute_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario


@dataclass(frozen=True, eq=False)
class Pending:
    """The requests of N cells with K places each.

    Parameters
    ----------
    users
        The users, with a word on who is present. Shape (N, K).
    remaining
        Tokens left of each request. Shape (N, K).
    time_left
        Seconds to each deadline. Shape (N, K).
    value
        What a request is worth that ends on time. Shape (N, K).
    waiting
        Requests that wait in front of each cell. Shape (N,).
    """

    users: Users
    remaining: FloatArray
    time_left: FloatArray
    value: FloatArray
    waiting: FloatArray

    @property
    def present(self) -> BoolArray:
        """Whose place is taken. Shape (N, K)."""
        assert self.users.present is not None
        return self.users.present

    def without(self, gone: BoolArray) -> Pending:
        """The same cells without some requests. Shape (N, K)."""
        return Pending(self.users.without(gone), self.remaining, self.time_left, self.value, self.waiting)


def pending_requests(scenario: Scenario, observation: Seen) -> Pending:
    """Read an observation of requests with deadlines.

    Parameters
    ----------
    scenario
        The scenario; where rates are hidden, everybody is believed to have the mean rate of its task.
    observation
        What is seen, with ``remaining_tokens`` and ``time_to_deadline``. Entries of shape (N, K).

    Returns
    -------
    Pending
        The requests. Where tokens on time are rewarded, a request is worth its tokens as far as they are known: those
        left, and those accepted so far.
    """
    users = believed_users(scenario, observation, task_rates(scenario, observation))
    present = present_in(observation)
    left = np.where(present, np.asarray(observation["remaining_tokens"], dtype=np.float64), 0.0)
    time_left = np.asarray(observation["time_to_deadline"], dtype=np.float64)
    value = np.ones(left.shape)
    if scenario.clock is not None and scenario.clock.reward == "tokens_on_time":
        value = np.maximum(left + observation.get("accepted_count", 0.0), 1.0)
    waiting = observation.get("queue_length", np.zeros((*left.shape[:-1], 1)))[..., 0]
    whole = Users.trusted(**{**vars(users), "present": present})
    return Pending(whole, left, time_left, value, np.asarray(waiting, dtype=np.float64))


def rates_alone(users: Users, cell: Cell) -> FloatArray:
    """Return what each user would gain if the cell were its own, with the best draft for it.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    numpy.ndarray
        Expected token/s. Shape (..., K).
    """
    alone = Users.trusted(**{name: getattr(users, name)[..., None] for name in Users.FIELDS})
    lengths = np.arange(cell.min_draft_length, cell.max_draft_length + 1)
    drafts = lengths.reshape(-1, *[1] * alone.acceptance_rate.ndim)
    outcome = compute_round(alone, cell, Decision.trusted(drafts, np.ones(drafts.shape)))
    return np.asarray(outcome.goodput.max(axis=0))


def rates_of(users: Users, cell: Cell, decision: Decision) -> FloatArray:
    """Return what a decision gives to everybody.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.
    decision
        Draft lengths and bandwidth shares. Shape (..., K).

    Returns
    -------
    numpy.ndarray
        Expected token/s; 0 for who is absent. Shape (..., K).
    """
    outcome = compute_round(users, cell, decision)
    # A round with nobody in it takes no time.
    return np.asarray(outcome.tokens / np.where(outcome.latency > 0.0, outcome.latency, 1.0)[..., None])
