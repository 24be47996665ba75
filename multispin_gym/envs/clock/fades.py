"""Small-scale fading in time: every slot's complex amplitude on a grid of instants, as a function of its key alone.

What a policy decides moves the instants at which the channel is looked at, not the channel: the amplitudes are drawn on
a grid of the clock, and a look at time t sees the instant of the grid before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from multispin_gym._arrays import Float32Array
from multispin_gym._counters import Words, normal_pairs, words
from multispin_gym._validation import IntArray

# Instants of the grid in a coherence time. Between them the amplitude is held, so the correlation of two looks is the
# exponential's chord between neighbouring instants: at most 1 / (8 * 8**2) of it above the exponential.
INSTANTS_PER_COHERENCE_TIME = 8
# Instants that a row draws at a time, and rows that are drawn at a time: as many as a core's cache takes.
_BLOCK, _ROWS = 32, 256


class FadeTracks:
    """Amplitudes of N x K slots at the instants 0, 1, 2 ... of each row's grid: stationary, Gauss-Markov, of power 1.

    Parameters
    ----------
    keys
        Each row's stream, changed by the owner before :meth:`begin`. Shape (N,).
    num_users
        Number of slots K of a cell.
    correlation
        Correlation of an amplitude between consecutive instants, in [0, 1).
    span
        Instants before the last one looked at, and after it, that can be looked at as well.
    """

    def __init__(self, keys: Words, num_users: int, correlation: float, span: int = 0) -> None:
        self._keys, self._num_users = keys, num_users
        self._correlation = np.float32(correlation)
        # Half the variance in each quadrature makes the power's mean 1.
        self._deviation = math.sqrt(0.5 * (1.0 - correlation**2))
        self._first = np.float32(math.sqrt(0.5) / self._deviation)
        self._kept = _BLOCK * (1 + math.ceil((span + 1) / _BLOCK))
        self._places = np.arange(keys.size) * self._kept
        # The word of each instant and slot of a block.
        self._counts = np.arange(_BLOCK * num_users).reshape(_BLOCK, 1, num_users)
        self._amplitudes: Float32Array = np.zeros((keys.size, self._kept, 2, num_users), np.float32)
        self._drawn = np.zeros(keys.size, dtype=np.int64)

    def begin(self, rows: IntArray) -> None:
        """Begin new tracks in some rows."""
        self._drawn[rows] = 0

    def reach(self, instants: IntArray) -> None:
        """Draw on until each row has its instant. Shape (N,)."""
        while (rows := np.flatnonzero(instants >= self._drawn)).size:
            for start in range(0, rows.size, _ROWS):
                self._draw(rows[start : start + _ROWS])

    def _draw(self, rows: IntArray) -> None:
        """Draw the next block of instants of some rows."""
        drawn = self._drawn[rows]
        word = words(self._keys[rows, None], drawn[:, None] * self._num_users, self._counts)
        noise = np.empty((_BLOCK, 2, rows.size, self._num_users), np.float32)
        noise[:, 0], noise[:, 1] = normal_pairs(word, self._deviation)
        before = self._amplitudes[rows, (drawn - 1) % self._kept].swapaxes(0, 1).copy()
        fresh = np.flatnonzero(drawn == 0)
        noise[0, :, fresh] *= self._first
        before[:, fresh] = 0.0
        scaled = np.empty_like(before)
        for instant in noise:
            instant += np.multiply(before, self._correlation, out=scaled)
            before = instant
        blocks = self._amplitudes.reshape(len(self._drawn), -1, _BLOCK, 2, self._num_users)
        blocks[rows, drawn % self._kept // _BLOCK] = noise.transpose(2, 0, 1, 3)
        self._drawn[rows] = drawn + _BLOCK

    def at(self, instants: IntArray) -> Float32Array:
        """Amplitudes at one instant of each row. Shapes: ``instants`` (N,), result (N, 2, K)."""
        whole = self._amplitudes.reshape(-1, 2 * self._num_users)
        found = whole.take(self._places + instants % self._kept, axis=0)
        return found.reshape(-1, 2, self._num_users)

    def at_each(self, instants: IntArray) -> Float32Array:
        """Amplitudes at an instant of each slot. Shapes: ``instants`` (N, K), result (N, 2, K)."""
        num_users = self._num_users
        first = (self._places[:, None] + instants % self._kept) * (2 * num_users) + np.arange(num_users)
        parts = [self._amplitudes.reshape(-1).take(first + part * num_users) for part in (0, 1)]
        return np.stack(parts, axis=1)

    def of(self, rows: IntArray, slots: IntArray, instants: IntArray) -> Float32Array:
        """Amplitudes of one slot in each of some rows. Shapes: all (M,), result (M, 2)."""
        return self._amplitudes[rows, instants % self._kept, :, slots]

    def state(self) -> dict[str, Any]:
        """Return all that the amplitudes to come depend on, besides the keys."""
        return {"fade_amplitudes": self._amplitudes.copy(), "fade_drawn": self._drawn.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, in tracks of the same sizes."""
        self._amplitudes[...] = state["fade_amplitudes"]
        self._drawn[...] = state["fade_drawn"]
