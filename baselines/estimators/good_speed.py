"""A budget of drafted tokens, shared fairly by moving estimates (GoodSpeed)."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_number
from multispin_gym.baselines.estimators.beliefs import Seen, believed_users, present_in, task_rates
from multispin_gym.baselines.estimators.equal_finish import finishing_together
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.estimators.smart_spec import verdicts
from multispin_gym.physics.rounds import Decision
from multispin_gym.scenarios.scenario import Scenario


def best_positions(value: FloatArray, budget: FloatArray, least: int) -> FloatArray:
    """Give the most valuable tokens of a budget out.

    Parameters
    ----------
    value
        Worth of each user's i-th token, which does not increase with i. Shape (N, K, S).
    budget
        Tokens of each row. Shape (N,).
    least
        Tokens that everybody gets, whatever they are worth and beside the budget.

    Returns
    -------
    numpy.ndarray
        Tokens of each user. Shape (N, K).
    """
    rows, num_users, longest = value.shape
    order = np.argsort(-value.reshape(rows, -1), axis=-1, kind="stable")
    taken = np.zeros((rows, num_users * longest))
    np.put_along_axis(taken, order, (np.arange(num_users * longest) < budget[:, None]).astype(np.float64), axis=-1)
    return np.asarray(np.maximum(taken.reshape(value.shape).sum(axis=-1), least))


class GoodSpeed(Estimator):
    """The next token of a budget goes to whom ``a**(S + 1) / x`` is largest: fairness by moving estimates.

    Here a is a user's acceptance rate, x its tokens a round, both moving averages, and S its tokens so far: the
    gradient of ``sum log x``. A new request begins with the mean rate of its task; x stays with the place. Bandwidth:
    all finish together. Source: GoodSpeed (arXiv 2512.09963).

    Parameters
    ----------
    scenario
        The scenario.
    budget
        Tokens to be drafted in a round for each user present, in [0, 1000].
    rate_step, speed_step
        Weight of the last round in both averages, in [0, 1].

    Raises
    ------
    ValueError
        If an option is out of range.
    """

    def __init__(
        self, scenario: Scenario, *, budget: float = 8.0, rate_step: float = 0.3, speed_step: float = 0.1
    ) -> None:
        self._budget = check_number("budget", budget, low=0.0, high=1000.0)
        self._rate_step = check_number("rate_step", rate_step, low=0.0, high=1.0)
        self._speed_step = check_number("speed_step", speed_step, low=0.0, high=1.0)
        self._scenario = scenario
        self._rate = self._speed = np.zeros((0, 0))

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        shape = np.shape(observation["drafting_speed"])
        if rows is None or self._speed.shape != shape:
            self._rate = self._speed = np.ones(shape)
        else:
            self._speed = np.where(rows[:, None], 1.0, self._speed)

    def _learn(self, observation: Seen, info: Seen) -> None:
        accepted, refused = verdicts(info)
        seen = accepted + refused
        step = np.where(seen > 0.0, self._rate_step, 0.0)
        self._rate = (1.0 - step) * self._rate + step * accepted / np.maximum(seen, 1.0)
        step = np.where(info["verified"], self._speed_step, 0.0)
        self._speed = (1.0 - step) * self._speed + step * info["tokens"]
        known = observation.get("acceptance_rate")
        if known is not None:
            self._rate = np.asarray(known).astype(np.float64)
            return
        mean = task_rates(self._scenario, observation)
        assert mean is not None
        self._rate = np.where(observation["drafted_count"] > 0.0, self._rate, mean)

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        self._learn(observation, info)
        cell, present = self._scenario.cell, present_in(observation)
        users = believed_users(self._scenario, observation, self._rate)
        positions = np.arange(1, cell.max_draft_length + 1)
        value = self._rate[..., None] ** positions / np.maximum(self._speed, 1e-3)[..., None]
        value = np.where(present[..., None], value, -1.0)
        lengths = best_positions(value, np.rint(self._budget * present.sum(axis=-1)), cell.min_draft_length)
        return finishing_together(users, cell, lengths)
