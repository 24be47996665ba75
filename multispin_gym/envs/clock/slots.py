"""Who is in a cell: K slots in each of N cells, each with a request or empty, and the requests that wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import LARGEST, SMALLEST, FloatArray, IntArray
from multispin_gym.envs.clock.newcomers import COLUMNS
from multispin_gym.physics.acceptance import token_terms

BoolArray = NDArray[np.bool_]
# What a slot holds of a request: first what a record brings with it, by the record's columns, of which the remaining
# tokens are the length; then the time at which the device joined, and what begins anew with each request.
_RECORDED = {
    "task": "task",
    "acceptance_rate": "acceptance_rate",
    "length": "length",
    "remaining": "length",
    "arrival": "arrival",
    "deadline": "deadline",
    "drafting_speed": "drafting_speed",
    "mean_gain": "channel_gain",
}
_OF_REQUEST = 6
_BEGUN = {"first_token": np.inf, "accepted": 0.0, "drafted": 0.0}
_NAMES = (*_RECORDED, "joined", *_BEGUN)
_SOURCES = np.array([COLUMNS[column] for column in _RECORDED.values()])
_JOINED, _COUNTS = len(_RECORDED), len(_RECORDED) + 1
_AT_BEGINNING = np.array(list(_BEGUN.values()))[:, None]
_RATE, _SPEED = _NAMES.index("acceptance_rate"), _NAMES.index("drafting_speed")


class Slots:
    """The requests under way. Every array has the shape (N, K); arrays are replaced, never changed, once shown.

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
        nothing = dict.fromkeys(_NAMES, 0.0) | {"first_token": np.inf, "deadline": np.inf, **empty}
        self._nothing = np.array([nothing[name] for name in _NAMES])[:, None]
        self._take(np.repeat(self._nothing, num_rows * num_users, axis=1).reshape(-1, *shape))
        self._shown = False
        self.present: BoolArray = np.zeros(shape, dtype=np.bool_)
        self.instant: IntArray = np.zeros(shape, dtype=np.int64)
        self.terms = token_terms(self.values["acceptance_rate"])
        self.drafting_time = 1.0 / self.values["drafting_speed"]

    def _take(self, table: FloatArray) -> None:
        """Hold numbers by name. Shape (names, N, K)."""
        self._table = table
        self.values: dict[str, FloatArray] = dict(zip(_NAMES, table, strict=True))

    def fresh(self) -> None:
        """Take new arrays unless nobody has been shown those at hand: what was shown stays as it is."""
        if not self._shown:
            return
        self._shown = False
        self._take(self._table.copy())
        self.present, self.instant = self.present.copy(), self.instant.copy()
        self.terms = (self.terms[0].copy(), self.terms[1].copy())
        self.drafting_time = self.drafting_time.copy()

    def show(self) -> None:
        """Say that somebody may keep the arrays."""
        self._shown = True

    def leave(self, gone: BoolArray) -> None:
        """Empty slots. Shape (N, K)."""
        where = np.nonzero(gone)
        self._table[:, where[0], where[1]] = self._nothing
        self.present[where], self.instant[where] = False, 0
        self._derive((where[0], where[1]))

    def enter(self, rows: IntArray, slots: IntArray, records: FloatArray, time: FloatArray, instants: IntArray) -> None:
        """Put one request into a slot of each of some rows.

        Shapes: ``rows``, ``slots``, ``time`` and ``instants`` (M,), ``records`` (M, columns).
        """
        self._table[:_JOINED, rows, slots] = records.T[_SOURCES]
        self._table[_JOINED, rows, slots] = time
        self._table[_COUNTS:, rows, slots] = _AT_BEGINNING
        self.present[rows, slots] = True
        self.instant[rows, slots] = instants
        self._derive((rows, slots))

    def begin_request(self, rows: IntArray, slots: IntArray, records: FloatArray) -> None:
        """Give a slot's device its next request: a new task, rate, length and deadline. Shapes as of :meth:`enter`."""
        self._table[:_OF_REQUEST, rows, slots] = records.T[_SOURCES[:_OF_REQUEST]]
        self._table[_COUNTS:, rows, slots] = _AT_BEGINNING
        self._derive((rows, slots))

    def count(self, delivered: FloatArray, accepted: FloatArray, drafted: FloatArray, first_token: FloatArray) -> None:
        """Write down what a round gave to each request, and when its first token came. Shapes (N, K)."""
        self.fresh()
        for name, amount in (("remaining", -delivered), ("accepted", accepted), ("drafted", drafted)):
            self.values[name] += amount
        self.values["first_token"][...] = first_token

    def _derive(self, where: tuple[IntArray, IntArray]) -> None:
        """Bring up to date what rounds are computed with."""
        terms = token_terms(self._table[_RATE][where])
        for whole, part in zip(self.terms, terms, strict=True):
            whole[where] = part
        self.drafting_time[where] = 1.0 / self._table[_SPEED][where]

    def state(self) -> dict[str, Any]:
        """Return all that the slots hold."""
        arrays = {f"slot_{name}": array.copy() for name, array in self.values.items()}
        return {**arrays, "slot_present": self.present.copy(), "slot_instant": self.instant.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, in slots of the same sizes."""
        self.fresh()
        for name, array in self.values.items():
            array[...] = state[f"slot_{name}"]
        self.present[...] = state["slot_present"]
        self.instant[...] = state["slot_instant"]
        rows, slots = np.indices(self.present.shape)
        self._derive((rows.ravel(), slots.ravel()))


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
        self.length = np.zeros(num_rows, dtype=np.int64)
        # No deadline of those who wait is earlier; who has gone on since may have had this one.
        self.earliest: FloatArray = np.full(num_rows, np.inf)

    def clear(self, rows: IntArray) -> None:
        """Send everybody away in some rows."""
        self.length[rows] = 0
        self.earliest[rows] = np.inf

    def push(self, rows: IntArray, records: FloatArray, free: IntArray) -> BoolArray:
        """Let one request join in each of some rows; return where there was room.

        Shapes: ``rows`` (M,), ``records`` (M, columns), ``free`` (M,): slots that were free in the round; result (M,).
        """
        room = self.length[rows] < self._places + free
        some = rows[room]
        self._records[some, self.length[some]] = records[room]
        self.length[some] += 1
        self.earliest[some] = np.minimum(self.earliest[some], records[room, COLUMNS["deadline"]])
        return np.asarray(room)

    def pop(self, rows: IntArray) -> FloatArray:
        """Take the first of each of some rows, in which somebody waits. Shape (M, columns)."""
        first = self._records[rows, 0]
        self._records[rows, :-1] = self._records[rows, 1:]
        self.length[rows] -= 1
        return np.asarray(first)

    def _waiting(self, rows: IntArray) -> tuple[BoolArray, FloatArray]:
        """Which places are taken, and the deadlines there, infinite elsewhere. Shapes (M, places)."""
        waiting = np.arange(self._most) < self.length[rows, None]
        return waiting, np.where(waiting, self._records[rows, :, COLUMNS["deadline"]], np.inf)

    def expire(self, rows: IntArray, time: FloatArray) -> IntArray:
        """Send those away whose deadline is past, in some rows; return how many. Shapes (M,)."""
        waiting, deadlines = self._waiting(rows)
        late = deadlines < time[:, None]
        gone = np.count_nonzero(late, axis=1)
        self.earliest[rows] = np.where(late, np.inf, deadlines).min(axis=1, initial=np.inf)
        some = gone > 0
        # A stable sort keeps the order of those who stay.
        order = np.argsort(late[some] | ~waiting[some], axis=1, kind="stable")
        self._records[rows[some]] = np.take_along_axis(self._records[rows[some]], order[..., None], axis=1)
        self.length[rows] -= gone
        return np.asarray(gone)

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Least and largest value of an entry of the state."""
        return {"queue_length": (0.0, float(self._most))}

    def state(self) -> dict[str, Any]:
        """Return who waits."""
        return {"queue_records": self._records.copy(), "queue_length": self.length.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, with as many places."""
        self._records[...] = state["queue_records"]
        self.length[...] = state["queue_length"]
        self.earliest[...] = self._waiting(np.arange(self.length.size))[1].min(axis=1, initial=np.inf)
