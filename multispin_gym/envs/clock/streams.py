"""N cells in time: their clocks, channels, requests and draws, each cell from streams of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multispin_gym._arrays import Float32Array
from multispin_gym._counters import Words, keys_of, normal_pairs, uniforms, words
from multispin_gym._validation import MOST_ROWS_TIMES_USERS, BoolArray, FloatArray, IntArray
from multispin_gym.envs.clock.channel import Channel
from multispin_gym.envs.clock.states import check_state
from multispin_gym.envs.clock.traffic import Comings, Traffic
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.scenario import Scenario

# A row's streams, by what is drawn from them; the first three are the newcomers'.
REQUESTS, ARRIVALS, PHASES, FADING, ACCEPTANCE, REPORTS = range(6)
STREAMS = 6


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
        # The keys of each seed, how many episodes have begun with it, and the last one's keys, which the parts share.
        self._seeds: Words = np.zeros((STREAMS, num_rows), dtype=np.uint64)
        self._episodes = np.zeros(num_rows, dtype=np.int64)
        self._keys: Words = np.zeros((STREAMS, num_rows), dtype=np.uint64)
        bounds = scenario.observation_bounds
        self._least_gain_db = np.float32(bounds["channel_gain_db"][0])
        empty = {
            "acceptance_rate": bounds["acceptance_rate"][0],
            "drafting_speed": bounds["drafting_speed"][0],
            "mean_gain": float(scenario.db_to_gain(self._least_gain_db)),
        }
        self._channel = Channel(scenario, clock, self._keys[FADING], num_users)
        self.traffic = Traffic(scenario, clock, self._keys[:FADING], num_users, self._channel, empty)
        self._places = np.arange(num_users)
        noisy = clock.report_noise_db > 0.0
        self._end = np.inf if clock.episode_seconds is None else clock.episode_seconds
        self.exact_reports = clock.report_age == 0.0 and not noisy
        self._rows = np.arange(num_rows)
        self._power = np.full((num_rows, num_users), scenario.reference_power)
        self._power.flags.writeable = False
        self.reported_gain_db: Float32Array = np.zeros((num_rows, num_users), dtype=np.float32)
        self.report_age: FloatArray = np.zeros((num_rows, num_users))
        self._gain: FloatArray = self._power

    def seed(self, row: int, seed: int) -> None:
        """Give a row the streams of a seed; its next episode begins with them."""
        self._seeds[:, row] = keys_of(seed, STREAMS)
        self._episodes[row] = 0
        self.traffic.forget(row)
        self.seeded[row] = True

    def begin(self, rows: IntArray) -> tuple[Comings, FloatArray]:
        """Begin new episodes in some rows; return who came before the first round, and how long nobody did.

        Shapes: ``rows`` (M,), result (N,).
        """
        self._start(rows)
        before = self.time.copy()
        came = self._settle(rows, Comings.none(self.num_rows), self.traffic.free, None)
        return came, self.time - before

    def _start(self, rows: IntArray) -> None:
        """Begin new episodes in some rows, in which nothing has happened yet."""
        self._keys[:, rows] = words(self._seeds[:, rows], self._episodes[rows])
        self._episodes[rows] += 1
        self._channel.begin(rows)
        self.traffic.begin(rows, lambda: words(self._seeds[:FADING], self._episodes))
        self.position[rows], self.time[rows] = 0, 0.0

    def advance(
        self,
        latency: FloatArray,
        gone: BoolArray,
        held: BoolArray | None = None,
        begun: IntArray | None = None,
    ) -> tuple[Comings, FloatArray]:
        """Move on to the next round; return who came, and for how long nobody was there.

        Shapes: ``latency`` (N,), ``gone`` (N, K): whose request has ended, ``held`` (N, K): slots that nobody may enter
        yet, ``begun``: rows in which a new episode begins instead; result (N,).
        """
        self.position += 1
        self.time += latency
        if begun is not None:
            self._start(begun)
            gone = gone.copy()
            gone[begun] = False
        before, came = self.time.copy(), Comings.none(self.num_rows)
        free = self.traffic.let_go(self.time, gone, came)
        return self._settle(self._rows, came, free, held), self.time - before

    def _reached(self) -> IntArray:
        """Draw the channels on until now; return the instants. Shape (N,)."""
        instants = self._channel.instants(self.time, self.position)
        self._channel.reach(instants)
        return instants

    def _settle(self, rows: IntArray, came: Comings, free: IntArray, held: BoolArray | None) -> Comings:
        """Let those in who have come to some rows, and look at the channels.

        Where nobody is present, the clock moves on to the next arrival, but not beyond the end of the episode.

        Shapes: ``rows`` (M,), ``free``, slots that were so in the round, (N,), ``held`` (N, K).
        """
        instants = None
        while self.traffic.arrives and (instants is None or rows.size):
            waits = self.traffic.deserted(rows, self.time, self._end)
            self.time[waits] = np.minimum(self.traffic.next_arrival[waits], self._end)
            free[waits] = self._places.size
            if held is not None:
                held[waits] = False
            instants = self._reached()
            self.traffic.admit(rows, self.time, instants, came, free, held)
            rows = self.traffic.deserted(rows, self.time, self._end)
        self._look(instants)
        return came

    def _look(self, instants: IntArray | None = None) -> None:
        """Look at the channels as they are, and at what is reported of them. ``instants`` where known, shape (N,)."""
        slots = self.traffic.slots
        if instants is None:
            instants = self._reached()
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
        measured = instants
        if clock.report_age > 0.0 and self._channel.spacing is not None:
            measured = self._channel.instants(np.maximum(self.time - clock.report_age, 0.0), self.position)
        gain_db = self.scenario.gain_to_db(slots.values["mean_gain"] * self._channel.power(measured, slots.instant))
        if clock.report_noise_db > 0.0:
            low, high = self.scenario.observation_bounds["channel_gain_db"]
            gain_db = np.maximum(np.minimum(gain_db + self._noise(), np.float32(high)), np.float32(low))
        self.reported_gain_db = np.where(slots.present, gain_db, self._least_gain_db)

    def _noise(self) -> Float32Array:
        """The errors of the reports before the round about to be played, dB. Shape (N, K)."""
        pairs = (self._places.size + 1) // 2
        word = words(self._keys[REPORTS, :, None], self.position[:, None] * pairs, np.arange(pairs))
        noise = np.empty((self.num_rows, 2 * pairs), np.float32)
        noise[:, ::2], noise[:, 1::2] = normal_pairs(word, self.clock.report_noise_db)
        return noise[:, : self._places.size]

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
        self._channel.reach(instants)
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
        if not self.clock.sampled:
            return None
        before = self.position[:, None] * self._places.size
        return uniforms(words(self._keys[ACCEPTANCE, :, None], before, self._places))

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
        own = {name: getattr(self, name).copy() for name in ("seeded", "position", "time")}
        keys = {"seeds": self._seeds.T, "episodes": self._episodes, "keys": self._keys.T}
        own |= {name: value.astype(np.int64) for name, value in keys.items()}
        return {**own, **self._channel.state(), **self.traffic.state()}

    def __reduce__(self) -> tuple[Any, ...]:
        # Parts share arrays, which pickling would part.
        return _rebuilt, (self.scenario, self.clock, self._places.size, self.num_rows, self.state())

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, by streams for the same scenario and sizes."""
        ranges = dict.fromkeys(("position", "time", "episodes"), (0.0, np.inf)) | self.traffic.ranges
        check_state(state, self.state(), ranges)
        for name in ("seeded", "position", "time"):
            getattr(self, name)[...] = state[name]
        for keys, name in ((self._seeds, "seeds"), (self._keys, "keys")):
            keys[...] = np.asarray(state[name]).astype(np.uint64).T
        self._episodes[...] = state["episodes"]
        for part in (self._channel, self.traffic):
            part.restore(state)
        # Rows without streams have nothing to look at.
        if self.seeded.all():
            self._look()


def _rebuilt(scenario: Scenario, clock: Clock, num_users: int, num_rows: int, state: dict[str, Any]) -> ClockStreams:
    streams = ClockStreams(scenario, clock, num_users, num_rows)
    streams.restore(state)
    return streams
