"""Shortest request first, softly: tokens weigh the more, the fewer are left of their request."""

from __future__ import annotations

import math

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_number
from multispin_gym.baselines.estimators.deadline_rule import DeadlineRule, nobody
from multispin_gym.baselines.estimators.pending import Pending
from multispin_gym.physics.cell import Cell
from multispin_gym.scenarios.scenario import Scenario

_MOST = 10.0


def shortest_first(
    scenario: Scenario, *, power: float = 1.0, objective: str = "sum", hopeless: float = math.inf
) -> DeadlineRule:
    """Weights ``remaining tokens**-power`` (shortest remaining time first: Schrage, Operations Research 16, 1968).

    A token of a request with m left is an m-th of a finished request. With a power of 0 all requests weigh the same,
    and what is left of the rule is whom it gives up.

    Parameters
    ----------
    scenario
        The scenario.
    power
        In [0, 10].
    objective, hopeless
        See :class:`~multispin_gym.baselines.estimators.deadline_rule.DeadlineRule`.
    """
    power = check_number("power", power, low=0.0, high=_MOST)

    def weigh(pending: Pending, cell: Cell) -> tuple[FloatArray, BoolArray]:
        return np.maximum(pending.remaining, 1.0) ** -power, nobody(pending)

    return DeadlineRule(scenario, weigh, objective=objective, hopeless=hopeless)


def equal_weights(
    scenario: Scenario, *, objective: str = "proportional_fair", hopeless: float = math.inf
) -> DeadlineRule:
    """All requests weigh the same, and hopeless ones are given up: the simplest use of admission.

    Parameters
    ----------
    scenario
        The scenario.
    objective, hopeless
        See :class:`~multispin_gym.baselines.estimators.deadline_rule.DeadlineRule`.
    """
    return shortest_first(scenario, power=0.0, objective=objective, hopeless=hopeless)
