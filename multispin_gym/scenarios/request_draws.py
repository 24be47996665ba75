"""Requests drawn one after another, each with its task, device, channel, length and slack."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from multispin_gym._counters import normal_pairs, uniforms, words
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.physics.path_loss import db_to_gain
from multispin_gym.scenarios.mean_gains import mean_gain_db
from multispin_gym.scenarios.mixtures import RangeMixture
from multispin_gym.scenarios.populations import rate_mixture

if TYPE_CHECKING:
    from multispin_gym.scenarios.scenario import Scenario

COLUMNS = (
    "task",
    "acceptance_rate",
    "drafting_speed",
    "channel_gain",
    "length",
    "slack",
    "fade_real",
    "fade_imaginary",
)
"""What the columns of :meth:`RequestLaw.draw` hold."""

_DEVIATION = math.sqrt(0.5)
# Words of a request: one for each uniform number, and one for the fade.
_WORDS = 9
_PLACES = np.arange(_WORDS)[:, None]


class RequestLaw:
    """The law of what a request brings with it.

    Parameters
    ----------
    scenario
        The scenario; without a clock, or without requests in it, lengths are infinite.
    """

    def __init__(self, scenario: Scenario) -> None:
        clock = scenario.clock
        own = scenario.acceptance_rates == "own" or (clock is not None and clock.hidden)
        self._scenario = scenario
        self._requests = None if clock is None else clock.requests
        self._rates = rate_mixture(scenario.acceptance, "own" if own else "task")
        self._speeds: RangeMixture = scenario.mixtures[1]

    def draw(self, keys: NDArray[np.integer], counts: IntArray) -> FloatArray:
        """Draw requests.

        Parameters
        ----------
        keys
            The stream of each request; see :func:`multispin_gym._counters.words`. Shape (M,).
        counts
            Which request of its stream it is; nothing else has an influence. Shape (M,).

        Returns
        -------
        numpy.ndarray
            A row per request, with :data:`COLUMNS`: index of the task in ``scenario.acceptance``; acceptance rate,
            the request's own where the scenario has own rates or hides them, else the task's mean; drafting speed,
            token/s; mean channel gain, linear, with what the power lies above the reference power folded in; length,
            tokens (infinite without requests); slack (infinite without deadlines); real and imaginary part of the first
            fade's complex amplitude, of mean power 1. Rates and speeds are float32 numbers. Shape (M, 8).
        """
        scenario, requests = self._scenario, self._requests
        word = words(keys, counts * _WORDS + _PLACES)
        task, level, device, speed, where, power, length, slack = uniforms(word[:-1])
        drawn = np.empty((len(COLUMNS), len(counts)))
        index = self._rates.components(task)
        drawn[0] = index
        drawn[1] = self._rates.approximate(index, level).astype(np.float32)
        drawn[2] = self._speeds.invert(device, speed).astype(np.float32)
        weak, strong = scenario.power_offset_db
        gain_db = mean_gain_db(where, scenario.distance, scenario.path_loss, scenario.mean_gain)
        drawn[3] = db_to_gain(gain_db + (weak + (strong - weak) * power))
        drawn[4] = math.inf if requests is None else requests.lengths(length)
        if requests is None or requests.slack is None:
            drawn[5] = math.inf
        else:
            low, high = requests.slack
            drawn[5] = low + (high - low) * slack
        drawn[6], drawn[7] = normal_pairs(word[-1], _DEVIATION)
        return drawn.T
