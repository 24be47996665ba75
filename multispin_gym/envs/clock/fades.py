"""Small-scale fading in time: every slot's complex amplitude on a grid of instants, as a function of its stream alone.

What a policy decides moves the instants at which the channel is looked at, not the channel: the amplitudes are drawn on
a grid of the clock, and a look at time t sees the instant of the grid before it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from multispin_gym._arrays import Float32Array
from multispin_gym._validation import FloatArray, IntArray

# Instants of the grid in a coherence time. Between them the amplitude is held, so the correlation of two looks is the
# exponential's chord between neighbouring instants: at most 1 / (8 * 8**2) of it above the exponential.
INSTANTS_PER_COHERENCE_TIME = 8
# Instants that a row draws at a time.
_BLOCK = 32
# Half the variance in each quadrature makes the power's mean 1.
_HALF = np.float32(math.sqrt(0.5))


class FadeTracks:
    """Amplitudes of N x K slots at the instants 0, 1, 2 ... of each row's grid: stationary, Gauss-Markov, of power 1.

    Parameters
    ----------
    num_rows, num_users
        Number of cells N and of slots K in each.
    correlation
        Correlation of an amplitude between consecutive instants, in [0, 1).
    span
        Instants before the last one looked at, and after it, that can be looked at as well.
    """

    def __init__(self, num_rows: int, num_users: int, correlation: float, span: int = 0) -> None:
        self._correlation = np.float32(correlation)
        self._scale = np.float32(math.sqrt(0.5 * (1.0 - correlation**2)))
        self._rows = np.arange(num_rows)
        self._kept = _BLOCK * (1 + math.ceil((span + 1) / _BLOCK))
        self._amplitudes: Float32Array = np.zeros((num_rows, self._kept, 2, num_users), np.float32)
        self._drawn = np.zeros(num_rows, dtype=np.int64)

    def begin(self, rows: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Begin new tracks in some rows, each from its own generator."""
        self._drawn[rows] = 0
        self._draw(rows, generators)

    def _draw(self, rows: IntArray, generators: Sequence[np.random.Generator]) -> None:
        """Draw the next block of instants of some rows."""
        noise = np.empty((len(rows), _BLOCK, *self._amplitudes.shape[2:]), np.float32)
        for generator, block in zip(generators, noise, strict=True):
            generator.standard_normal(out=block, dtype=np.float32)
        fresh = self._drawn[rows] == 0
        noise[fresh, 0] *= _HALF
        noise[~fresh, 0] *= self._scale
        noise[:, 1:] *= self._scale
        before = self._amplitudes[rows, (self._drawn[rows] - 1) % self._kept]
        before[fresh] = 0.0
        for instant in noise.swapaxes(0, 1):
            before *= self._correlation
            before += instant
            instant[...] = before
        places = (self._drawn[rows, None] + np.arange(_BLOCK)) % self._kept
        self._amplitudes[rows[:, None], places] = noise
        self._drawn[rows] += _BLOCK

    def reach(self, instants: IntArray, generators: Sequence[Sequence[np.random.Generator]], stream: int) -> None:
        """Draw on until each row has its instant. Shapes: ``instants`` (N,); ``generators`` one list for each row."""
        while True:
            rows = np.flatnonzero(instants >= self._drawn)
            if rows.size == 0:
                return
            self._draw(rows, [generators[row][stream] for row in rows.tolist()])

    def at(self, instants: IntArray) -> FloatArray:
        """Amplitudes at one instant of each row. Shapes: ``instants`` (N,), result (N, 2, K)."""
        return self._amplitudes[self._rows, instants % self._kept].astype(np.float64)

    def at_each(self, instants: IntArray) -> FloatArray:
        """Amplitudes at an instant of each slot. Shapes: ``instants`` (N, K), result (N, 2, K)."""
        num_users = instants.shape[1]
        first = (self._rows[:, None] * self._kept + instants % self._kept) * (2 * num_users) + np.arange(num_users)
        parts = [self._amplitudes.reshape(-1).take(first + part * num_users) for part in (0, 1)]
        return np.stack(parts, axis=1).astype(np.float64)

    def of(self, rows: IntArray, slots: IntArray, instants: IntArray) -> FloatArray:
        """Amplitudes of one slot in each of some rows. Shapes: all (M,), result (M, 2)."""
        return np.asarray(self._amplitudes[rows, instants % self._kept, :, slots])

    def state(self) -> dict[str, Any]:
        """Return all that the amplitudes to come depend on."""
        return {"fade_amplitudes": self._amplitudes.copy(), "fade_drawn": self._drawn.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, in tracks of the same sizes."""
        self._amplitudes[...] = state["fade_amplitudes"]
        self._drawn[...] = state["fade_drawn"]
