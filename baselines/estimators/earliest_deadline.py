"""Earliest deadline first, softly: the more urgent a request, the more its tokens weigh."""

from __future__ import annotations

import math

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_choice, check_number
from multispin_gym.baselines.estimators.deadline_rule import DeadlineRule, nobody
from multispin_gym.baselines.estimators.pending import Pending, rates_alone
from multispin_gym.physics.cell import Cell
from multispin_gym.scenarios.scenario import Scenario

ORDERS = ("deadline", "laxity")


def earliest_deadline(
    scenario: Scenario,
    *,
    decay: float = 0.7,
    by: str = "deadline",
    objective: str = "sum",
    hopeless: float = math.inf,
) -> DeadlineRule:
    """Weights ``decay**rank``, in the order of deadlines or of laxity (Liu and Layland, J. ACM 20, 1973; Mok, 1983).

    On one machine that can be interrupted the earliest deadline first is late only where everything is. A round serves
    all at once, so that here the order decides how much they weigh. The laxity of a request is the time to its deadline
    less what it would take alone in the cell.

    Parameters
    ----------
    scenario
        The scenario.
    decay
        Weight of a request over that of the one before it; in (0, 1].
    by
        ``"deadline"`` or ``"laxity"``.
    objective, hopeless
        See :class:`~multispin_gym.baselines.estimators.deadline_rule.DeadlineRule`.
    """
    decay = check_number("decay", decay, low=0.0, high=1.0, low_open=True)
    check_choice("by", by, ORDERS)

    def weigh(pending: Pending, cell: Cell) -> tuple[FloatArray, BoolArray]:
        left = pending.time_left
        if by == "laxity":
            left = left - pending.remaining / rates_alone(pending.users, cell)
        order = np.argsort(np.where(pending.present, left, np.inf), axis=-1, kind="stable")
        return np.asarray(decay ** np.argsort(order, axis=-1)), nobody(pending)

    return DeadlineRule(scenario, weigh, objective=objective, hopeless=hopeless)
