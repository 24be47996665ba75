"""The open-loop plan: whom the cell can serve on time if all goes as expected, and the shares that this takes."""

from __future__ import annotations

import math

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_flag, check_number
from multispin_gym.baselines.estimators.deadline_rule import DeadlineRule
from multispin_gym.baselines.estimators.machine import Machine, full_rates
from multispin_gym.baselines.estimators.pending import Pending
from multispin_gym.physics.cell import Cell
from multispin_gym.scenarios.scenario import Scenario

_MOST = 100.0
# Seconds to a deadline below which a request is not more urgent.
_SOON = 1e-3


def most_on_time(work: FloatArray, due: FloatArray, value: FloatArray) -> BoolArray:
    """Choose jobs of one machine, which can be interrupted, that all end by their deadlines.

    Moore's algorithm (Management Science 15, 1968, with Hodgson): take jobs in the order of their deadlines, and
    whenever one would be late drop the job, among those taken, that takes longest for its value. With equal values the
    set is as large as any that ends on time; with others it is a heuristic.

    Parameters
    ----------
    work
        Seconds that each job takes. Shape (N, M).
    due
        Seconds to its deadline. Shape (N, M).
    value
        What it is worth; 0 for who is not there. Shape (N, M).

    Returns
    -------
    numpy.ndarray
        Who is chosen. Shape (N, M).
    """
    order = np.argsort(due, axis=-1, kind="stable")
    work, due, value = (np.take_along_axis(array, order, axis=-1) for array in (work, due, value))
    there = value > 0.0
    cost = np.where(there, work / np.where(there, value, 1.0), 0.0)
    taken, spent = np.zeros(work.shape, dtype=np.bool_), np.zeros(len(work))
    rows = np.arange(len(work))
    for job in range(work.shape[-1]):
        taken[:, job] = there[:, job]
        spent += np.where(there[:, job], work[:, job], 0.0)
        late = taken[:, job] & (spent > due[:, job])
        worst = np.argmax(np.where(taken, cost, -1.0), axis=-1)
        taken[rows[late], worst[late]] = False
        spent[late] -= work[rows[late], worst[late]]
    chosen = np.zeros_like(taken)
    np.put_along_axis(chosen, order, taken, axis=-1)
    return chosen


def planned(pending: Pending, full: FloatArray, machine: Machine, speed_up: float, crowd: float) -> BoolArray:
    """Return whom a plan serves on time that also counts those who wait.

    Parameters
    ----------
    pending
        The requests. Shape (N, K).
    full
        Rates with the whole machine, token/s. Shape (N, K).
    machine
        What newcomers are like.
    speed_up
        What the rates are multiplied with.
    crowd
        Share of those who wait, up to K of them, that compete as requests of mean slack.

    Returns
    -------
    numpy.ndarray
        Who is served. Shape (N, K).
    """
    places = pending.remaining.shape[-1]
    number = np.count_nonzero(pending.present, axis=-1)
    shape = pending.remaining.shape
    turns = np.arange(places) % len(machine.lengths)
    typical = machine.lengths[turns] / (speed_up * machine.typical[number][:, None])
    due, value = (np.broadcast_to(array[turns], shape) for array in (machine.times_left, machine.values))
    there = np.arange(places) < np.floor(crowd * pending.waiting)[:, None]
    rate = np.where(full > 0.0, speed_up * full, 1.0)
    chosen = most_on_time(
        np.concatenate([pending.remaining / rate, typical], axis=-1),
        np.concatenate([pending.time_left, due], axis=-1),
        np.concatenate([np.where(pending.present, pending.value, 0.0), np.where(there, value, 0.0)], axis=-1),
    )
    return chosen[:, :places]


def open_loop_planner(
    scenario: Scenario,
    *,
    speed_up: float = 1.0,
    crowd: float = 1.0,
    exponent: float = 1.0,
    rest: float = 0.1,
    always: bool = False,
    objective: str = "proportional_fair",
    hopeless: float = math.inf,
) -> DeadlineRule:
    """Serve the largest set that a plan brings home on time; of that set, who needs a larger share of the cell gets it.

    Rates are those of a proportionally fair round, as if all went on as now (certainty equivalence, open loop); the set
    is Moore's. Weights are the shares of the cell that requests need, ``remaining / (rate x time to the deadline)``. Of
    the others those whose place somebody waits for are given up; the rest go on with a part of their weight, since the
    plan may be wrong.

    Parameters
    ----------
    scenario
        The scenario.
    speed_up
        What the rates are multiplied with in the plan; in (0, 100].
    crowd
        Share of those who wait that compete for the cell in the plan; in [0, 100].
    exponent
        Power of the share that is needed; in [0, 100].
    rest
        Part of its weight that a request outside of the plan keeps; in [0, 1].
    always
        Whether requests outside of the plan are given up even where nobody waits.
    objective, hopeless
        See :class:`~multispin_gym.baselines.estimators.deadline_rule.DeadlineRule`.
    """
    speed_up = check_number("speed_up", speed_up, low=0.0, high=_MOST, low_open=True)
    crowd = check_number("crowd", crowd, low=0.0, high=_MOST)
    exponent = check_number("exponent", exponent, low=0.0, high=_MOST)
    rest = check_number("rest", rest, low=0.0, high=1.0)
    always = check_flag("always", always)
    machine = Machine.of(scenario)

    def weigh(pending: Pending, cell: Cell) -> tuple[FloatArray, BoolArray]:
        full = full_rates(pending, cell)
        served = planned(pending, full, machine, speed_up, crowd)
        weights = needed_share(pending, full) ** exponent
        return np.where(served, weights, rest * weights), ~served & (always | (pending.waiting[..., None] > 0.0))

    return DeadlineRule(scenario, weigh, objective=objective, hopeless=hopeless)


def needed_share(pending: Pending, full: FloatArray) -> FloatArray:
    """Return the share of the cell that each request needs to be on time.

    Parameters
    ----------
    pending
        The requests. Shape (N, K).
    full
        Rates with the whole machine, token/s. Shape (N, K).

    Returns
    -------
    numpy.ndarray
        Shares, which may be above 1. Shape (N, K).
    """
    rate = np.where(full > 0.0, full, 1.0)
    return np.asarray(np.maximum(pending.remaining, 1.0) / (rate * np.maximum(pending.time_left, _SOON)))
