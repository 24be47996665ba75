"""N cells in time: their clocks, channels, requests and draws, each cell from generators of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._arrays import Float32Array
from multispin_gym._generators import WORDS, generator_of, words_of
from multispin_gym._validation import MOST_ROWS_TIMES_USERS, FloatArray, IntArray
from multispin_gym.envs.clock.channel import Channel
from multispin_gym.envs.clock.round_draws import RoundDraws
from multispin_gym.envs.clock.states import check_state
from multispin_gym.envs.clock.traffic import Comings, Traffic
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.scenario import Scenario

# A row's generators, in the order in which its seed spawns them.
REQUESTS, FADING, ACCEPTANCE, REPORTS = range(4)
_STREAMS = 4


class ClockStreams:
    """What N cells meet, round by round, on their clocks.

    Parameters
    ----------
    scenario
        Where users, channels and requests come from.
    clock
        How time passes.
    num_users
        Slots K of a cell.
    num_rows
        Number of cells N.
    """

    def __init__(self, scenario: Scenario, clock: Clock, num_users: int, num_rows: int) -> None:
        if num_rows * num_users > MOST_ROWS_TIMES_USERS:
            raise ValueError(
                f"cells times num_users must lie in [1, {MOST_ROWS_TIMES_USERS}], got {num_rows} x {num_users}"
            )
        self.scenario, self.clock = scenario, clock
        self.num_rows = num_rows
        self.seeded = np.zeros(num_rows, dtype=np.bool_)
        self.position = np.zeros(num_rows, dtype=np.int64)
        self.time: FloatArray = np.zeros(num_rows)
        self._generators: list[list[np.random.Generator]] = [[] for _ in range(num_rows)]
        bounds = scenario.observation_bounds
        self._least_gain_db = np.float32(bounds["channel_gain_db"][0])
        empty = {
            "acceptance_rate": bounds["acceptance_rate"][0],
            "drafting_speed": bounds["drafting_speed"][0],
            "mean_gain": float(scenario.db_to_gain(self._least_gain_db)),
        }
        self._channel = Channel(scenario, clock, num_rows, num_users)
        self.traffic = Traffic(scenario, clock, num_rows, num_users, self._channel, empty)
        self._uniforms = RoundDraws("acceptance_draws", "uniform", num_rows, num_users) if clock.sampled else None
        noisy = clock.report_noise_db > 0.0
        self._noise = RoundDraws("report_draws", "normal", num_rows, num_users) if noisy else None
        self.exact_reports = clock.report_age == 0.0 and not noisy
        self._power = np.full((num_rows, num_users), scenario.reference_power)
        self._power.flags.writeable = False
        self.reported_gain_db: Float32Array = np.zeros((num_rows, num_users), dtype=np.float32)
        self.report_age: FloatArray = np.zeros((num_rows, num_users))
        self._gain: FloatArray = self._power

    def seed(self, row: int, seed: int) -> None:
        """Give a row the streams of a seed; its next episode begins with them."""
        children = np.random.SeedSequence(seed).spawn(_STREAMS)
        self._generators[row] = [np.random.Generator(np.random.PCG64(child)) for child in children]
        self.seeded[row] = True

    def begin(self, rows: IntArray) -> tuple[Comings, FloatArray]:
        """Begin new episodes in some rows; return who came before the first round, and how long nobody did.

        Shapes: ``rows`` (M,), result (N,).
        """
        self.position[rows], self.time[rows] = 0, 0.0
        of_rows = [self._generators[row] for row in rows.tolist()]
        self._channel.begin(rows, [streams[FADING] for streams in of_rows])
        for draws, stream in ((self._uniforms, ACCEPTANCE), (self._noise, REPORTS)):
            if draws is not None:
                draws.begin(rows, [streams[stream] for streams in of_rows])
        self.traffic.begin(rows, self._generators, REQUESTS, self.time)
        came, before = Comings.none(self.num_rows), self.time.copy()
        self._wait(rows, came)
        self._look()
        return came, self.time - before

    def advance(
        self,
        rows: IntArray,
        latency: FloatArray,
        gone: NDArray[np.bool_],
        held: NDArray[np.bool_] | None = None,
    ) -> tuple[Comings, FloatArray]:
        """Move on to the next round in some rows; return who came, and for how long nobody was there.

        Shapes: ``rows`` (M,), ``latency`` (N,), ``gone`` (N, K): whose request has ended, ``held`` (N, K): slots that
        nobody may enter yet; result (N,).
        """
        self.position[rows] += 1
        self.time[rows] += latency[rows]
        for draws, stream in ((self._uniforms, ACCEPTANCE), (self._noise, REPORTS)):
            if draws is not None:
                draws.reach(rows, self.position[rows], self._generators, stream)
        before = self.time.copy()
        came = self._move_on(rows, gone, held)
        self._wait(rows, came)
        self._look()
        return came, self.time - before

    def _move_on(self, rows: IntArray, gone: NDArray[np.bool_], held: NDArray[np.bool_] | None = None) -> Comings:
        instants = self._channel.instants(self.time, self.position)
        self._channel.reach(instants, self._generators, FADING)
        return self.traffic.move_on(rows, self.time, instants, gone, self._generators, REQUESTS, held)

    def _wait(self, rows: IntArray, came: Comings) -> None:
        """Where nobody is present, move the clock on to the next arrival, but not beyond the end of the episode."""
        nobody = np.zeros(self.traffic.slots.present.shape, dtype=np.bool_)
        while self.traffic.arrives:
            rows = rows[~self.traffic.slots.present[rows].any(axis=1)]
            end = np.inf if self.clock.episode_seconds is None else self.clock.episode_seconds
            rows = rows[self.time[rows] < end]
            if rows.size == 0:
                return
            self.time[rows] = np.minimum(np.maximum(self.traffic.next_arrival[rows], self.time[rows]), end)
            came.add(self._move_on(rows, nobody))

    def _look(self) -> None:
        """Look at the channels as they are, and at what is reported of them."""
        slots = self.traffic.slots
        instants = self._channel.instants(self.time, self.position)
        self._channel.reach(instants, self._generators, FADING)
        gain = slots.values["mean_gain"] * self._channel.power(instants, slots.instant)
        if self.exact_reports:
            self.reported_gain_db = self._shown(gain)
            gain = self.scenario.db_to_gain(self.reported_gain_db)
        else:
            self._report(instants)
        gain.flags.writeable = False
        self._gain = gain

    def _report(self, instants: IntArray) -> None:
        """Look at the channels as they were when they were last measured: at entry, for who has just come."""
        slots, clock = self.traffic.slots, self.clock
        self.report_age = np.minimum(clock.report_age, self.time[:, None] - slots.values["joined"])
        measured = self._channel.instants(self.time[:, None] - self.report_age, self.position[:, None])
        measured = np.maximum(measured, slots.instant)
        gain_db = self.scenario.gain_to_db(slots.values["mean_gain"] * self._channel.power(measured, slots.instant))
        if self._noise is not None:
            low, high = self.scenario.observation_bounds["channel_gain_db"]
            noise = clock.report_noise_db * self._noise.at(self.position)
            gain_db = np.clip(gain_db + noise, low, high).astype(np.float32)
        self.reported_gain_db = np.where(slots.present, gain_db, self._least_gain_db)

    def _shown(self, gain: FloatArray) -> Float32Array:
        """Gains in decibels, as they are observed. Shape (N, K)."""
        return np.where(self.traffic.slots.present, self.scenario.gain_to_db(gain), self._least_gain_db)

    @property
    def spacing(self) -> float:
        """Seconds between the instants at which channels change."""
        assert self._channel.spacing is not None
        return self._channel.spacing

    def look_ahead(self, time: FloatArray) -> IntArray:
        """Draw the channels on until a time; return the last instant by then. Shapes (N,)."""
        instants = self._channel.instants(time, self.position)
        self._channel.reach(instants, self._generators, FADING)
        return instants

    def gain_at(self, instants: IntArray) -> FloatArray:
        """Channel gains at an instant of each slot since the round began. Shape (N, K)."""
        slots = self.traffic.slots
        gain = slots.values["mean_gain"] * self._channel.power(instants, slots.instant)
        # What is shown exactly is what is played.
        return self.scenario.db_to_gain(self._shown(gain)) if self.exact_reports else gain

    @property
    def uniforms(self) -> FloatArray | None:
        """Acceptance draws of the round about to be played, where sampled. Shape (N, K)."""
        return None if self._uniforms is None else self._uniforms.at(self.position)

    @property
    def users(self) -> Users:
        """The users of the round about to be played, as they are. Shape (N, K)."""
        return self._users(self._gain)

    @property
    def mean_users(self) -> Users:
        """The users present with their mean channel gains, before fading. Shape (N, K)."""
        return self._users(self.traffic.slots.values["mean_gain"])

    def _users(self, gain: FloatArray) -> Users:
        slots = self.traffic.slots
        slots.show()
        return Users.trusted(
            acceptance_rate=slots.values["acceptance_rate"],
            drafting_speed=slots.values["drafting_speed"],
            channel_gain=gain,
            transmit_power=self._power,
            drafting_time=slots.drafting_time,
            token_terms=slots.terms,
            present=slots.present if self.traffic.arrives else None,
        )

    def state(self) -> dict[str, Any]:
        """Return all that the rounds to come depend on."""
        generators = np.zeros((self.num_rows, _STREAMS, WORDS), dtype=np.uint64)
        for row in np.flatnonzero(self.seeded).tolist():
            for stream, generator in enumerate(self._generators[row]):
                generators[row, stream] = words_of(generator)
        own = {name: getattr(self, name).copy() for name in ("seeded", "position", "time")}
        state = {"generators": generators.view(np.int64), **own, **self._channel.state(), **self.traffic.state()}
        for draws in (self._uniforms, self._noise):
            if draws is not None:
                state |= draws.state()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, by streams for the same scenario and sizes."""
        ranges = dict.fromkeys(("position", "time"), (0.0, np.inf)) | self.traffic.ranges
        check_state(state, self.state(), ranges)
        for name in ("seeded", "position", "time"):
            getattr(self, name)[...] = state[name]
        words = np.asarray(state["generators"]).view(np.uint64)
        for row in np.flatnonzero(self.seeded).tolist():
            self._generators[row] = [generator_of(stream) for stream in words[row]]
        parts = (self._channel, self.traffic, self._uniforms, self._noise)
        for part in parts:
            if part is not None:
                part.restore(state)
        # Rows without streams have nothing to look at.
        if self.seeded.all():
            self._look()
