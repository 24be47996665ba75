"""What a rule that maximises a round believes of hidden acceptance rates, and the rules that do no more than that."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_choice, check_integer
from multispin_gym.baselines.estimators.acceptance_belief import AcceptanceBelief, curve_of, prior_shapes
from multispin_gym.baselines.estimators.beliefs import Seen, believed_users, task_rates
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.registry import make_controller
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

BELIEFS = ("posterior", "posterior_mean", "sample", "law", "mean")
"""The survival curve of each request's posterior; its mean rate; a draw of it; the curve of the task's law, whatever
was accepted so far; the task's mean rate."""


class Believer:
    """Users as they are believed to be, round by round.

    Where acceptance rates are observed, these are believed.

    Parameters
    ----------
    scenario
        The scenario, whose laws are known.
    belief
        One of :data:`BELIEFS`.
    seed
        Seed of what is drawn, at least 0.

    Raises
    ------
    ValueError
        If an argument is out of range.
    """

    def __init__(self, scenario: Scenario, belief: str = "posterior", seed: int = 0) -> None:
        self._belief = check_choice("belief", belief, BELIEFS)
        self._rng = np.random.default_rng(check_integer("seed", seed, low=0))
        self._scenario, self._longest = scenario, max(scenario.cell.max_draft_length, 1)
        self._counts = AcceptanceBelief(scenario)
        first, second = prior_shapes(scenario).T
        self._law = curve_of(first, second, self._longest)

    def reset(self, observation: Seen, rows: BoolArray | None = None) -> None:
        """Begin new episodes, in all rows of the batch or in some. Shapes: entries (N, K), ``rows`` (N,)."""
        if "drafted_count" in observation:
            self._counts.reset(observation, rows)

    def users(self, observation: Seen) -> Users:
        """Return the users of a round. Shapes (N, K)."""
        if "acceptance_rate" in observation:
            return believed_users(self._scenario, observation)
        if self._belief in ("law", "mean"):
            curve = self._law[observation["task"].astype(np.int64)] if self._belief == "law" else None
            return believed_users(self._scenario, observation, task_rates(self._scenario, observation), curve)
        self._counts.update(observation)
        rates = self._counts.sample(self._rng) if self._belief == "sample" else self._counts.mean()
        curve = self._counts.survival(self._longest) if self._belief == "posterior" else None
        return believed_users(self._scenario, observation, rates, curve)

    def mean_rates(self, observation: Seen) -> FloatArray:
        """Return mean acceptance rates, by the counts that :meth:`users` was shown last. Shape (N, K)."""
        if "acceptance_rate" in observation:
            return np.asarray(observation["acceptance_rate"], dtype=np.float64)
        if self._belief in ("law", "mean"):
            rates = task_rates(self._scenario, observation)
            assert rates is not None
            return rates
        return self._counts.mean()


class Believing(Estimator):
    """A rule for users as they are believed to be.

    Parameters
    ----------
    scenario
        The scenario.
    rule
        What decides for such users.
    belief, seed
        See :class:`Believer`.
    """

    def __init__(
        self, scenario: Scenario, rule: Callable[[Users, Cell], Decision], belief: str = "posterior", seed: int = 0
    ) -> None:
        self._believer = Believer(scenario, belief, seed)
        self._scenario, self._rule = scenario, rule

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        self._believer.reset(observation, rows)

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        return self._rule(self._believer.users(observation), self._scenario.cell)


def posterior_heterogeneous(scenario: Scenario, *, belief: str = "posterior") -> Believing:
    """``heterogeneous`` with what is believed of each request's own rate; see :data:`BELIEFS`."""
    return Believing(scenario, make_controller("heterogeneous"), belief)


def posterior_proportional_fair(scenario: Scenario, *, belief: str = "posterior") -> Believing:
    """The same for the sum of the logarithms of token rates: the rule to use where requests end and tokens count."""
    return Believing(scenario, make_controller("heterogeneous", objective="proportional_fair"), belief)


def law_heterogeneous(scenario: Scenario) -> Believing:
    """``heterogeneous`` with the survival curve of the task's law, the best rule that never learns, for one round."""
    return posterior_heterogeneous(scenario, belief="law")


def thompson(scenario: Scenario, *, objective: str = "sum", seed: int = 0) -> Believing:
    """Thompson sampling: ``heterogeneous`` for rates drawn from the posterior in every round (Thompson 1933)."""
    return Believing(scenario, make_controller("heterogeneous", objective=objective), "sample", seed)
