"""The requests that come to each cell, in the order in which they come."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from multispin_gym._counters import Words, exponentials, uniforms, words
from multispin_gym._validation import BoolArray, FloatArray, IntArray
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.request_draws import COLUMNS as DRAWN
from multispin_gym.scenarios.request_draws import RequestLaw
from multispin_gym.scenarios.scenario import Scenario

# Arrivals that a row draws at a time, and those of one row that are looked at together.
_BLOCK, _WINDOW = 64, 8
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
        self.arrival: FloatArray = np.zeros(num_rows)
        """When the next request comes to each cell, s. Shape (N,); not to be changed."""

    def begin(self, rows: IntArray) -> None:
        """Begin a new stream of requests at time 0 in some rows."""
        self._next[rows] = 0
        if self._process is not None:
            word = words(self._keys[2, rows], np.arange(2)[:, None])
            self._phases[rows] = self._process.begin(uniforms(word[0]), exponentials(word[1]))
            self._draw(rows, np.zeros(rows.shape))

    def _draw(self, rows: IntArray, time: FloatArray) -> None:
        """Draw the next block of arrivals of some rows, which follows on a time. Shapes (M,)."""
        assert self._process is not None
        _, of_gaps, of_phases = self._keys[:, rows]
        number, phases = self._next[rows, None], self._phases[rows]
        gaps = exponentials(words(of_gaps[:, None], number + np.arange(_BLOCK)))
        start = (number // _BLOCK + 1) * _OF_BLOCK

        def draw(first: int, last: int) -> FloatArray:
            return exponentials(words(of_phases[:, None], start + np.arange(first, last)))

        times = time[:, None] + self._process.arrivals(gaps, draw, phases)
        self._times[rows, :_BLOCK] = times
        self._phases[rows] = phases
        self.arrival[rows] = times[:, 0]

    def come(self, rows: IntArray, time: FloatArray) -> IntArray:
        """How many of the next requests have come by a time to each of some rows: not always all. Shapes (M,)."""
        coming = self._times[rows[:, None], self._next[rows, None] % _BLOCK + np.arange(_WINDOW)]
        return np.asarray(np.einsum("ij->i", (coming <= time[:, None]).view(np.uint8)).astype(np.int64))

    def take(self, rows: IntArray, counts: IntArray) -> tuple[IntArray, IntArray, FloatArray]:
        """Take the next requests of some rows, from each a number of them that are of one block.

        Shapes: ``rows`` and ``counts`` (M,); results: whose each request is, as an index of ``rows``, and its place
        among those taken from there (requests,), and the records (requests, columns).
        """
        owner = np.repeat(np.arange(rows.size), counts)
        place = np.arange(owner.size) - (np.cumsum(counts) - counts)[owner]
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
            some = rows[through]
            self._draw(some, self._times[some, _BLOCK - 1])

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
        self.arrival[...] = self._times[np.arange(self._next.size), self._next % _BLOCK]
