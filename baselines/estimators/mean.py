"""Certainty equivalence: whatever is not seen is at its mean."""

from __future__ import annotations

from multispin_gym.baselines.controller import Controller
from multispin_gym.baselines.estimators.beliefs import Seen, believed_users, task_rates
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.registry import make_controller
from multispin_gym.physics.rounds import Decision
from multispin_gym.scenarios.scenario import Scenario


class MeanEstimator(Estimator):
    """Everybody has the mean acceptance rate of its task, and channels are as they were reported.

    Parameters
    ----------
    controller
        What decides for such users.
    scenario
        The scenario, whose laws are known.
    """

    def __init__(self, controller: Controller, scenario: Scenario) -> None:
        self._controller, self._scenario = controller, scenario

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        users = believed_users(self._scenario, observation, task_rates(self._scenario, observation))
        return self._controller(users, self._scenario.cell)


def mean_heterogeneous(scenario: Scenario) -> MeanEstimator:
    """``heterogeneous``, as if everybody had the mean rate of its task and reports were true."""
    return MeanEstimator(make_controller("heterogeneous"), scenario)


def mean_proportional_fair(scenario: Scenario) -> MeanEstimator:
    """The same for the sum of the logarithms of token rates."""
    return MeanEstimator(make_controller("heterogeneous", objective="proportional_fair"), scenario)


def mean_homogeneous(scenario: Scenario) -> MeanEstimator:
    """``homogeneous``, as if everybody had the mean rate of its task and reports were true."""
    return MeanEstimator(make_controller("homogeneous"), scenario)


def mean_uni_bw(scenario: Scenario) -> MeanEstimator:
    """``uni_bw``, as if everybody had the mean rate of its task and reports were true."""
    return MeanEstimator(make_controller("uni_bw"), scenario)


def mean_multi_spin(scenario: Scenario) -> MeanEstimator:
    """``multi_spin``, as if everybody had the mean rate of its task and reports were true."""
    return MeanEstimator(make_controller("multi_spin"), scenario)
