"""Rules for all at once: old reports and cut-offs, hidden rates, and requests with deadlines.

What is believed of channels and of acceptance rates comes from their filters, and what a token is worth from the index
of its request: the value of the request over the tokens that are left, to a power, times the chance of being on time.
"""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_number
from multispin_gym.baselines.estimators.backoff import ChannelQuantile
from multispin_gym.baselines.estimators.beliefs import Seen, Weights, present_in
from multispin_gym.baselines.estimators.believing import Believer
from multispin_gym.baselines.estimators.deadline_rule import LEAST_WEIGHT
from multispin_gym.baselines.estimators.estimator import Estimator
from multispin_gym.baselines.estimators.pending import pending_requests
from multispin_gym.baselines.estimators.request_index import fair_chance, unworthy, worth_of_newcomer
from multispin_gym.baselines.estimators.stochastic_programme import StochasticProgramme
from multispin_gym.physics.decisions import Decision
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


class GivingUp(Estimator):
    """A rule for those who are not given up: who is, where somebody waits, is worth less than a newcomer would be.

    What a token is worth is the value of its request over the tokens that are left, times the chance of being on time.

    Parameters
    ----------
    scenario
        The scenario, whose clock has ``admission``.
    rule
        What decides for all others, as if they were alone.
    threshold
        Who is worth less than so many times a newcomer of mean length is given up; in [0, 100].
    temperature, speed_up
        See :func:`multispin_gym.baselines.estimators.request_index.request_index`.
    belief
        What is believed of hidden acceptance rates, see :class:`Believer`.
    """

    def __init__(
        self, scenario: Scenario, rule: Estimator, threshold: float, temperature: float, speed_up: float, belief: str
    ) -> None:
        self._scenario, self._rule, self._believer = scenario, rule, Believer(scenario, belief)
        self._least = threshold * worth_of_newcomer(scenario)
        self._temperature, self._speed_up = temperature, speed_up

    def _reset(self, observation: Seen, info: Seen, rows: BoolArray | None) -> None:
        self._rule.reset(observation, info, rows)
        self._believer.reset(observation, rows)

    def _decide(self, observation: Seen, info: Seen) -> Decision:
        pending = pending_requests(self._scenario, observation, self._believer.users(observation))
        chance = fair_chance(pending, self._scenario.cell, self._speed_up, self._temperature)
        gone = unworthy(pending, chance, self._least)
        decided = self._rule.decide({**observation, "present": present_in(observation) & ~gone}, info)
        return Decision.trusted(decided.draft_lengths, decided.bandwidth_shares, decided.cutoff, gone)


def _with_admission(
    scenario: Scenario, rule: Estimator, threshold: float, temperature: float, speed_up: float, belief: str
) -> Estimator:
    """The rule, which gives requests up where there is a threshold and it can be decided."""
    threshold = check_number("threshold", threshold, low=0.0, high=_MOST)
    admits = scenario.clock is not None and scenario.clock.admission
    if threshold == 0.0 or not admits:
        return rule
    return GivingUp(scenario, rule, threshold, temperature, speed_up, belief)


def index_quantile(
    scenario: Scenario,
    *,
    level: float = 0.15,
    cutoff: float = 1.2,
    power: float = 0.5,
    temperature: float = 0.5,
    speed_up: float = 1.0,
    threshold: float = 0.0,
    objective: str = "sum",
    belief: str = "posterior",
) -> Estimator:
    """``channel_quantile`` with tokens that weigh as :func:`index_weights` says (standard: outage level, index).

    Where the clock has ``admission``, requests are given up by :class:`GivingUp`; with a threshold of 0 nobody is.
    """
    weights = index_weights(scenario, power, temperature, speed_up)
    rule = ChannelQuantile(scenario, level, cutoff, objective, belief, weights)
    return _with_admission(scenario, rule, threshold, temperature, speed_up, belief)


def index_programme(
    scenario: Scenario,
    *,
    price: float = 1.0,
    power: float = 0.5,
    temperature: float = 0.5,
    speed_up: float = 1.0,
    threshold: float = 0.0,
    objective: str = "sum",
    belief: str = "posterior",
) -> Estimator:
    """``stochastic_programme`` of each round, with tokens that weigh as :func:`index_weights` says.

    Where the clock has ``admission``, requests are given up by :class:`GivingUp`; with a threshold of 0 nobody is.
    """
    weights = index_weights(scenario, power, temperature, speed_up)
    rule = StochasticProgramme(scenario, objective, "round", price, belief, weights)
    return _with_admission(scenario, rule, threshold, temperature, speed_up, belief)
