"""Courses of cells in the fluid model: who ends when, if a base rule goes on deciding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray
from multispin_gym.baselines.estimators.machine import Machine
from multispin_gym.baselines.estimators.pending import Pending

# Logarithms of odds beyond which a request is as good as lost, or as safe.
_SURE = 60.0
# Seconds and tokens below which nothing is left.
_LITTLE = 1e-9
# Seconds to a deadline below which a request is not more urgent.
_SOON = 1e-3
_NEVER = 1e9
# Of a newcomer's time, what may be gone when it takes a place.
_MOST_WAITED = 0.8


class Base(NamedTuple):
    """A base rule: the weights ``needed share**needed x tokens left**left``, and what it gives up.

    Parameters
    ----------
    needed, left
        The powers.
    hopeless
        A request is given up that needs more than this share of its rate alone.
    longest
        A request with more tokens left for its value than so many newcomers is given up where somebody waits.
    parked
        Part of the weight that it keeps instead; 0 where it leaves its place.
    """

    needed: float
    left: float
    hopeless: float
    longest: float
    parked: float


class Course:
    """Cells on the courses that base rules take them: a row for each base and cell, in this order.

    Shapes are (M, K) unless said otherwise.

    Parameters
    ----------
    machine
        What the fluid model knows.
    bases
        The base rules, a column for each of their numbers. Shape (M, 5).
    horizon
        Seconds.
    there
        Whose place is taken.
    remaining, time_left, value
        As of :class:`~multispin_gym.baselines.estimators.pending.Pending`.
    full
        Full rates over the table of typical ones.
    alone
        Rates alone, token/s.
    waiting
        Who waits; parts of requests, too. Shape (M,).
    """

    def __init__(
        self,
        machine: Machine,
        bases: FloatArray,
        horizon: float,
        there: BoolArray,
        remaining: FloatArray,
        time_left: FloatArray,
        value: FloatArray,
        full: FloatArray,
        alone: FloatArray,
        waiting: FloatArray,
    ) -> None:
        self._machine, self._bases = machine, bases
        self.there, self.remaining, self.time_left, self.value = there, remaining, time_left, value
        self.allowed = time_left
        self.full, self.alone, self.waiting = full, alone, waiting
        self.left = np.full(len(there), horizon)
        self.gained = np.zeros(len(there))
        self._came = np.zeros(len(there), dtype=np.int64)

    @classmethod
    def begin(
        cls,
        pending: Pending,
        machine: Machine,
        full: FloatArray,
        alone: FloatArray,
        bases: Sequence[Base],
        horizon: float,
    ) -> Course:
        """Begin the courses of all bases in all cells. Shapes: ``full`` and ``alone``, token/s, (N, K)."""
        number = np.count_nonzero(pending.present, axis=-1)
        relative = full / machine.typical[number][:, None]
        cells = (pending.present, pending.remaining, pending.time_left, pending.value, relative, alone, pending.waiting)
        copies: list[Any] = [np.concatenate([array] * len(bases)) for array in cells]
        columns = np.repeat(np.minimum(np.array(bases), _NEVER), len(full), axis=0)
        return cls(machine, columns, horizon, *copies)

    def _full(self) -> FloatArray:
        """Full rates for as many as are there, token/s."""
        number = np.count_nonzero(self.there, axis=-1)
        return np.asarray(self.full * self._machine.typical[number][:, None])

    def decide(self) -> tuple[FloatArray, BoolArray]:
        """Weights, and who is given up, as the bases have it now."""
        needed, left, hopeless, longest, parked = (column[:, None] for column in self._bases.T)
        full = np.where(self.full > 0.0, self._full(), 1.0)
        tokens, seconds = np.maximum(self.remaining, 1.0), np.maximum(self.time_left, _SOON)
        weights = (tokens / (full * seconds)) ** needed * tokens**left
        late = tokens > hopeless * self.alone * seconds
        long = (tokens > longest * self._machine.tokens_per_value * self.value) & (self.waiting >= 1.0)[:, None]
        gone = self.there & (late | long)
        return np.where(gone, parked * weights, weights), gone & (parked == 0.0)

    def _rates(self) -> FloatArray:
        """Rates by shares of the machine, token/s, after those who are given up have left."""
        weights, gone = self.decide()
        self.there = self.there & ~gone
        weights = np.where(self.there, weights, 0.0)
        total = weights.sum(axis=-1, keepdims=True)
        return weights / np.where(total > 0.0, total, 1.0) * self._full()

    def _pay(self, ends: BoolArray, after: FloatArray, temperature: float) -> None:
        """Pay for requests that end so long after now: the odds that they are on time."""
        late = np.maximum(self.allowed - self.time_left + after, _LITTLE)
        reach = np.log(np.maximum(self.allowed, _LITTLE)) - np.log(late)
        odds = 1.0 / (1.0 + np.exp(-np.clip(reach / temperature, -_SURE, _SURE)))
        self.gained += np.where(ends, self.value * odds, 0.0).sum(axis=-1)

    def _after(self, rates: FloatArray) -> FloatArray:
        """Seconds that requests take from now on."""
        going = self.there & (rates > 0.0)
        return np.where(going, np.maximum(self.remaining, 0.0) / np.where(going, rates, 1.0), _NEVER)

    def _step(self, temperature: float) -> None:
        """Go on to the next request that ends or is late, or to the horizon, and let those in who wait."""
        rates = self._rates()
        event = np.minimum(self._after(rates), np.where(self.there, np.maximum(self.time_left, 0.0), _NEVER))
        span = np.minimum(event.min(axis=-1), self.left)
        self.remaining = self.remaining - rates * span[:, None]
        self.time_left = self.time_left - span[:, None]
        self.left, self.waiting = self.left - span, self.waiting + self._machine.arrivals * span
        done = self.there & ((self.remaining <= _LITTLE) | (self.time_left <= _LITTLE))
        self._pay(done, self._after(rates), temperature)
        self.there = self.there & ~done
        self._enter()

    def _enter(self) -> None:
        """Let whole requests that wait take free places, with lengths from all over their law in turn.

        By Little's law the first has waited for as many arrivals as wait; no more than most of its time is gone.
        """
        machine, free = self._machine, ~self.there
        waited = self.waiting / max(machine.arrivals, _LITTLE)
        order = np.cumsum(free, axis=-1)
        come = free & (order <= np.floor(self.waiting)[:, None]) & (self.left > 0.0)[:, None]
        which = (self._came[:, None] + order) % len(machine.lengths)
        in_time = machine.times_left[which]
        in_time = in_time - np.minimum(waited[:, None], _MOST_WAITED * in_time)
        number = come.sum(axis=-1)
        self.waiting, self._came = self.waiting - number, self._came + number
        self.there = self.there | come
        self.remaining = np.where(come, machine.lengths[which], self.remaining)
        self.time_left = np.where(come, in_time, self.time_left)
        self.allowed = np.where(come, in_time, self.allowed)
        self.value = np.where(come, machine.values[which], self.value)
        self.full = np.where(come, 1.0, self.full)
        self.alone = np.where(come, machine.typical[1], self.alone)

    def play_out(self, steps: int, temperature: float) -> FloatArray:
        """Return what is earned to the horizon, or in so many events; those under way then are paid by their odds.

        Shape (M,).
        """
        self._enter()
        for _ in range(steps):
            if not (self.left > 0.0).any():
                break
            self._step(temperature)
        rates = self._rates()
        self._pay(self.there, self._after(rates), temperature)
        return self.gained
