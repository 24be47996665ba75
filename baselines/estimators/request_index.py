"""An index of each request: what one more token for it is worth, by how likely it is to be on time."""

from __future__ import annotations

import math

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_number
from multispin_gym.baselines.estimators.deadline_rule import DeadlineRule
from multispin_gym.baselines.estimators.pending import Pending, rates_of
from multispin_gym.baselines.heterogeneous import heterogeneous
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.scenarios.scenario import Scenario

_MOST = 100.0
# Logarithms of odds beyond which a request is as good as lost, or as safe.
_SURE = 60.0
_FAIR = Objective("proportional_fair")


def request_index(
    scenario: Scenario,
    *,
    temperature: float = 0.5,
    speed_up: float = 1.0,
    power: float = 1.0,
    threshold: float = 0.0,
    objective: str = "sum",
    hopeless: float = math.inf,
) -> DeadlineRule:
    """Weights ``value / remaining**power x p``, p the odds of being on time at ``speed_up`` times a fair share's rate.

    An index form in the manner of the ``c mu`` rule and its generalisations (van Mieghem, Annals of Applied Probability
    5, 1995) with the chance that the value is still paid: ``p = 1 / (1 + (needed rate / rate)**(1 / temperature))``.
    Where somebody waits, a request whose index is below ``threshold`` times that of a request of mean length is given
    up for it.

    Parameters
    ----------
    scenario
        The scenario.
    temperature
        Width of the step of p in logarithms of rates; in (0, 100].
    speed_up
        What the rates of proportional fairness are multiplied with; in (0, 100].
    power
        In [0, 100]; 1 is the value of a token, 0 leaves lengths out.
    threshold
        In [0, 100]; 0 gives nobody up.
    objective, hopeless
        See :class:`~multispin_gym.baselines.estimators.deadline_rule.DeadlineRule`.
    """
    temperature = check_number("temperature", temperature, low=0.0, high=_MOST, low_open=True)
    speed_up = check_number("speed_up", speed_up, low=0.0, high=_MOST, low_open=True)
    power = check_number("power", power, low=0.0, high=_MOST)
    threshold = check_number("threshold", threshold, low=0.0, high=_MOST)
    least = threshold * worth_of_newcomer(scenario)

    def weigh(pending: Pending, cell: Cell) -> tuple[FloatArray, BoolArray]:
        chance = fair_chance(pending, cell, speed_up, temperature)
        left = np.maximum(pending.remaining, 1.0)
        return pending.value / left**power * chance, unworthy(pending, chance, least)

    return DeadlineRule(scenario, weigh, objective=objective, hopeless=hopeless)


def fair_chance(pending: Pending, cell: Cell, speed_up: float, temperature: float) -> FloatArray:
    """Return :func:`chance_on_time` at so many times the rates that proportional fairness gives.

    Parameters
    ----------
    pending
        The requests. Shape (N, K).
    cell
        The shared system.
    speed_up
        What the rates are multiplied with.
    temperature
        Width of the step in logarithms of rates.

    Returns
    -------
    numpy.ndarray
        Chances in (0, 1). Shape (N, K).
    """
    fair = decide_present(heterogeneous, pending.users, cell, _FAIR)
    return chance_on_time(pending, speed_up * rates_of(pending.users, cell, fair), temperature)


def chance_on_time(pending: Pending, rate: FloatArray, temperature: float) -> FloatArray:
    """Return a smooth step of being on time at given rates: one half where they just suffice.

    Parameters
    ----------
    pending
        The requests. Shape (N, K).
    rate
        Token/s. Shape (N, K).
    temperature
        Width of the step in logarithms of rates.

    Returns
    -------
    numpy.ndarray
        Chances in (0, 1). Shape (N, K).
    """
    with np.errstate(divide="ignore"):
        reach = np.log(rate * pending.time_left / np.maximum(pending.remaining, 1.0))
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(reach / temperature, -_SURE, _SURE))))


def unworthy(pending: Pending, chance: FloatArray, least: float) -> BoolArray:
    """Return whose tokens are worth too little to keep others waiting.

    Parameters
    ----------
    pending
        The requests. Shape (N, K).
    chance
        Chances of being on time. Shape (N, K).
    least
        What a token has to be worth where somebody waits.

    Returns
    -------
    numpy.ndarray
        Whose are. Shape (N, K).
    """
    worth = pending.value / np.maximum(pending.remaining, 1.0) * chance
    return np.asarray(pending.present & (worth < least) & (pending.waiting[..., None] > 0.0))


def worth_of_newcomer(scenario: Scenario) -> float:
    """Return what a token of a request of mean length is worth that is sure to be on time; 0 without requests."""
    clock = scenario.clock
    if clock is None or clock.requests is None:
        return 0.0
    return 1.0 if clock.reward == "tokens_on_time" else 1.0 / clock.requests.mean_length
