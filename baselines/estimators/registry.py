"""All estimating controllers by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from os import PathLike
from typing import Any

from multispin_gym._validation import check_choice, check_options
from multispin_gym.baselines.estimators.backoff import backoff, channel_quantile
from multispin_gym.baselines.estimators.believing import (
    law_heterogeneous,
    posterior_heterogeneous,
    posterior_proportional_fair,
    thompson,
)
from multispin_gym.baselines.estimators.deadline_rollout import deadline_rollout
from multispin_gym.baselines.estimators.earliest_deadline import earliest_deadline
from multispin_gym.baselines.estimators.fluid import Fluid, mean_fluid
from multispin_gym.baselines.estimators.good_speed import GoodSpeed
from multispin_gym.baselines.estimators.mean import (
    mean_heterogeneous,
    mean_homogeneous,
    mean_multi_spin,
    mean_proportional_fair,
    mean_uni_bw,
)
from multispin_gym.baselines.estimators.open_loop_planner import open_loop_planner
from multispin_gym.baselines.estimators.ranking import survival_ranking
from multispin_gym.baselines.estimators.request_index import request_index
from multispin_gym.baselines.estimators.required_rate import required_rate
from multispin_gym.baselines.estimators.serving import index_programme, index_quantile
from multispin_gym.baselines.estimators.shortest_first import equal_weights, shortest_first
from multispin_gym.baselines.estimators.smart_spec import SmartSpec
from multispin_gym.baselines.estimators.spec_stop import SpecStop
from multispin_gym.baselines.estimators.stochastic_programme import stochastic_programme
from multispin_gym.baselines.protocols import Estimating
from multispin_gym.scenarios.library import load_scenario
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
    "mean_homogeneous": ("the paper's homogeneous drafts, believing the same", mean_homogeneous),
    "mean_uni_bw": ("the paper's uniform bandwidth with own lengths, believing the same", mean_uni_bw),
    "mean_multi_spin": ("the paper's Algorithm 1, believing the same", mean_multi_spin),
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
    "law_heterogeneous": (
        "heterogeneous, with the chances of a request of the task of which nothing more is known",
        law_heterogeneous,
    ),
    "posterior_heterogeneous": (
        "heterogeneous, with the chances that a request's own counts leave (option: belief)",
        posterior_heterogeneous,
    ),
    "posterior_proportional_fair": (
        "the same for the sum of the logarithms of token rates: where requests end, the rule to use (option: belief)",
        posterior_proportional_fair,
    ),
    "posterior_fluid": (
        "tokens weighed by what their kind costs in time, with the counts (options: factor, prior, kinds, belief)",
        Fluid,
    ),
    "mean_fluid": ("the same with the mean rate of a request's task (options: factor, prior)", mean_fluid),
    "thompson": (
        "heterogeneous, for rates drawn from what the counts leave (options: objective, seed)",
        thompson,
    ),
    "survival_ranking": (
        "everybody's tokens ranked by survival over cost, as many as give the most tokens a second (option: belief)",
        survival_ranking,
    ),
    "smart_spec": (
        "one length for all, by a moving estimate of the acceptance rate (options: memory, prior)",
        SmartSpec,
    ),
    "spec_stop": ("a bandit over one length for all, UCB-SpecStop (options: beta, bonus, states)", SpecStop),
    "good_speed": (
        "a budget of tokens shared fairly by moving estimates, GoodSpeed (options: budget, rate_step, speed_step)",
        GoodSpeed,
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
    "index_quantile": (
        "all at once: a quantile of the channels, the rates' posterior, a request's index (docstring: the options)",
        index_quantile,
    ),
    "index_programme": (
        "all at once: the programme of a round for channels and rates as believed, weighed by the request's index",
        index_programme,
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


def make_estimator(name: str, scenario: Scenario | str | PathLike[str], **options: Any) -> Estimating:
    """Make an estimating controller.

    Parameters
    ----------
    name
        One of :func:`list_estimators`.
    scenario
        The scenario that it is to act in, also by the name of a preset or the path of a file: its laws are what it may
        know.
    **options
        Options of that controller, each with a default; its own docstring says which.

    Returns
    -------
    Estimating
        An object with ``reset(observation, info, rows=None)`` and ``decide(observation, info)``.

    Raises
    ------
    ValueError
        If the name or the scenario is unknown, or an option is out of range.
    TypeError
        If the controller has no such option.

    Examples
    --------
    >>> estimator = make_estimator("posterior_proportional_fair", "hidden")
    """
    factory = _FACTORIES[check_choice("estimator", name, _FACTORIES)][1]
    check_options(f"estimator {name!r}", options, list(inspect.signature(factory).parameters)[1:])
    return factory(scenario if isinstance(scenario, Scenario) else load_scenario(scenario), **options)
