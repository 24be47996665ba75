"""All estimating controllers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from multispin_gym._validation import check_choice, check_options
from multispin_gym.baselines.estimators.backoff import backoff, channel_quantile
from multispin_gym.baselines.estimators.mean import mean_heterogeneous, mean_proportional_fair
from multispin_gym.baselines.estimators.stochastic_programme import stochastic_programme
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
    "backoff": (
        "heterogeneous on gains a common margin below their reports, with a cut-off behind the planned end of uploads",
        backoff,
    ),
    "channel_quantile": (
        "the same on a quantile of what reports and past uploads tell of the present gains",
        channel_quantile,
    ),
    "stochastic_programme": (
        "most expected tokens for the expected time, over lengths, shares and cut-off, by the same law of the gains",
        stochastic_programme,
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
