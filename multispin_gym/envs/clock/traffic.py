"""Who comes and goes between rounds: arrivals, the queue, requests that end, are late or are given up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from multispin_gym._arrays import count_users
from multispin_gym._counters import Words
from multispin_gym._validation import BoolArray, FloatArray, IntArray
from multispin_gym.envs.clock.channel import Channel
from multispin_gym.envs.clock.newcomers import COLUMNS, Newcomers
from multispin_gym.envs.clock.slots import Queue, Slots
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.scenario import Scenario

_AMPLITUDE = [COLUMNS["fade_real"], COLUMNS["fade_imaginary"]]


@dataclass(eq=False, slots=True)
class Comings:
    """What happened between two rounds. Shapes (N,).

    Parameters
    ----------
    arrived, refused
        Requests that came, those included that found the queue full.
    expired
        Requests, waiting or under way, that left because their deadline was past.
    """

    arrived: IntArray
    refused: IntArray
    expired: IntArray

    @classmethod
    def none(cls, num_rows: int) -> Comings:
        """Nothing yet, in N cells."""
        return cls(*(np.zeros(num_rows, dtype=np.int64) for _ in range(3)))


class Traffic:
    """The requests of N cells: present in slots, waiting, or still to come.

    Parameters
    ----------
    scenario, clock
        Where they come from.
    keys
        Each row's streams of requests; see :class:`multispin_gym.envs.clock.newcomers.Newcomers`. Shape (3, N).
    num_users
        Number of slots K of a cell.
    channel
        The slots' channels, which devices enter with.
    empty
        What an empty slot shows; see :class:`multispin_gym.envs.clock.slots.Slots`.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        keys: Words,
        num_users: int,
        channel: Channel,
        empty: Mapping[str, float],
    ) -> None:
        requests, num_rows = clock.requests, keys.shape[1]
        self.arrives = requests is not None and requests.arrivals != "replaced"
        self._replaced = requests is not None and not self.arrives
        self._has_deadlines = requests is not None and requests.slack is not None
        self._channel = channel
        self.slots = Slots(num_rows, num_users, empty)
        places = requests.queue_factor * num_users if requests is not None and self.arrives else 0
        self.queue = Queue(num_rows, num_users if self.arrives else 0, places)
        self._newcomers = Newcomers(scenario, clock, keys)
        self._slots = np.arange(num_users)

    def forget(self, row: int) -> None:
        """Forget what is known of a row's next episode."""
        self._newcomers.forget(row)

    def begin(self, rows: IntArray, following: Callable[[], Words]) -> None:
        """Begin an episode in some rows, at time 0: with everybody present, or empty until the first arrival.

        ``following`` gives the keys of the episodes to come after it, or in other rows next. Shape (3, N).
        """
        self.slots.fresh()
        places = (rows[:, None] * self._slots.size + self._slots).ravel()
        self.slots.leave(places)
        self.queue.clear(rows)
        self._newcomers.begin(rows, following)
        if not self.arrives:
            _, _, records = self._newcomers.take(rows, np.full(rows.shape, self._slots.size))
            self.slots.enter(places, records, np.zeros(places.shape), np.zeros(places.shape, np.int64))

    @property
    def next_arrival(self) -> FloatArray:
        """When the next request comes to each cell, s. Shape (N,)."""
        return self._newcomers.arrival

    @property
    def free(self) -> IntArray:
        """How many slots are empty in each cell. Shape (N,)."""
        return self._slots.size - self.slots.occupied

    def deserted(self, rows: IntArray, time: FloatArray, end: float) -> IntArray:
        """Those of some rows before the end in which nobody is present, waits, or has come by a time, (N,)."""
        there = (self.slots.occupied > 0) | (self.queue.length > 0) | (self.next_arrival <= time)
        return _those(rows, (time < end) & ~there)

    def let_go(self, time: FloatArray, gone: BoolArray, came: Comings) -> IntArray:
        """Let those go who are done by a time, or replace them; return how many slots were free before.

        Shapes: ``time`` and result (N,), ``gone``, whose request has ended, (N, K). Who is late is added to ``came``.
        """
        slots, leaving = self.slots, gone
        if self._has_deadlines:
            late = slots.values["deadline"] < time[:, None]
            late &= ~gone
            came.expired += count_users(late)
            leaving = late | gone
        free, places = self.free, leaving.reshape(-1).nonzero()[0]
        if places.size:
            slots.fresh()
            if self._replaced:
                self._replace(places, time)
            else:
                slots.leave(places)
        return free

    def admit(
        self,
        rows: IntArray,
        time: FloatArray,
        instants: IntArray,
        came: Comings,
        free: IntArray,
        held: BoolArray | None,
    ) -> None:
        """Let those in who have come by a time, in some rows.

        Nobody enters a slot that is held, unless nobody at all would be present.

        Shapes: ``rows`` (M,), ``time``, ``instants`` and ``free``, slots that were so in the round, (N,), ``held``
        (N, K). What happened is added to ``came``.
        """
        self._receive(_those(rows, self.next_arrival <= time), time, free, came)
        if self._has_deadlines:
            overdue = _those(rows, self.queue.earliest < time)
            if overdue.size:
                came.expired[overdue] += self.queue.expire(overdue, time[overdue])
        self._fill(_those(rows, (self.queue.length > 0) & (self.free > 0)), time, instants, held)

    def _replace(self, places: IntArray, time: FloatArray) -> None:
        """Give devices whose request has ended the next one, slot by slot."""
        row = places // self._slots.size
        rows, counts = np.unique(row, return_counts=True)
        _, _, records = self._newcomers.take(rows, counts)
        records[:, COLUMNS["deadline"]] += time[row] - records[:, COLUMNS["arrival"]]
        records[:, COLUMNS["arrival"]] = time[row]
        self.slots.begin_request(places, records)

    def _receive(self, rows: IntArray, time: FloatArray, free: IntArray, came: Comings) -> None:
        """Let those who have come join the queue. ``free``: of slots, in the round (N,)."""
        while rows.size:
            counts = self._newcomers.come(rows, time[rows])
            room = self.queue.push(rows, counts, free[rows], *self._newcomers.take(rows, counts))
            came.arrived[rows] += counts
            came.refused[rows] += counts - room
            rows = rows[self._newcomers.arrival[rows] <= time[rows]]

    def _fill(self, rows: IntArray, time: FloatArray, instants: IntArray, held: BoolArray | None) -> None:
        """Let those who wait enter free slots, the first one the first."""
        if rows.size == 0:
            return
        free = ~self.slots.present[rows]
        if held is not None:
            empty = np.flatnonzero(free.all(axis=1))
            free &= ~held[rows]
            free[empty, 0] = True
        rank = np.cumsum(free, axis=1)
        free &= rank <= self.queue.length[rows, None]
        found = free.reshape(-1).nonzero()[0]
        if found.size == 0:
            return
        owner, slot = np.divmod(found, self._slots.size)
        row = rows[owner]
        records = self.queue.first(row, rank.reshape(-1)[found] - 1)
        self.queue.drop(rows, np.bincount(owner, minlength=rows.size))
        self.slots.fresh()
        self._channel.enter(row, slot, records[:, _AMPLITUDE], instants[row])
        self.slots.enter(row * self._slots.size + slot, records, time[row], instants[row])

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Least and largest value of what a state says of requests."""
        return {**self.slots.RANGES, **self.queue.ranges, **self._newcomers.RANGES}

    def state(self) -> dict[str, Any]:
        """Return all that is known of requests."""
        return {**self.slots.state(), **self.queue.state(), **self._newcomers.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken."""
        for part in (self.slots, self.queue, self._newcomers):
            part.restore(state)


def _those(rows: IntArray, chosen: BoolArray) -> IntArray:
    """The rows that are chosen, of some in order. Shapes: ``rows`` (M,), ``chosen`` (N,)."""
    return chosen.nonzero()[0] if rows.size == chosen.size else rows[chosen[rows]]
