"""Rules for all at once: old reports and cut-offs, hidden rates, and requests with deadlines.

What is believed of channels and of acceptance rates comes from their filters, and what a token is worth from the index
of its request: the value of the request over the tokens that are left, to a power, times the chance of being on time.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray, check_number
from multispin_gym.baselines.estimators.backoff import ChannelQuantile
from multispin_gym.baselines.estimators.beliefs import Seen, Weights
from multispin_gym.baselines.estimators.deadline_rule import LEAST_WEIGHT
from multispin_gym.baselines.estimators.pending import pending_requests
from multispin_gym.baselines.estimators.request_index import fair_chance
from multispin_gym.baselines.estimators.stochastic_programme import StochasticProgramme
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

_MOST = 100.0


def index_weights(scenario: Scenario, power: float, temperature: float, speed_up: float) -> Weights:
    """Return what weighs requests by their index, relative to the largest of the cell.

    Chances are those of the users as the rule believes them to be.

    Parameters
    ----------
    scenario
        The scenario.
    power
        Power of the tokens left, in [0, 100]; 0 leaves them out.
    temperature, speed_up
        See :func:`multispin_gym.baselines.estimators.request_index.request_index`.

    Returns
    -------
    Weights
        A function of what is observed and believed.

    Raises
    ------
    ValueError
        If an option is out of range.
    """
    power = check_number("power", power, low=0.0, high=_MOST)
    temperature = check_number("temperature", temperature, low=0.0, high=_MOST, low_open=True)
    speed_up = check_number("speed_up", speed_up, low=0.0, high=_MOST, low_open=True)

    def weigh(seen: Seen, users: Users) -> FloatArray:
        pending = pending_requests(scenario, seen, users)
        chance = fair_chance(pending, scenario.cell, speed_up, temperature)
        worth = np.where(pending.present, pending.value / np.maximum(pending.remaining, 1.0) ** power * chance, 0.0)
        most = worth.max(axis=-1, keepdims=True)
        return np.asarray(np.maximum(worth / np.where(most > 0.0, most, 1.0), LEAST_WEIGHT))

    return weigh


def index_quantile(
    scenario: Scenario,
    *,
    level: float = 0.15,
    cutoff: float = 1.2,
    power: float = 0.5,
    temperature: float = 0.5,
    speed_up: float = 1.0,
    objective: str = "sum",
    belief: str = "posterior",
) -> ChannelQuantile:
    """``channel_quantile`` with tokens that weigh as :func:`index_weights` says (standard: outage level, index)."""
    weights = index_weights(scenario, power, temperature, speed_up)
    return ChannelQuantile(scenario, level, cutoff, objective, belief, weights)


def index_programme(
    scenario: Scenario,
    *,
    price: float = 1.0,
    power: float = 0.5,
    temperature: float = 0.5,
    speed_up: float = 1.0,
    objective: str = "sum",
    belief: str = "posterior",
) -> StochasticProgramme:
    """``stochastic_programme`` of each round, with tokens that weigh as :func:`index_weights` says."""
    weights = index_weights(scenario, power, temperature, speed_up)
    return StochasticProgramme(scenario, objective, "round", price, belief, weights)
