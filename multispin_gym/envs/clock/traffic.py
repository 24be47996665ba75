"""Who comes and goes between rounds: arrivals, the queue, requests that end, are late or are given up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.envs.clock.channel import Channel
from multispin_gym.envs.clock.newcomers import COLUMNS, Newcomers
from multispin_gym.envs.clock.slots import Queue, Slots
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.scenario import Scenario

BoolArray = NDArray[np.bool_]
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

    def add(self, later: Comings) -> None:
        """Add what happened after."""
        self.arrived += later.arrived
        self.refused += later.refused
        self.expired += later.expired


class Traffic:
    """The requests of N cells: present in slots, waiting, or still to come.

    Parameters
    ----------
    scenario, clock
        Where they come from.
    num_rows, num_users
        Number of cells N and of slots K in each.
    channel
        The slots' channels, which devices enter with.
    empty
        What an empty slot shows; see :class:`multispin_gym.envs.clock.slots.Slots`.
    """

    def __init__(
        self,
        scenario: Scenario,
        clock: Clock,
        num_rows: int,
        num_users: int,
        channel: Channel,
        empty: Mapping[str, float],
    ) -> None:
        requests = clock.requests
        self.arrives = requests is not None and requests.arrivals != "replaced"
        self._replaced = requests is not None and not self.arrives
        self._has_deadlines = requests is not None and requests.slack is not None
        self._channel = channel
        self.slots = Slots(num_rows, num_users, empty)
        places = requests.queue_factor * num_users if requests is not None and self.arrives else 0
        self.queue = Queue(num_rows, num_users if self.arrives else 0, places)
        self._newcomers = Newcomers(scenario, clock, num_rows)
        self._num_users = num_users

    def begin(
        self, rows: IntArray, generators: Sequence[Sequence[np.random.Generator]], stream: int, time: FloatArray
    ) -> None:
        """Begin an episode in some rows, at time 0: with everybody present, or empty until the first arrival."""
        self.slots.fresh()
        gone = np.zeros(self.slots.present.shape, dtype=np.bool_)
        gone[rows] = True
        self.slots.leave(gone)
        self.queue.clear(rows)
        self._newcomers.begin(rows, [generators[row][stream] for row in rows.tolist()])
        if self.arrives:
            return
        for slot in range(self._num_users):
            records = self._newcomers.take(rows, generators, stream)
            places = np.full(rows.shape, slot)
            self.slots.enter(rows, places, records, time[rows], np.zeros(rows.shape, dtype=np.int64))

    @property
    def next_arrival(self) -> FloatArray:
        """When the next request comes to each cell, s. Shape (N,)."""
        return self._newcomers.arrival

    @property
    def _kept_waiting(self) -> BoolArray:
        """Where somebody waits though a slot is free, as it was held. Shape (N,)."""
        return np.asarray((self.queue.length > 0) & ~self.slots.present.all(axis=1))

    def move_on(
        self,
        rows: IntArray,
        time: FloatArray,
        instants: IntArray,
        gone: BoolArray,
        generators: Sequence[Sequence[np.random.Generator]],
        stream: int,
        held: BoolArray | None = None,
    ) -> Comings:
        """Let those go who are done, and those in who have come by a time, in some rows.

        Nobody enters a slot that is held, unless nobody at all would be present.

        Shapes: ``rows`` (M,), ``time`` and ``instants`` (N,), ``gone``, whose request has ended, and ``held`` (N, K).
        """
        found = Comings.none(len(time))
        mine = np.zeros(time.shape, dtype=np.bool_)
        mine[rows] = True
        leaving = gone & mine[:, None]
        if self._has_deadlines:
            late = (self.slots.values["deadline"] < time[:, None]) & mine[:, None] & ~leaving
            found.expired += np.count_nonzero(late, axis=1)
            leaving |= late
        comes = mine & (self._newcomers.arrival <= time) if self.arrives else np.zeros_like(mine)
        some = np.flatnonzero(
            leaving.any(axis=1) | comes | (mine & ((self.queue.earliest < time) | self._kept_waiting))
        )
        if some.size == 0:
            return found
        self.slots.fresh()
        if self._replaced:
            self._replace(leaving, time, generators, stream)
            return found
        free = np.count_nonzero(~self.slots.present, axis=1)
        self.slots.leave(leaving)
        self._receive(np.flatnonzero(comes), time, free, found, generators, stream)
        if self._has_deadlines:
            overdue = some[self.queue.earliest[some] < time[some]]
            found.expired[overdue] += self.queue.expire(overdue, time[overdue])
        self._fill(some, time, instants, held)
        return found

    def _replace(
        self,
        leaving: BoolArray,
        time: FloatArray,
        generators: Sequence[Sequence[np.random.Generator]],
        stream: int,
    ) -> None:
        """Give devices whose request has ended the next one, slot by slot."""
        for slot in np.flatnonzero(leaving.any(axis=0)).tolist():
            rows = np.flatnonzero(leaving[:, slot])
            records = self._newcomers.take(rows, generators, stream)
            records[:, COLUMNS["deadline"]] += time[rows] - records[:, COLUMNS["arrival"]]
            records[:, COLUMNS["arrival"]] = time[rows]
            self.slots.begin_request(rows, np.full(rows.shape, slot), records)

    def _receive(
        self,
        rows: IntArray,
        time: FloatArray,
        free: IntArray,
        found: Comings,
        generators: Sequence[Sequence[np.random.Generator]],
        stream: int,
    ) -> None:
        """Let those who have come join the queue, one of each row at a time. ``free``: of slots, in the round (N,)."""
        while rows.size:
            room = self.queue.push(rows, self._newcomers.take(rows, generators, stream), free[rows])
            found.arrived[rows] += 1
            found.refused[rows] += ~room
            rows = rows[self._newcomers.arrival[rows] <= time[rows]]

    def _fill(self, rows: IntArray, time: FloatArray, instants: IntArray, held: BoolArray | None) -> None:
        """Let those who wait enter free slots, one of each row at a time."""
        while True:
            taken: BoolArray = self.slots.present[rows]
            if held is not None:
                taken = taken | (held[rows] & taken.any(axis=1, keepdims=True))
            enters = np.asarray((self.queue.length[rows] > 0) & ~taken.all(axis=1))
            rows = rows[enters]
            if rows.size == 0:
                return
            slots = np.argmin(taken[enters], axis=1)
            records = self.queue.pop(rows)
            self._channel.enter(rows, slots, records[:, _AMPLITUDE], instants[rows])
            self.slots.enter(rows, slots, records, time[rows], instants[rows])

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
