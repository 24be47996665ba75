"""All estimating controllers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from multispin_gym._validation import check_choice, check_options
from multispin_gym.baselines.estimators.deadline_rollout import deadline_rollout
from multispin_gym.baselines.estimators.earliest_deadline import earliest_deadline
from multispin_gym.baselines.estimators.mean import mean_heterogeneous, mean_proportional_fair
from multispin_gym.baselines.estimators.open_loop_planner import open_loop_planner
from multispin_gym.baselines.estimators.request_index import request_index
from multispin_gym.baselines.estimators.required_rate import required_rate
from multispin_gym.baselines.estimators.shortest_first import equal_weights, shortest_first
from multispin_gym.baselines.protocols import Estimating
from multispin_gym.scenarios.scenario import Scenario

# A factory takes the scenario, and options with defaults.
_FACTORIES: dict[str, tuple[str, Callable[..., Estimating]]] = {
    "mean_heterogeneous": (
        "heterogeneous, as if everybody had the mean rate of its task and reports were true",
        mean_heterogeneous,
    ),
    "mean_proportional_fair": (
        "the same, for the sum of the logarithms of token rates",
        mean_proportional_fair,
    ),
    "equal_weights": ("requests with deadlines weigh the same; hopeless ones are given up", equal_weights),
    "earliest_deadline": ("earliest deadline first: weights fall with the order of deadlines", earliest_deadline),
    "required_rate": ("weights by the rate that a request needs to be on time", required_rate),
    "shortest_first": ("shortest request first: weights fall with the tokens that are left", shortest_first),
    "request_index": (
        "an index: value of a request over its tokens left, times the odds of being on time",
        request_index,
    ),
    "open_loop_planner": ("serves the largest set that a plan brings home on time", open_loop_planner),
    "deadline_rollout": ("the base rule that earns most when it is played out in a fluid model", deadline_rollout),
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


def make_estimator(name: str, scenario: Scenario, **options: Any) -> Estimating:
    """Make an estimating controller.

    Parameters
    ----------
    name
        One of :func:`list_estimators`.
    scenario
        The scenario that it is to act in: its laws are what it may know.
    **options
        Options of that controller, each with a default; its own docstring says which.

    Returns
    -------
    Estimating
        An object with ``reset(observation, info, rows=None)`` and ``decide(observation, info)``.

    Raises
    ------
    ValueError
        If the name is unknown, or an option is out of range.
    TypeError
        If the controller has no such option.

    Examples
    --------
    >>> from multispin_gym import load_scenario
    >>> estimator = make_estimator("mean_heterogeneous", load_scenario("hidden"))
    """
    factory = _FACTORIES[check_choice("estimator", name, _FACTORIES)][1]
    check_options(f"estimator {name!r}", options, list(inspect.signature(factory).parameters)[1:])
    return factory(scenario, **options)
