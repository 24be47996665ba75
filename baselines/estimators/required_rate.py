"""Tokens weigh as much as the rate that their request needs to be on time."""

from __future__ import annotations

import math

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_number
from multispin_gym.baselines.estimators.deadline_rule import DeadlineRule, nobody
from multispin_gym.baselines.estimators.pending import Pending
from multispin_gym.physics.cell import Cell
from multispin_gym.scenarios.scenario import Scenario

# Seconds to a deadline below which a request is not more urgent.
_SOON = 1e-3
_MOST = 10.0


def required_rate(
    scenario: Scenario, *, exponent: float = 1.0, objective: str = "proportional_fair", hopeless: float = math.inf
) -> DeadlineRule:
    """Weights ``(remaining tokens / time to the deadline)**exponent``, as in processor sharing by deadlines.

    With proportional fairness, where everybody's share goes with the weight, all requests of equal rates alone come to
    their deadlines together (standard in the scheduling of jobs that can be shared, such as deadline-driven processor
    sharing).

    Parameters
    ----------
    scenario
        The scenario.
    exponent
        In [0, 10]; 0 weighs all requests alike.
    objective, hopeless
        See :class:`~multispin_gym.baselines.estimators.deadline_rule.DeadlineRule`.
    """
    exponent = check_number("exponent", exponent, low=0.0, high=_MOST)

    def weigh(pending: Pending, cell: Cell) -> tuple[FloatArray, BoolArray]:
        rate = np.maximum(pending.remaining, 1.0) / np.maximum(pending.time_left, _SOON)
        return rate**exponent, nobody(pending)

    return DeadlineRule(scenario, weigh, objective=objective, hopeless=hopeless)
