"""Rollout: every base rule is played out in the fluid model of the cell, and the best one decides the round."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, check_integer, check_number
from multispin_gym.baselines.estimators.deadline_rule import DeadlineRule
from multispin_gym.baselines.estimators.fluid import Machine, full_rates
from multispin_gym.baselines.estimators.open_loop_planner import needed_share, planned
from multispin_gym.baselines.estimators.pending import Pending
from multispin_gym.physics.cell import Cell
from multispin_gym.scenarios.scenario import Scenario

_MOST = 1000.0
# Logarithms of odds beyond which a request is as good as lost, or as safe.
_SURE = 60.0
# Seconds and tokens below which nothing is left.
_LITTLE = 1e-9
# Powers of the share that is needed and of the tokens left, by which the base rules weigh.
POWERS = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.0), (0.0, -1.0), (0.5, -1.0), (0.0, -2.0))


@dataclass(eq=False)
class Course:
    """Cells on the course that a base rule takes them. Shapes (N, K) unless said otherwise.

    Parameters
    ----------
    there
        Whose place is taken.
    remaining, time_left, value
        As of :class:`~multispin_gym.baselines.estimators.pending.Pending`.
    allowed
        Seconds from the beginning to the deadline, or from when a newcomer took the place.
    full
        Rates with the whole machine where one is present, in relation to the table of typical rates.
    waiting
        Who waits; parts of requests, too. Shape (N,).
    left
        Seconds of the horizon that are left. Shape (N,).
    gained
        What has been earned. Shape (N,).
    """

    there: BoolArray
    remaining: FloatArray
    time_left: FloatArray
    value: FloatArray
    allowed: FloatArray
    full: FloatArray
    waiting: FloatArray
    left: FloatArray
    gained: FloatArray

    def rates(self, machine: Machine, weights: FloatArray) -> FloatArray:
        """Rates by shares of the machine, token/s. Shape (N, K)."""
        weights = np.where(self.there, weights, 0.0)
        total = weights.sum(axis=-1, keepdims=True)
        number = np.count_nonzero(self.there, axis=-1)
        return weights / np.where(total > 0.0, total, 1.0) * self.full * machine.typical[number][:, None]

    def weights(self, machine: Machine, needed_power: float, left_power: float) -> FloatArray:
        """Weights of a base rule, as far as the machine sees them. Shape (N, K)."""
        number = np.count_nonzero(self.there, axis=-1)
        full = np.where(self.there, self.full * machine.typical[number][:, None], 1.0)
        left = np.maximum(self.remaining, 1.0)
        return (left / (full * np.maximum(self.time_left, 1e-3))) ** needed_power * left**left_power

    def pay(self, ends: BoolArray, after: FloatArray, temperature: float) -> None:
        """Pay for requests that end so long after now: the odds that they are on time. Shapes (N, K)."""
        late = self.allowed - self.time_left + after
        with np.errstate(divide="ignore"):
            reach = np.log(self.allowed) - np.log(np.maximum(late, _LITTLE))
        odds = 1.0 / (1.0 + np.exp(-np.clip(reach / temperature, -_SURE, _SURE)))
        self.gained += np.where(ends & self.there, self.value * odds, 0.0).sum(axis=-1)

    def step(self, machine: Machine, rates: FloatArray, temperature: float) -> None:
        """Go on to the next request that ends or is late, or to the horizon, and let those in who wait."""
        busy = np.where(rates > 0.0, rates, 1.0)
        ends = np.where(self.there & (rates > 0.0), self.remaining / busy, np.inf)
        event = np.minimum(ends, np.where(self.there, np.maximum(self.time_left, 0.0), np.inf)).min(axis=-1)
        span = np.minimum(event, self.left)
        self.remaining = self.remaining - rates * span[:, None]
        self.time_left = self.time_left - span[:, None]
        self.left, self.waiting = self.left - span, self.waiting + machine.arrivals * span
        done = self.there & ((self.remaining <= _LITTLE) | (self.time_left <= _LITTLE)) & (span < np.inf)[:, None]
        after = np.where(rates > 0.0, np.maximum(self.remaining, 0.0) / busy, np.inf)
        self.pay(done, np.where(np.isfinite(after), after, 1e9), temperature)
        self.there = self.there & ~done
        self.enter(machine)

    def enter(self, machine: Machine) -> None:
        """Let whole requests that wait take free places."""
        free = ~self.there
        come = free & (np.cumsum(free, axis=-1) <= np.floor(self.waiting)[:, None])
        self.waiting = self.waiting - come.sum(axis=-1)
        self.there = self.there | come
        self.remaining = np.where(come, machine.length, self.remaining)
        self.time_left = np.where(come, machine.time_left, self.time_left)
        self.allowed = np.where(come, machine.time_left, self.allowed)
        self.value = np.where(come, machine.value, self.value)
        self.full = np.where(come, 1.0, self.full)


def begin(pending: Pending, machine: Machine, full: FloatArray, gone: BoolArray, horizon: float) -> Course:
    """Begin a course after some requests have been given up."""
    number = np.count_nonzero(pending.present, axis=-1)
    course = Course(
        pending.present & ~gone,
        pending.remaining,
        pending.time_left,
        pending.value,
        pending.time_left,
        full / machine.typical[number][:, None],
        pending.waiting,
        np.full(len(full), horizon),
        np.zeros(len(full)),
    )
    course.enter(machine)
    return course


def play_out(
    course: Course, machine: Machine, powers: tuple[float, float], steps: int, temperature: float
) -> FloatArray:
    """Return what is earned if a base rule goes on to the horizon, those paid for who are under way then.

    Shape (N,).
    """
    for _ in range(steps):
        if not ((course.left > 0.0) & course.there.any(axis=-1)).any():
            break
        course.step(machine, course.rates(machine, course.weights(machine, *powers)), temperature)
    rates = course.rates(machine, course.weights(machine, *powers))
    after = np.where(rates > 0.0, course.remaining / np.where(rates > 0.0, rates, 1.0), 1e9)
    course.pay(course.there, after, temperature)
    return course.gained


def deadline_rollout(
    scenario: Scenario,
    *,
    horizon: float = 20.0,
    steps: int = 12,
    temperature: float = 0.3,
    speed_up: float = 1.0,
    crowd: float = 1.0,
    objective: str = "proportional_fair",
    hopeless: float = math.inf,
) -> DeadlineRule:
    """One step of policy improvement over several base rules at once, open loop.

    Parallel rollout (Chang, Givan and Chong, Discrete Event Dynamic Systems 14, 2004; rollout: Bertsekas and Castanon,
    J. Heuristics 5, 1999): each base rule, with and without giving up those outside of the open-loop plan, is followed
    to a horizon in the fluid model of the cell, where newcomers have mean lengths and come at their mean rate. The
    round is decided by the rule that earns most. A request that ends a time t after now counts with
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
    speed_up, crowd
        Of the plan; see ``open_loop_planner``.
    objective, hopeless
        See :class:`~multispin_gym.baselines.estimators.deadline_rule.DeadlineRule`.
    """
    horizon = check_number("horizon", horizon, low=0.0, high=_MOST, low_open=True)
    steps = check_integer("steps", steps, low=1, high=int(_MOST))
    temperature = check_number("temperature", temperature, low=0.0, high=_MOST, low_open=True)
    speed_up = check_number("speed_up", speed_up, low=0.0, high=_MOST, low_open=True)
    crowd = check_number("crowd", crowd, low=0.0, high=_MOST)
    machine = Machine.of(scenario)

    def weigh(pending: Pending, cell: Cell) -> tuple[FloatArray, BoolArray]:
        full = full_rates(pending, cell)
        outside = ~planned(pending, full, machine, speed_up, crowd) & pending.present
        needed, left = needed_share(pending, full), np.maximum(pending.remaining, 1.0)
        best = np.full(len(left), -np.inf)
        weights, gone = np.ones(left.shape), np.zeros(left.shape, dtype=np.bool_)
        for leaving in (np.zeros_like(outside), outside):
            for powers in POWERS:
                course = begin(pending, machine, full, leaving, horizon)
                earned = play_out(course, machine, powers, steps, temperature)
                better = earned > best + _LITTLE
                best = np.where(better, earned, best)
                weights[better] = (needed ** powers[0] * left ** powers[1])[better]
                gone[better] = leaving[better]
        return weights, gone

    return DeadlineRule(scenario, weigh, objective=objective, hopeless=hopeless)
