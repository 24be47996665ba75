"""Rollout: every base rule is played out in the fluid model of the cell, and the best one decides the round."""

from __future__ import annotations

import itertools

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_integer, check_number
from multispin_gym.baselines.estimators.course import Base, Course
from multispin_gym.baselines.estimators.deadline_rule import DeadlineRule
from multispin_gym.baselines.estimators.machine import Machine, full_rates
from multispin_gym.baselines.estimators.pending import Pending, rates_alone
from multispin_gym.physics.cell import Cell
from multispin_gym.scenarios.scenario import Scenario

_MOST = 1000.0
# By how much one rule must earn more than another to be preferred.
_MARGIN = 1e-9
# Powers of the share of the cell that a request needs and of the tokens left, by which base rules weigh.
POWERS = ((0.0, 0.0), (1.0, 0.0), (0.0, -1.0))
# Where they hold a request to be hopeless: the share of the rate alone that would be needed.
HOPELESS = (np.inf, 0.75, 0.5, 0.35)
# Where they hold a request to be too long while others wait: tokens left for its value, over those of newcomers.
LONGEST = (np.inf, 2.0, 1.4, 1.0, 0.7)
# Where nobody can be given up, who would be has this part of the weight.
_PARKED = 1e-3


def bases_of(scenario: Scenario) -> tuple[Base, ...]:
    """The base rules. Where nobody can be given up, nobody is made room for, and the hopeless are passed over."""
    if scenario.clock is not None and scenario.clock.admission:
        found = itertools.product(POWERS, HOPELESS, LONGEST)
        return tuple(Base(*powers, hopeless, longest, 0.0) for powers, hopeless, longest in found)
    return tuple(Base(*powers, hopeless, np.inf, _PARKED) for powers in POWERS for hopeless in HOPELESS[:2])


def deadline_rollout(
    scenario: Scenario,
    *,
    horizon: float = 20.0,
    steps: int = 12,
    temperature: float = 0.3,
    caution: float = 0.3,
    objective: str = "proportional_fair",
) -> DeadlineRule:
    """One step of policy improvement over several base rules at once, open loop.

    Parallel rollout (Chang, Givan and Chong, Discrete Event Dynamic Systems 14, 2004; rollout: Bertsekas and Castanon,
    J. Heuristics 5, 1999). A base rule weighs by powers of the share that a request needs and of the tokens that it has
    left, and gives up what needs more than some share of the rate alone or, where somebody waits, has too many tokens
    left for its value. Each is followed to a horizon in the fluid model of the cell, where newcomers come at their mean
    rate; the round is decided by the one that earns most. A request that ends a time t after now counts with
    ``1 / (1 + (t / time to its deadline)**(1 / temperature))``.

    Parameters
    ----------
    scenario
        The scenario.
    horizon
        Seconds; in (0, 1000].
    steps
        Most events of a course, 1 to 1000; what is under way then is paid by its odds.
    temperature
        Width of the step at the deadline in logarithms of time; in (0, 1000].
    caution
        What giving a request up must gain, over its value; in [0, 1000].
    objective
        The objective that the weights of the round stand in: ``"sum"`` or ``"proportional_fair"``.
    """
    horizon = check_number("horizon", horizon, low=0.0, high=_MOST, low_open=True)
    steps = check_integer("steps", steps, low=1, high=int(_MOST))
    temperature = check_number("temperature", temperature, low=0.0, high=_MOST, low_open=True)
    caution = check_number("caution", caution, low=0.0, high=_MOST)
    machine = Machine.of(scenario)
    bases = bases_of(scenario)

    def weigh(pending: Pending, cell: Cell) -> tuple[FloatArray, BoolArray]:
        full, alone = full_rates(pending, cell), rates_alone(pending.users, cell)
        course = Course.begin(pending, machine, full, alone, bases, horizon)
        weights, gone = course.decide()
        price = caution * np.where(gone, course.value, 0.0).sum(axis=-1)
        earned = (course.play_out(steps, temperature) - price).reshape(len(bases), -1)
        # The first of those that earn most, but for rounding.
        best = np.argmax(earned >= earned.max(axis=0) - _MARGIN, axis=0)
        weights, gone = (
            array.reshape(len(bases), *full.shape)[best, np.arange(len(best))] for array in (weights, gone)
        )
        return weights, gone

    return DeadlineRule(scenario, weigh, objective=objective, hopeless=np.inf)
