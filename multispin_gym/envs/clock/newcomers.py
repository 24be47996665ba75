"""The requests that come to each cell, in the order in which they come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

from multispin_gym._arrays import count_users
from multispin_gym._counters import Words, exponentials, uniforms, words
from multispin_gym._validation import BoolArray, FloatArray, IntArray
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.request_draws import COLUMNS as DRAWN
from multispin_gym.scenarios.request_draws import RequestLaw
from multispin_gym.scenarios.scenario import Scenario

# Arrivals that a row draws at a time, and those of one row that are looked at together.
_BLOCK, _WINDOW = 128, 8
# Words of each block's phases; those before the first block's are of the beginning.
_OF_BLOCK = 2**32
COLUMNS = {name: index for index, name in enumerate((*DRAWN, "arrival", "deadline"))}
"""Where a request's record holds what: what the law draws, and when it arrives and should end, s."""


class Newcomers:
    """Requests to come in N cells; a row's depend on its keys alone.

    Parameters
    ----------
    scenario, clock
        What a request is like, when it comes, and by when it should end.
    keys
        Each row's streams of its episode, of requests, of gaps between them and of phases of their process: changed by
        the owner before :meth:`begin`. Shape (3, N).
    """

    RANGES: ClassVar[dict[str, tuple[float, float]]] = {"newcomer_next": (0.0, float(_OF_BLOCK))}
    """Least and largest value of an entry of the state."""

    def __init__(self, scenario: Scenario, clock: Clock, keys: Words) -> None:
        self._keys, num_rows = keys, keys.shape[1]
        self._law = RequestLaw(scenario)
        requests = clock.requests
        self._process = None if requests is None else requests.process
        per_token = None if requests is None else requests.reference_time_per_token
        self._per_token = np.inf if per_token is None else per_token
        # Nobody comes in what is beyond a block.
        self._times: FloatArray = np.full((num_rows, _BLOCK + _WINDOW), np.inf)
        self._next = np.zeros(num_rows, dtype=np.int64)
        self._phases: FloatArray = np.zeros((num_rows, 2))
        # The first block of the next episode, and in which rows it is known.
        self._ready_times, self._ready_phases = self._times.copy(), self._phases.copy()
        self._is_ready = np.zeros(num_rows, dtype=np.bool_)
        self.arrival: FloatArray = np.zeros(num_rows)
        """When the next request comes to each cell, s. Shape (N,); not to be changed."""

    def forget(self, row: int) -> None:
        """Forget what is known of a row's next episode."""
        self._is_ready[row] = False

    def begin(self, rows: IntArray, following: Callable[[], Words]) -> None:
        """Begin a new stream of requests at time 0 in some rows.

        ``following`` gives the keys of the episodes to come after it, or in other rows next. Shape (3, N).
        """
        self._next[rows] = 0
        if self._process is None:
            return
        if not self._is_ready[rows].all():
            # All at once is faster than a few in every round.
            keys = following()
            keys[:, rows] = self._keys[:, rows]
            self._prepare(np.flatnonzero(~self._is_ready), keys)
        self._is_ready[rows] = False
        self._times[rows], self._phases[rows] = self._ready_times[rows], self._ready_phases[rows]
        self.arrival[rows] = self._times[rows, 0]

    def _prepare(self, rows: IntArray, keys: Words) -> None:
        """Draw the first block of arrivals of some rows' next episodes."""
        assert self._process is not None
        word = words(keys[2, rows], np.arange(2)[:, None])
        phases = self._process.begin(uniforms(word[0]), exponentials(word[1]))
        self._ready_times[rows, :_BLOCK] = self._block(keys[:, rows], np.zeros(rows.shape, np.int64), phases)
        self._ready_phases[rows] = phases
        self._is_ready[rows] = True

    def _block(self, keys: Words, number: IntArray, phases: FloatArray) -> FloatArray:
        """Times of the arrivals of a block from a number on, since the one before; changes the phases. (M, block)."""
        assert self._process is not None
        gaps = exponentials(words(keys[1, :, None], number[:, None], np.arange(_BLOCK)))
        start = (number[:, None] // _BLOCK + 1) * _OF_BLOCK

        def draw(first: int, last: int) -> FloatArray:
            return exponentials(words(keys[2, :, None], start, np.arange(first, last)))

        return self._process.arrivals(gaps, draw, phases)

    def _draw(self, rows: IntArray) -> None:
        """Draw the next block of arrivals of some rows."""
        phases = self._phases[rows]
        times = self._times[rows, _BLOCK - 1, None] + self._block(self._keys[:, rows], self._next[rows], phases)
        self._times[rows, :_BLOCK], self._phases[rows] = times, phases
        self.arrival[rows] = times[:, 0]

    def come(self, rows: IntArray, time: FloatArray) -> IntArray:
        """How many of the next requests have come by a time to each of some rows: not always all. Shapes (M,)."""
        coming = self._times[rows[:, None], self._next[rows, None] % _BLOCK + np.arange(_WINDOW)]
        return count_users(coming <= time[:, None])

    def take(self, rows: IntArray, counts: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Take the next requests of some rows, from each a number of them that are of one block.

        Shapes: ``rows`` and ``counts`` (M,); results: whose each request is, as an index of ``rows``, and its place
        among those taken from there (requests,), and the records (requests, columns).
        """
        owner = np.repeat(np.arange(rows.size), counts)
        place = np.arange(owner.size) - np.repeat(np.cumsum(counts) - counts, counts)
        row = rows[owner]
        number = self._next[row] + place
        records = np.empty((owner.size, len(COLUMNS)))
        records[:, : len(DRAWN)] = self._law.draw(self._keys[0, row], number)
        if self._process is None:
            arrival: FloatArray = np.zeros(owner.shape)
            self._next[rows] += counts
        else:
            arrival = self._times[row, number % _BLOCK]
            self._next[rows] += counts
            self._look_on(rows)
        allowed = records[:, COLUMNS["slack"]] * (records[:, COLUMNS["length"]] * self._per_token)
        records[:, COLUMNS["arrival"]], records[:, COLUMNS["deadline"]] = arrival, arrival + allowed
        return owner, place, records

    def _look_on(self, rows: IntArray) -> None:
        """Say when the next request comes to some rows."""
        place = self._next[rows] % _BLOCK
        self.arrival[rows] = self._times[rows, place]
        through: BoolArray = place == 0
        if through.any():
            self._draw(rows[through])

    def state(self) -> dict[str, Any]:
        """Return all that the requests to come depend on, besides the keys."""
        return {
            "newcomer_times": self._times[:, :_BLOCK].copy(),
            "newcomer_next": self._next.copy(),
            "newcomer_phases": self._phases.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken."""
        self._times[:, :_BLOCK] = state["newcomer_times"]
        self._next[...] = state["newcomer_next"]
        self._phases[...] = state["newcomer_phases"]
        self._is_ready[...] = False
        self.arrival[...] = self._times[np.arange(self._next.size), self._next % _BLOCK]
