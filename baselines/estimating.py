"""Controllers that estimate what they do not see, and decide by a rule as if that were so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multispin_gym._validation import FloatArray, check_choice
from multispin_gym.baselines.controller import Controller
from multispin_gym.baselines.protocols import Estimating
from multispin_gym.baselines.registry import make_controller
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

Seen = Mapping[str, NDArray[Any]]


def believed_users(scenario: Scenario, observation: Seen, acceptance_rate: ArrayLike | None = None) -> Users:
    """Return the users of an observation, with what is believed where it does not show them.

    Parameters
    ----------
    scenario
        The scenario that they come from.
    observation
        Observations of any environment of the family; entries of shape (..., K).
    acceptance_rate
        Believed acceptance rates, for where none are observed. Shape (..., K).

    Returns
    -------
    Users
        Users with channels as they were reported, and as present as they are seen to be. Shape (..., K).

    Raises
    ------
    ValueError
        If the observation has no channel gains, or neither it nor the caller says what the acceptance rates are.
    """
    gain_db = _one_of(observation, "channel_gain_db", "reported_channel_gain_db")
    rates = observation.get("acceptance_rate", acceptance_rate)
    if rates is None:
        raise ValueError("acceptance_rate is missing: the observation shows none, so some must be believed")
    present = observation.get("present")
    return Users(
        acceptance_rate=rates,
        drafting_speed=observation["drafting_speed"],
        channel_gain=scenario.db_to_gain(gain_db),
        transmit_power=scenario.reference_power,
        present=None if present is None else np.asarray(present) > 0.5,
    )


def _one_of(observation: Seen, *names: str) -> NDArray[Any]:
    for name in names:
        if name in observation:
            return observation[name]
    raise ValueError(f"the observation must have {' or '.join(names)}, it has {', '.join(observation)}")


class MeanEstimator:
    """Certainty equivalence: everybody has the mean acceptance rate of its task, channels are as they were reported.

    Parameters
    ----------
    controller
        What decides for such users.
    scenario
        The scenario, whose laws are known.
    """

    def __init__(self, controller: Controller, scenario: Scenario) -> None:
        self._controller, self._scenario = controller, scenario
        self._rates: FloatArray = np.array([task.mean_rate for task in scenario.acceptance])

    def reset(self, observation: Seen, info: Mapping[str, Any], rows: NDArray[np.bool_] | None = None) -> None:
        """Begin new episodes; nothing is remembered.

        Parameters
        ----------
        observation, info
            What is seen. Entries of shape (N, K).
        rows
            Which of the batch begin anew; None: all. Shape (N,).
        """

    def decide(self, observation: Seen, info: Mapping[str, Any]) -> Decision:
        """Decide a round.

        Parameters
        ----------
        observation
            What is seen. Entries of shape (..., K).
        info
            What is known of the round before.

        Returns
        -------
        Decision
            The decision. Shape (..., K).
        """
        task = observation.get("task")
        rates = None if task is None else self._rates[np.asarray(task).astype(np.int64)]
        return self._controller(believed_users(self._scenario, observation, rates), self._scenario.cell)


def _mean(rule: str, scenario: Scenario, **options: Any) -> MeanEstimator:
    return MeanEstimator(make_controller(rule, **options), scenario)


_FACTORIES: dict[str, tuple[str, Callable[[Scenario], Estimating]]] = {
    "mean_heterogeneous": (
        "heterogeneous, as if everybody had the mean rate of its task and reports were true",
        partial(_mean, "heterogeneous"),
    ),
    "mean_proportional_fair": (
        "the same, for the sum of the logarithms of token rates",
        partial(_mean, "heterogeneous", objective="proportional_fair"),
    ),
}


def list_estimators() -> list[str]:
    """Names of all estimating controllers.

    Returns
    -------
    list of str
        Names for :func:`make_estimator`.
    """
    return list(_FACTORIES)


def estimator_summaries() -> dict[str, str]:
    """Return a line on what each estimating controller does.

    Returns
    -------
    dict
        Lines by the names of :func:`list_estimators`.
    """
    return {name: summary for name, (summary, _) in _FACTORIES.items()}


def make_estimator(name: str, scenario: Scenario) -> Estimating:
    """Make an estimating controller.

    Parameters
    ----------
    name
        One of :func:`list_estimators`.
    scenario
        The scenario that it is to act in: its laws are what it may know.

    Returns
    -------
    Estimating
        An object with ``reset(observation, info, rows=None)`` and ``decide(observation, info)``.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> from multispin_gym import load_scenario
    >>> estimator = make_estimator("mean_heterogeneous", load_scenario("hidden"))
    """
    return _FACTORIES[check_choice("estimator", name, _FACTORIES)][1](scenario)
