"""The requests that come to each cell, in the order in which they come, a block drawn at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.request_draws import COLUMNS as DRAWN
from multispin_gym.scenarios.request_draws import RequestLaw
from multispin_gym.scenarios.scenario import Scenario

# Requests that a row draws at a time.
_BLOCK = 64
COLUMNS = {name: index for index, name in enumerate((*DRAWN, "arrival", "deadline"))}
"""Where a request's record holds what: what the law draws, and when it arrives and should end, s."""

_ARRIVAL = COLUMNS["arrival"]


class Newcomers:
    """Requests to come in N cells; a row's depend on its generator alone.

    Parameters
    ----------
    scenario, clock
        What a request is like, when it comes, and by when it should end.
    num_rows
        Number of cells N.
    """

    RANGES: ClassVar[dict[str, tuple[float, float]]] = {"newcomer_next": (0.0, _BLOCK - 1.0)}
    """Least and largest value of an entry of the state."""

    def __init__(self, scenario: Scenario, clock: Clock, num_rows: int) -> None:
        self._law = RequestLaw(scenario)
        requests = clock.requests
        self._process = None if requests is None else requests.process
        per_token = None if requests is None else requests.reference_time_per_token
        self._per_token = np.inf if per_token is None else per_token
        self._records: FloatArray = np.zeros((num_rows, _BLOCK, len(COLUMNS)))
        self._next = np.zeros(num_rows, dtype=np.int64)
        self._phases: FloatArray = np.zeros((num_rows, 2))

    def begin(self, rows: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Begin a new stream of requests at time 0 in some rows."""
        for row, generator in zip(rows.tolist(), generators, strict=True):
            if self._process is not None:
                self._phases[row] = self._process.begin(generator)
            self._draw(row, generator, 0.0)
        self._next[rows] = 0

    def _draw(self, row: int, generator: np.random.Generator, time: float) -> None:
        """Draw the next block of a row, which follows on a time."""
        records = self._records[row]
        records[:, : len(DRAWN)] = self._law.draw(generator, _BLOCK)
        if self._process is None:
            records[:, _ARRIVAL] = time
        else:
            records[:, _ARRIVAL] = time + np.cumsum(self._process.gaps(generator, _BLOCK, self._phases[row]))
        allowed = records[:, COLUMNS["slack"]] * (records[:, COLUMNS["length"]] * self._per_token)
        records[:, COLUMNS["deadline"]] = records[:, _ARRIVAL] + allowed

    @property
    def arrival(self) -> FloatArray:
        """When the next request comes to each cell, s. Shape (N,)."""
        return np.asarray(self._records[np.arange(len(self._next)), self._next, _ARRIVAL])

    def take(self, rows: IntArray, generators: Sequence[Sequence[np.random.Generator]], stream: int) -> FloatArray:
        """Take the next request of each of some rows. Shape (M, columns)."""
        taken = self._records[rows, self._next[rows]]
        self._next[rows] += 1
        for row in rows[self._next[rows] == _BLOCK].tolist():
            last = float(self._records[row, -1, _ARRIVAL])
            self._draw(row, generators[row][stream], last)
            self._next[row] = 0
        return taken

    def state(self) -> dict[str, Any]:
        """Return all that the requests to come depend on, besides the generators."""
        return {
            "newcomer_records": self._records.copy(),
            "newcomer_next": self._next.copy(),
            "newcomer_phases": self._phases.copy(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken."""
        self._records[...] = state["newcomer_records"]
        self._next[...] = state["newcomer_next"]
        self._phases[...] = state["newcomer_phases"]
