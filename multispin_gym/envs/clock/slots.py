"""Who is in a cell: K slots in each of N cells, each with a request or empty, and the requests that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from multispin_gym._arrays import count_users
from multispin_gym._validation import LARGEST, SMALLEST, BoolArray, FloatArray, IntArray
from multispin_gym.envs.clock.newcomers import COLUMNS
from multispin_gym.physics.acceptance import token_terms

# What a slot holds of a request that is never shown as it is: first what a record brings with it, by the record's
# columns, of which the remaining tokens are the length; then the time at which the device joined, and what begins anew
# with each request.
_RECORDED = {
    "task": "task",
    "length": "length",
    "remaining": "length",
    "arrival": "arrival",
    "deadline": "deadline",
    "mean_gain": "channel_gain",
}
_OF_REQUEST = 5
_BEGUN = {"first_token": np.inf, "accepted": 0.0, "drafted": 0.0}
_NAMES = (*_RECORDED, "joined", *_BEGUN)
_SOURCES = np.array([COLUMNS[column] for column in _RECORDED.values()])
_JOINED, _COUNTS = len(_RECORDED), len(_RECORDED) + 1
_AT_BEGINNING = np.array(list(_BEGUN.values()))[:, None]
# What has not come in an empty slot; then what users are made of: what a record brings, and what is computed from it.
_NEVER = ("arrival", "deadline", "joined", "first_token")
_SHOWN = ("acceptance_rate", "drafting_speed")
_RATE, _SPEED = (COLUMNS[name] for name in _SHOWN)


class Slots:
    """The requests under way. Every array has the shape (N, K).

    Slots are said by their places in such an array, row by row. What users are made of, and who is present, is
    replaced, never changed, once shown.

    Parameters
    ----------
    num_rows, num_users
        Number of cells N and of slots K in each.
    empty
        What an empty slot shows: acceptance rate, drafting speed and mean gain.
    """

    RANGES: ClassVar[dict[str, tuple[float, float]]] = {
        "slot_acceptance_rate": (0.0, 1.0),
        "slot_drafting_speed": (SMALLEST, LARGEST),
        "slot_mean_gain": (SMALLEST, LARGEST),
        "slot_instant": (0.0, np.inf),
    }
    """Least and largest value of some entries of the state."""

    def __init__(self, num_rows: int, num_users: int, empty: Mapping[str, float]) -> None:
        shape = (num_rows, num_users)
        nothing = dict.fromkeys(_NAMES, 0.0) | dict.fromkeys(_NEVER, np.inf) | dict(empty)
        self._nothing = np.array([nothing[name] for name in _NAMES])[:, None]
        self._table = np.repeat(self._nothing, num_rows * num_users, axis=1)
        self._nothing_shown = _shown(*(np.array([nothing[name]]) for name in _SHOWN))
        self._private = dict(zip(_NAMES, self._table.reshape(-1, *shape), strict=True))
        self.present: BoolArray = np.zeros(shape, dtype=np.bool_)
        self.instant: IntArray = np.zeros(shape, dtype=np.int64)
        self._occupied: IntArray | None = None
        self._take(np.repeat(self._nothing_shown, num_rows * num_users, axis=1))

    def _take(self, shown: FloatArray) -> None:
        """Hold what users are made of, which nobody has been shown."""
        self._shown, self._is_shown = shown, False
        rate, speed, self.drafting_time, *terms = shown.reshape(-1, *self.present.shape)
        self.terms = (terms[0], terms[1])
        self.values: dict[str, FloatArray] = self._private | dict(zip(_SHOWN, (rate, speed), strict=True))

    def fresh(self) -> None:
        """Take new arrays unless nobody has been shown those at hand: what was shown stays as it is."""
        if self._is_shown:
            self.present = self.present.copy()
            self._take(self._shown.copy())

    def show(self) -> None:
        """Say that somebody may keep the arrays."""
        self._is_shown = True

    @property
    def occupied(self) -> IntArray:
        """How many slots have a request in each cell. Shape (N,); not to be changed."""
        if self._occupied is None:
            self._occupied = count_users(self.present)
        return self._occupied

    def leave(self, places: IntArray) -> None:
        """Empty slots. Shape (M,)."""
        self._table[:, places] = self._nothing
        self._shown[:, places] = self._nothing_shown
        self.present.reshape(-1)[places], self._occupied = False, None
        self.instant.reshape(-1)[places] = 0

    def enter(self, places: IntArray, records: FloatArray, time: FloatArray, instants: IntArray) -> None:
        """Put requests into slots.

        Shapes: ``places``, ``time`` and ``instants`` (M,), ``records`` (M, columns).
        """
        self._table[:_JOINED, places] = records.T[_SOURCES]
        self._table[_JOINED, places] = time
        self._table[_COUNTS:, places] = _AT_BEGINNING
        self._shown[:, places] = _shown(records[:, _RATE], records[:, _SPEED])
        self.present.reshape(-1)[places], self._occupied = True, None
        self.instant.reshape(-1)[places] = instants

    def begin_request(self, places: IntArray, records: FloatArray) -> None:
        """Give slots' devices their next request: a new task, rate, length and deadline. Shapes as of :meth:`enter`."""
        self._table[:_OF_REQUEST, places] = records.T[_SOURCES[:_OF_REQUEST]]
        self._table[_COUNTS:, places] = _AT_BEGINNING
        self._shown[:, places] = _shown(records[:, _RATE], self._shown[1, places])

    def count(self, delivered: FloatArray, accepted: FloatArray, drafted: FloatArray, first_token: FloatArray) -> None:
        """Write down what a round gave to each request, and when its first token came at the latest. Shapes (N, K)."""
        self.values["remaining"] -= delivered
        self.values["accepted"] += accepted
        self.values["drafted"] += drafted
        np.minimum(self.values["first_token"], first_token, out=self.values["first_token"])

    def state(self) -> dict[str, Any]:
        """Return all that the slots hold."""
        arrays = {f"slot_{name}": array.copy() for name, array in self.values.items()}
        return {**arrays, "slot_present": self.present.copy(), "slot_instant": self.instant.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, in slots of the same sizes."""
        self.fresh()
        for name, array in self._private.items():
            array[...] = state[f"slot_{name}"]
        self._shown[...] = _shown(*(np.ravel(state[f"slot_{name}"]) for name in _SHOWN))
        self.present[...], self._occupied = state["slot_present"], None
        self.instant[...] = state["slot_instant"]


def _shown(rate: FloatArray, speed: FloatArray) -> FloatArray:
    """What users are made of. Shapes: ``rate`` and ``speed`` (M,), result (5, M)."""
    return np.stack([rate, speed, 1.0 / speed, *token_terms(rate)])


class Queue:
    """Requests that wait in front of each cell, first come first served.

    Parameters
    ----------
    num_rows, num_users
        Number of cells N and of slots K in each.
    places
        Requests that can wait in front of one. Whoever comes while a slot is free does not count among them, but
        waits, too, for the round under way to end.
    """

    def __init__(self, num_rows: int, num_users: int, places: int) -> None:
        self._places, self._most = places, places + num_users
        self._records: FloatArray = np.zeros((num_rows, self._most, len(COLUMNS)))
        self._deadlines: FloatArray = np.zeros((num_rows, self._most))
        # Which records wait, in their order, from the head on and around; then those that are free.
        self._order: IntArray = np.tile(np.arange(self._most), (num_rows, 1))
        self._head = np.zeros(num_rows, dtype=np.int64)
        self._ranks = np.arange(self._most)
        self.length = np.zeros(num_rows, dtype=np.int64)
        # No deadline of those who wait is earlier; who has gone on since may have had this one.
        self.earliest: FloatArray = np.full(num_rows, np.inf)

    def clear(self, rows: IntArray) -> None:
        """Send everybody away in some rows."""
        self.length[rows] = 0
        self.earliest[rows] = np.inf

    def _of(self, rows: IntArray, ranks: IntArray) -> IntArray:
        """Which records have ranks in the order of some rows. Shapes broadcast."""
        place = self._head[rows] + ranks
        # A remainder takes much longer.
        place -= self._most * (place >= self._most)
        return np.asarray(self._order[rows, place])

    def push(
        self, rows: IntArray, counts: IntArray, free: IntArray, owner: IntArray, rank: IntArray, records: FloatArray
    ) -> IntArray:
        """Let requests join in each of some rows; return how many found room.

        Shapes: ``rows``, ``counts`` and ``free``, slots that were free in the round, (M,); ``owner``, an index of
        ``rows``, ``rank`` among those of its row, and ``records`` (requests, ...); result (M,).
        """
        room: IntArray = np.minimum(self._places + free - self.length[rows], counts)
        np.maximum(room, 0, out=room)
        (joins,) = (rank < room[owner]).nonzero()
        row, records = rows[owner[joins]], records[joins]
        which = self._of(row, self.length[row] + rank[joins])
        deadlines = records[:, COLUMNS["deadline"]]
        self._records[row, which], self._deadlines[row, which] = records, deadlines
        np.minimum.at(self.earliest, row, deadlines)
        self.length[rows] += room
        return room

    def first(self, rows: IntArray, ranks: IntArray) -> FloatArray:
        """Records of those who are first in some rows, or come next. Shapes: (M,), result (M, columns)."""
        return np.asarray(self._records[rows, self._of(rows, ranks)])

    def drop(self, rows: IntArray, counts: IntArray) -> None:
        """Let the first ones of some rows go. Shapes (M,)."""
        self._head[rows] = (self._head[rows] + counts) % self._most
        self.length[rows] -= counts

    def expire(self, rows: IntArray, time: FloatArray) -> IntArray:
        """Send those away whose deadline is past, in some rows; return how many. Shapes (M,)."""
        order = self._of(rows[:, None], self._ranks)
        deadlines = self._deadlines[rows[:, None], order]
        stays = self._ranks < self.length[rows, None]
        stays &= deadlines >= time[:, None]
        staying = count_users(stays)
        first = self._ranks < staying[:, None]
        changed = np.empty_like(order)
        changed[first], changed[~first] = order[stays], order[~stays]
        self._order[rows], self._head[rows] = changed, 0
        gone = self.length[rows] - staying
        self.length[rows] = staying
        self.earliest[rows] = np.where(stays, deadlines, np.inf).min(axis=1)
        return np.asarray(gone)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Least and largest value of an entry of the state."""
        places = (0.0, float(max(self._most - 1, 0)))
        return {"queue_length": (0.0, float(self._most)), "queue_order": places, "queue_head": places}

    def state(self) -> dict[str, Any]:
        """Return who waits."""
        return {
            "queue_records": self._records.copy(),
            "queue_order": self._order.copy(),
            "queue_head": self._head.copy(),
            "queue_length": self.length.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, with as many places."""
        self._records[...] = state["queue_records"]
        self._deadlines[...] = self._records[..., COLUMNS["deadline"]]
        # Once for the earliest deadline: nobody's lies before the beginning.
        for again in (True, False):
            self._order[...], self._head[...] = state["queue_order"], state["queue_head"]
            self.length[...] = state["queue_length"]
            if again and self._most:
                self.expire(np.arange(self.length.size), np.full(self.length.shape, -np.inf))
