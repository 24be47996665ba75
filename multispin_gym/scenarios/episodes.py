"""Random streams of many cells: users, channels and acceptance draws, each cell from its own seed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._arrays import Float32Array
from multispin_gym._generators import WORDS, generator_of, words_of
from multispin_gym._validation import MOST_ROUNDS, MOST_ROWS_TIMES_USERS, FloatArray, IntArray
from multispin_gym.physics.acceptance import token_terms
from multispin_gym.physics.users import Users

if TYPE_CHECKING:
    from multispin_gym.scenarios.scenario import Scenario

# A row's draws depend on the sizes of its blocks, so these depend on the scenario's rounds and the number of users
# only: whatever the batch, a seed gives one trajectory. More values in a block cost memory, fewer cost time.
_VALUES_PER_BLOCK = 2048
_EPISODES = (8, 32)
_ROUNDS = (8, 64)
# Values filled at a time, which a core's cache holds.
_CHUNK_VALUES = 32_768
# What a mean gain may be in a state.
_LEAST_GAIN, _LARGEST_GAIN = 1e-40, 1e40


def episodes_per_block(num_users: int) -> int:
    """Episodes whose users a row draws at a time."""
    return min(max(_VALUES_PER_BLOCK // (2 * num_users), _EPISODES[0]), _EPISODES[1])


def rounds_per_block(num_rounds: int, num_users: int) -> int:
    """Rounds that a row draws at a time."""
    longest = min(max(_VALUES_PER_BLOCK // num_users, _ROUNDS[0]), _ROUNDS[1])
    total = num_rounds + 1
    blocks = -(-total // longest)
    return -(-total // blocks)


class CellStreams:
    """The users of N cells, round by round, each row drawn from three generators of its own.

    A row's seed spawns one stream for users, one for fading and one for acceptance. Each is drawn a block at a time
    (users: a block of episodes; fading and acceptance: a block of rounds, begun anew with each episode), so a row
    depends on its seed and on when its episodes begin, not on the rows beside it.

    Parameters
    ----------
    scenario
        Where users and channels come from.
    num_users
        Number of users K.
    num_rows
        Number of cells N.
    num_rounds
        Rounds of an episode; fixes the block.
    sampled
        Whether acceptance draws are needed.
    """

    def __init__(self, scenario: Scenario, num_users: int, num_rows: int, num_rounds: int, sampled: bool) -> None:
        if num_rows * num_users > MOST_ROWS_TIMES_USERS:
            raise ValueError(
                f"cells times num_users must lie in [1, {MOST_ROWS_TIMES_USERS}], got {num_rows} x {num_users}"
            )
        self.scenario = scenario
        self.num_users = num_users
        self.num_rows = num_rows
        self.block = rounds_per_block(num_rounds, num_users)
        self.episodes = episodes_per_block(num_users)
        self.seeded = np.zeros(num_rows, dtype=np.bool_)
        self.position = np.zeros(num_rows, dtype=np.int64)
        self._generators: list[list[np.random.Generator]] = [[] for _ in range(num_rows)]
        self._episode = np.full(num_rows, self.episodes - 1, dtype=np.int64)
        self._rows = np.arange(num_rows)
        # Set while all rows stand at the same round, as they mostly do: a slice then replaces a gather.
        self._common: int | None = None
        shape = (num_rows, num_users)
        pool = (self.episodes, *shape)
        self._pool = {name: np.empty(pool) for name in ("acceptance_rate", "drafting_speed", "channel_gain")}
        self._large_scale: FloatArray = np.ones(shape)
        self._power = np.full(shape, scenario.reference_power)
        self._power.flags.writeable = False
        self._fixed: dict[str, Any] = {}
        self._gain_db: Float32Array = np.empty((self.block, *shape), dtype=np.float32)
        self._uniforms: FloatArray | None = np.empty((self.block, *shape)) if sampled else None
        self._amplitudes = scenario.fading.amplitudes(num_rows, num_users)

    def seed(self, row: int, seed: int) -> None:
        """Give a row the streams of a seed; its next episode begins with them."""
        children = np.random.SeedSequence(seed).spawn(3)
        self._generators[row] = [np.random.Generator(np.random.PCG64(child)) for child in children]
        self._episode[row] = self.episodes - 1
        self.seeded[row] = True

    def begin(self, rows: IntArray) -> None:
        """Begin new episodes: draw users and the first block of rounds."""
        self._episode[rows] += 1
        for row in rows[self._episode[rows] == self.episodes].tolist():
            users = self.scenario.sample_large_scale(self._generators[row][0], self.num_users, batch=(self.episodes,))
            for name, pool in self._pool.items():
                pool[:, row] = getattr(users, name)
            self._episode[row] = 0
        self.position[rows] = 0
        self._common = 0 if rows.size == self.num_rows else self._find_common()
        self._choose_users()
        self._fill(rows, fresh=True)

    def _choose_users(self) -> None:
        """Set what stays fixed during each row's episode, in fresh arrays: earlier users may still be held."""
        picked = {name: pool[self._episode, self._rows] for name, pool in self._pool.items()}
        self._large_scale = picked.pop("channel_gain")
        self._fixed = {**picked, "transmit_power": self._power, "drafting_time": 1.0 / picked["drafting_speed"]}
        for array in self._fixed.values():
            array.flags.writeable = False
        terms = token_terms(picked["acceptance_rate"])
        self._fixed["token_terms"] = terms

    def advance(self, rows: IntArray | None = None) -> None:
        """Move on to the next round, in some rows or in all."""
        if rows is None:
            self.position += 1
            if self._common is not None:
                self._common += 1
                if self._common % self.block == 0:
                    self._fill(self._rows, fresh=False)
                return
            rows = self._rows
        else:
            self.position[rows] += 1
            self._common = self._find_common()
        done = rows[self.position[rows] % self.block == 0]
        if done.size:
            self._fill(done, fresh=False)

    def _find_common(self) -> int | None:
        first = int(self.position[0])
        return first if bool((self.position == first).all()) else None

    def _chunks(self, rows: IntArray) -> Iterator[tuple[slice | IntArray, list[int]]]:
        """Yield the rows in pieces that a core's cache holds, as slices where they are all the rows."""
        size = max(1, _CHUNK_VALUES // (self.block * self.num_users))
        whole = rows.size == self.num_rows
        for start in range(0, rows.size, size):
            part = rows[start : start + size]
            yield slice(start, start + part.size) if whole else part, part.tolist()

    def _fill(self, rows: IntArray, fresh: bool) -> None:
        """Draw a block of rounds for some rows."""
        fading = self.scenario.fading
        remembers = fading.correlation > 0.0
        for where, indices in self._chunks(rows):
            draws = np.empty((len(indices), self.block, self.num_users))
            amplitudes = self._amplitudes[where] if remembers else self._amplitudes
            fading.fill([self._generators[i][1] for i in indices], draws, amplitudes, fresh)
            if remembers:
                self._amplitudes[where] = amplitudes
            draws *= self._large_scale[where][:, None]
            self._gain_db[:, where] = self.scenario.gain_to_db(draws).swapaxes(0, 1)
            if self._uniforms is not None:
                for i, row in zip(indices, draws, strict=True):
                    self._generators[i][2].random(out=row)
                self._uniforms[:, where] = draws.swapaxes(0, 1)

    @property
    def _index(self) -> int | tuple[IntArray, IntArray]:
        """Where the blocks hold the rounds about to be played."""
        if self._common is not None:
            return self._common % self.block
        return self.position % self.block, self._rows

    @property
    def gain_db(self) -> Float32Array:
        """Channel gains of the round about to be played, dB. Shape (N, K); not to be kept or changed."""
        gains: Float32Array = self._gain_db[self._index]
        return gains

    @property
    def uniforms(self) -> FloatArray | None:
        """Acceptance draws of the round about to be played, where sampled. Shape (N, K); not to be kept or changed."""
        return None if self._uniforms is None else self._uniforms[self._index]

    @property
    def users(self) -> Users:
        """The users of the round about to be played. Shape (N, K)."""
        users = Users.trusted(**self._fixed)
        gain = self.scenario.db_to_gain(self.gain_db)
        gain.flags.writeable = False
        vars(users)["channel_gain"] = gain
        return users

    @property
    def mean_users(self) -> Users:
        """The users of each row's episode with their mean channel gains, before fading. Shape (N, K)."""
        return Users.trusted(channel_gain=self._large_scale, **self._fixed)

    def state(self) -> dict[str, Any]:
        """Return all that the draws to come depend on."""
        generators = np.zeros((self.num_rows, 3, WORDS), dtype=np.uint64)
        for row in np.flatnonzero(self.seeded).tolist():
            for stream, generator in enumerate(self._generators[row]):
                generators[row, stream] = words_of(generator)
        named = {name: getattr(self, name).copy() for name in _STATE if getattr(self, name) is not None}
        return {
            "generators": generators.view(np.int64),
            **named,
            **{f"pool_{name}": pool.copy() for name, pool in self._pool.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken, by streams for the same scenario and sizes."""
        shown = self.scenario.observation_bounds
        ranges = {"position": (0.0, MOST_ROUNDS), "_episode": (0.0, self.episodes - 1.0), "seeded": (0.0, 1.0)}
        ranges |= {"_gain_db": shown["channel_gain_db"], "_uniforms": (0.0, 1.0)}
        for name in _STATE:
            own = getattr(self, name)
            if own is not None:
                _put_back(name, own, state[name])
                if name in ranges and self.seeded.all():
                    _check_range(name, own, *ranges[name])
        pools = {name: shown[name] for name in ("acceptance_rate", "drafting_speed")}
        for name, pool in self._pool.items():
            # Rows without a seed have drawn nothing.
            stored, drawn = state[f"pool_{name}"], np.flatnonzero(self.seeded)
            _put_back(name, pool, stored)
            _check_range(name, stored[:, drawn], *pools.get(name, (_LEAST_GAIN, _LARGEST_GAIN)))
        words = np.asarray(state["generators"]).view(np.uint64)
        for row in np.flatnonzero(self.seeded).tolist():
            self._generators[row] = [generator_of(stream) for stream in words[row]]
        self._common = self._find_common()
        self._choose_users()


_STATE = ("seeded", "position", "_episode", "_gain_db", "_uniforms", "_amplitudes")


def _check_range(name: str, stored: NDArray[Any], low: float, high: float) -> None:
    if not ((stored >= low) & (stored <= high)).all():
        raise ValueError(
            f"the state's {name} must lie in [{low:g}, {high:g}], got [{stored.min():g}, {stored.max():g}]"
        )


def _put_back(name: str, own: NDArray[Any], stored: NDArray[Any]) -> None:
    if stored.shape != own.shape:
        raise ValueError(f"the state's {name} must have shape {own.shape}, got {stored.shape}")
    own[...] = stored
