"""The present channels, as far as old and noisy reports and the times of past uploads tell them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import BoolArray, FloatArray, IntArray, check_flag, check_integer, check_number
from multispin_gym.baselines.estimators.beliefs import Seen, present_in, reported_gain_db
from multispin_gym.baselines.estimators.fade_grid import FadeGrid
from multispin_gym.baselines.estimators.gain_law import GainLaw
from multispin_gym.baselines.estimators.measured_gains import NOTHING, UNKNOWN_BEYOND, measured_gains
from multispin_gym.scenarios.mean_gains import mean_gain_db
from multispin_gym.scenarios.scenario import Scenario

_POINTS = 64
# Likelihoods below this are as good as none; it keeps a belief that was wrong from being certain.
_LEAST = 1e-9


@dataclass(eq=False)
class _Upload:
    """What uploads of one round told: gains at the round's instant, and of whom nothing has been made yet."""

    instant: IntArray
    gain_db: FloatArray
    kind: NDArray[np.int8]


class ChannelBelief:
    """Exact filter of every user's channel on a grid: a hidden Markov model of mean gain and fade.

    The power of a Gauss-Markov fade is Markov (see :class:`FadeGrid`); the user's mean gain, of which the scenario has
    the law, is a second coordinate that does not change. A report multiplies the probabilities by its likelihood,
    normal in decibels, at the instant at which it was measured. So does an upload of the round before: how long it took
    tells the gain then, without error, and that it was late tells that the gain was less than would have sufficed.
    What is known of an instant after the last report waits until the reports have come as far, and is used for the
    forecast meanwhile.

    Parameters
    ----------
    scenario
        The scenario, whose laws are known.
    levels
        Values of a user's mean gain that are told apart, in [1, 64].
    spacing_db
        Width of the grid's cells, dB; in [0.1, 5].
    instants
        Instants in a coherence time between which a fade is held, in [1, 1000]; the environments have 8.
    uploads
        Whether the times of past uploads are used. They are not where fades go on within a round.

    Raises
    ------
    ValueError
        If an option is out of range, or the scenario has no clock.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        levels: int = 4,
        spacing_db: float = 1.0,
        instants: int = 8,
        uploads: bool = True,
    ) -> None:
        check_integer("levels", levels, low=1, high=64)
        check_number("spacing_db", spacing_db, low=0.1, high=5.0)
        check_integer("instants", instants, low=1, high=1000)
        if scenario.clock is None:
            raise ValueError("scenario.clock is missing: channels age only where time passes")
        self._scenario, self._clock = scenario, scenario.clock
        self._uploads = check_flag("uploads", uploads) and not self._clock.fading_within_rounds
        coherence = self._clock.coherence_time
        self._spacing = coherence / instants if coherence else None
        rho = float(np.exp(-1.0 / instants)) if coherence else scenario.fading.correlation
        self._grid = FadeGrid(rho, spacing_db, scenario.fading.model != "none")
        means = _mean_gains_db(scenario, levels)
        self._gain_db: FloatArray = means[:, None] + self._grid.nodes_db
        self._prior = np.broadcast_to(self._grid.stationary / levels, self._gain_db.shape)
        self._first_db, self._onto = _common_grid(self._gain_db, spacing_db)
        # Narrower likelihoods would fall between the nodes.
        self._noise_db = max(self._clock.report_noise_db, 0.5 * spacing_db)
        self._measuring_db = 0.5 * spacing_db

    def reset(self, observation: Seen, info: Seen, rows: NDArray[np.bool_] | None = None) -> None:
        """Forget, in new episodes.

        Parameters
        ----------
        observation, info
            What is seen. Entries of shape (N, K).
        rows
            Which of the batch begin anew; None: all. Shape (N,).
        """
        shape = observation["drafting_speed"].shape
        if rows is None or not hasattr(self, "_round"):
            self._mass: FloatArray = np.tile(self._prior, (*shape, 1, 1))
            self._at, self._entered = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
            self._there = np.zeros(shape, np.bool_)
            self._age: FloatArray = np.zeros(shape)
            self._now, self._round = np.zeros(shape[0], np.int64), np.zeros(shape[0], np.int64)
            self._pending: list[_Upload] = []
            return
        self._there[rows], self._round[rows], self._now[rows] = False, 0, 0
        for upload in self._pending:
            upload.kind[rows] = NOTHING

    def observe(self, observation: Seen, info: Seen) -> GainLaw:
        """Take in what is seen before a round, and return the laws of the channels on which it will be played.

        Parameters
        ----------
        observation
            What is seen. Entries of shape (N, K).
        info
            What is known of the round before. Entries of shape (N,) or (N, K).

        Returns
        -------
        GainLaw
            The laws of the present gains. Shape (N, K).
        """
        time = np.asarray(info["time"], dtype=np.float64)
        self._round = self._round + 1
        before, self._now = self._now, self._instants(time[:, None])[:, 0]
        present = present_in(observation)
        new = self._new(observation, present)
        if self._uploads:
            gain_db, kind = measured_gains(self._scenario, info)
            self._pending.append(_Upload(before, gain_db, np.where(new | ~present, NOTHING, kind).astype(np.int8)))
        self._begin(new)
        age = np.asarray(observation.get("report_age", np.zeros(present.shape)), dtype=np.float64)
        reported = np.maximum(self._instants(time[:, None] - age), self._entered)
        # Where a report is no younger than the last, nothing moves back.
        reported = np.maximum(reported, self._at)
        self._mass = self._take_in(self._mass, self._at, reported, forget=True)
        self._at = reported
        gain_db = np.asarray(reported_gain_db(observation), dtype=np.float64)
        self._mass = self._weigh(self._mass, gain_db, self._noise_db)
        now = np.broadcast_to(self._now[:, None], reported.shape)
        present_law = self._take_in(self._mass, self._at, now, forget=False)
        cells = present_law.reshape(*present.shape, -1) @ self._onto
        below = np.concatenate([np.zeros((*present.shape, 1)), np.cumsum(cells, axis=-1)], axis=-1)
        return GainLaw(self._first_db, self._grid.spacing_db, below / below[..., -1:])

    def _instants(self, time: FloatArray) -> IntArray:
        """The instant of the grid at or before each time; the round, where fades are drawn by rounds."""
        if self._spacing is None:
            return np.broadcast_to(self._round[:, None], time.shape)
        return (np.maximum(time, 0.0) / self._spacing).astype(np.int64)

    def _new(self, observation: Seen, present: BoolArray) -> BoolArray:
        """Whose device was not there in the round before. Shape (N, K)."""
        new = present & ~self._there
        requests = self._clock.requests
        if requests is not None and requests.arrivals != "replaced":
            age = np.asarray(observation["request_age"], dtype=np.float64)
            new = new | (present & (age <= self._age))
            self._age = age
        self._there = present
        return new

    def _begin(self, new: BoolArray) -> None:
        self._mass[new] = self._prior
        now = np.broadcast_to(self._now[:, None], new.shape)
        self._at, self._entered = np.where(new, now, self._at), np.where(new, now, self._entered)
        for upload in self._pending[:-1] if self._uploads else []:
            upload.kind[new] = NOTHING

    def _take_in(self, mass: FloatArray, at: IntArray, until: IntArray, *, forget: bool) -> FloatArray:
        """Move on to some instants through the uploads on the way; forget those where asked to."""
        for upload in self._pending:
            instant = np.broadcast_to(upload.instant[:, None], at.shape)
            due = (upload.kind != NOTHING) & (instant <= until)
            if due.any():
                # A report may already have gone beyond where fades are drawn by rounds.
                step = np.where(due, np.maximum(instant - at, 0), 0)
                mass, at = self._move(mass, step), at + step
                mass = self._learn(mass, upload, due)
            if forget:
                upload.kind[due] = NOTHING
        if forget:
            self._pending = [upload for upload in self._pending if (upload.kind != NOTHING).any()]
        return self._move(mass, until - at)

    def _move(self, mass: FloatArray, steps: IntArray) -> FloatArray:
        """Move on by numbers of instants. Shapes: (N, K, M, S), (N, K)."""
        steps = np.minimum(steps, self._grid.horizon)
        found = None
        for step in np.unique(steps).tolist():
            if step == 0:
                continue
            found = mass.copy() if found is None else found
            there = steps == step
            found[there] = mass[there] @ self._grid.after(step)
        return mass if found is None else found

    def _learn(self, mass: FloatArray, upload: _Upload, due: BoolArray) -> FloatArray:
        mass = mass.copy()
        exact = due & (upload.kind != UNKNOWN_BEYOND)
        mass[exact] = self._weigh(mass[exact], upload.gain_db[exact], self._measuring_db)
        late = due & (upload.kind == UNKNOWN_BEYOND)
        excess = (self._gain_db - upload.gain_db[late][..., None, None]) / self._grid.spacing_db
        return _put(mass, late, mass[late] * np.clip(0.5 - excess, _LEAST, 1.0))

    def _weigh(self, mass: FloatArray, gain_db: FloatArray, deviation: float) -> FloatArray:
        """Multiply by the likelihood of gains seen with a normal error. Shapes: (..., M, S), (...,)."""
        gain_db = np.clip(gain_db, self._gain_db.min(), self._gain_db.max())
        distance = (self._gain_db - gain_db[..., None, None]) * (np.sqrt(0.5) / deviation)
        return _normalised(mass * (np.exp(-distance * distance) + _LEAST))


def _put(mass: FloatArray, where: BoolArray, values: FloatArray) -> FloatArray:
    mass[where] = _normalised(values)
    return mass


def _normalised(mass: FloatArray) -> FloatArray:
    return np.asarray(mass / mass.sum(axis=(-2, -1), keepdims=True))


def _mean_gains_db(scenario: Scenario, levels: int) -> FloatArray:
    """Mean gains as observations show them, dB, at so many levels of their law that are as likely. Shape (levels,)."""
    level = (np.arange(_POINTS) + 0.5) / _POINTS
    means = mean_gain_db(level, scenario.distance, scenario.path_loss, scenario.mean_gain)
    low, high = scenario.power_offset_db
    every = means[:, None] + (low + (high - low) * level)
    return np.asarray(np.quantile(every, (np.arange(levels) + 0.5) / levels))


def _common_grid(gain_db: FloatArray, spacing_db: float) -> tuple[float, FloatArray]:
    """The first end of one grid for all gains, and the part of each one's cell that lies in its cells. (A, G)."""
    first = float(gain_db.min() - 0.5 * spacing_db)
    count = int(np.ceil((gain_db.max() + 0.5 * spacing_db - first) / spacing_db - 1e-9))
    lower = (gain_db.reshape(-1, 1) - 0.5 * spacing_db - first) / spacing_db
    return first, np.clip(1.0 - np.abs(lower - np.arange(count)), 0.0, 1.0)
