"""Every slot's channel in time, and what is reported of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from multispin_gym._counters import Words
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.envs.clock.fades import INSTANTS_PER_COHERENCE_TIME, FadeTracks
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.scenario import Scenario

# Instants after which less than 1e-27 is left of an offset at the correlation of a coherence time's grid.
_LONG = 512


class Channel:
    """Power gains of N x K slots: the fade of a slot's track, begun anew with each device that enters it.

    An amplitude of a device that entered at instant m with the amplitude z is, at instant n,
    ``x[n] + correlation**(n - m) * (z - x[m])``, where x is the slot's track: innovations since m do not depend on
    x[m], so this is a stationary Gauss-Markov process which begins at z and knows nothing of the device before.

    Without a coherence time instants are rounds, and the scenario's own correlation from round to round holds.

    Parameters
    ----------
    scenario, clock
        The law of the fading, and its coherence time and the age of reports.
    keys
        Each row's stream; see :class:`multispin_gym.envs.clock.fades.FadeTracks`. Shape (N,).
    num_users
        Number of slots K of a cell.
    """

    def __init__(self, scenario: Scenario, clock: Clock, keys: Words, num_users: int) -> None:
        fading = scenario.fading
        self._fades = fading.model != "none"
        self.spacing = clock.coherence_time / INSTANTS_PER_COHERENCE_TIME if clock.coherence_time else None
        correlation = math.exp(-1.0 / INSTANTS_PER_COHERENCE_TIME) if self.spacing else fading.correlation
        longest = clock.report_age + ((clock.round_timeout or 0.0) if clock.fading_within_rounds else 0.0)
        span = math.ceil(longest / self.spacing) + 1 if self.spacing else 1
        self._correlation = correlation
        # What is left of an offset after so many instants; in the end nothing.
        self._left = correlation ** np.arange(_LONG + 1.0)
        self._left[-1] = 0.0
        self._tracks = FadeTracks(keys, num_users, correlation, span)
        self._offsets: FloatArray = np.zeros((2, keys.size, num_users))
        self._first: FloatArray = np.ones((keys.size, num_users))
        self._any_offset = False

    def begin(self, rows: IntArray) -> None:
        """Begin an episode in some rows."""
        self._tracks.begin(rows)
        self._offsets[:, rows] = 0.0

    def instants(self, time: FloatArray, rounds: IntArray) -> IntArray:
        """The instant of the grid at or before a time; the round, without a coherence time. Shapes (M,)."""
        return rounds if self.spacing is None else (time / self.spacing).astype(np.int64)

    def reach(self, instants: IntArray) -> None:
        """Draw on until each row has its instant. Shape (N,)."""
        if self._fades:
            self._tracks.reach(instants)

    def enter(self, rows: IntArray, slots: IntArray, amplitudes: FloatArray, instants: IntArray) -> None:
        """Let devices enter slots, each with its first amplitude. ``amplitudes`` has shape (M, 2)."""
        self._any_offset = True
        track = self._tracks.of(rows, slots, instants)
        self._offsets[:, rows, slots] = (amplitudes - track).T
        self._first[rows, slots] = amplitudes[:, 0] ** 2 + amplitudes[:, 1] ** 2

    def power(self, instants: IntArray, entered: IntArray) -> FloatArray:
        """Power of each slot's fade, of who entered later the first one.

        Shapes: ``instants`` (N,) or (N, K), ``entered`` (N, K), result (N, K).
        """
        if not self._fades:
            return np.ones(entered.shape)
        tracks = self._tracks.at(instants) if instants.ndim == 1 else self._tracks.at_each(instants)
        parts: list[FloatArray] = [tracks[:, part].astype(np.float64) for part in (0, 1)]
        since = (instants[:, None] if instants.ndim == 1 else instants) - entered
        if self._any_offset and self._correlation > 0.0:
            # A negative index is clipped to the first one.
            left = self._left.take(since, mode="clip")
            for part, offset in zip(parts, self._offsets, strict=True):
                part += left * offset
        power, other = (part * part for part in parts)
        power += other
        return np.where(since < 0, self._first, power)

    def state(self) -> dict[str, Any]:
        """Return all that the fades to come depend on, besides the generators."""
        return {**self._tracks.state(), "fade_offsets": self._offsets.copy(), "fade_first": self._first.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken."""
        self._tracks.restore(state)
        self._offsets[...] = state["fade_offsets"]
        self._first[...] = state["fade_first"]
        self._any_offset = bool(self._offsets.any())
