"""All that each user of a round can choose, and from when on its upload may be in: tables for bounds of the round."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.baselines.estimators.lossy_rounds import LossyRounds
from multispin_gym.baselines.estimators.measured_gains import gain_needed

# Steps of the upload time of a token.
_STEPS = 1000
# The least share that is told from none, over the share of a user if all had the same.
_LEAST_SHARE = 0.02


class UploadChoices:
    """Draft lengths and ranges of shares of the users of one round, all of whom are there.

    A choice is a length and a range of shares; the upload is in as early as with the range's upper end, and pays for
    its lower end. The last two choices are a draft that is never in, which takes no band, and none.

    With y seconds of upload for each drafted token, whether an upload is in depends on y and the share alone; the
    length only scales time. So integrals over time are looked up in tables over y and shares.

    Parameters
    ----------
    rounds
        One round. Shape (1, K).
    shares
        Ranges of shares.
    last
        The latest cut-off, s.
    """

    def __init__(self, rounds: LossyRounds, shares: int, last: float) -> None:
        cell = rounds.cell
        self.rounds, self.users = rounds, rounds.present.shape[1]
        self.lengths: FloatArray = np.arange(max(cell.min_draft_length, 1), cell.max_draft_length + 1.0)
        self.shares: FloatArray = np.geomspace(_LEAST_SHARE / self.users, 1.0, shares)
        self._law = rounds.law[0]
        strongest = 10.0 ** (0.1 * self._law.ends_db[-1]) * (rounds.power / cell.noise_density)
        fastest = float(cell.uplink.rate(cell.bandwidth, strongest))
        self._seconds = np.concatenate([[0.0], np.geomspace(min(cell.payload / fastest, last), 2.0 * last, _STEPS)])
        grid = np.broadcast_to(self._seconds[1:], (self.users, _STEPS))
        self._chance = self.chance(grid)

    @property
    def count(self) -> int:
        """How many choices a user has, two of which are no uploads."""
        return self.lengths.size * self.shares.size + 2

    def chance(self, seconds: FloatArray) -> FloatArray:
        """Probability that a token takes at most some seconds with the upper ends of shares. (K, J), to (K, J, S)."""
        cell, late = self.rounds.cell, seconds <= 0.0
        rate = cell.payload / np.where(late, 1.0, seconds)[..., None]
        with np.errstate(divide="ignore"):
            needed = 10.0 * np.log10(gain_needed(cell, self.rounds.power, rate, self.shares * cell.bandwidth))
        above = self._law.above(needed.reshape(self.users, -1)).reshape(needed.shape)
        return np.where(late[..., None], 0.0, above)

    def in_by(self, time: float) -> tuple[FloatArray, FloatArray]:
        """Probability that each choice is in by a time, s, at most and at least. Shape (K, choices) each."""
        most = self.chance(self._per_token(np.array([time]))[..., 0])
        least = np.concatenate([np.zeros((*most.shape[:2], 1)), most[..., :-1]], axis=-1)
        return self._with_others(most), self._with_others(least)

    def law(self, user: int, choice: int, times: FloatArray) -> FloatArray:
        """Probability that a choice is in by some times, s; at most. Shape (J,)."""
        if choice >= self.count - 2:
            return np.full(times.shape, float(choice == self.count - 1))
        length, share = divmod(choice, self.shares.size)
        seconds = self._per_token(times)[user, length]
        place = np.clip(np.searchsorted(self._seconds, seconds) - 1, 0, _STEPS - 1)
        return np.where(seconds > 0.0, self._chance[user][place, share], 0.0)

    def prices(self) -> FloatArray:
        """Band that each choice takes at least. Shape (choices,)."""
        lower = np.concatenate([[0.0], self.shares[:-1]])
        return np.concatenate([np.tile(lower, self.lengths.size), [0.0, 0.0]])

    def drafted(self) -> IntArray:
        """Length of the draft of each choice, where a draft that is not in has no tokens. Shape (choices,)."""
        return np.asarray(np.append(np.repeat(self.lengths, self.shares.size), [0.0, 0.0]), dtype=np.int64)

    def table(self, function: Callable[[int, FloatArray], FloatArray]) -> FloatArray:
        """Integrals over y of an increasing function of each user's probabilities, never less. (K, 1 + steps, S)."""
        found = np.zeros((self.users, _STEPS + 1, self.shares.size))
        width = np.diff(self._seconds)[:, None]
        for user in range(self.users):
            np.cumsum(function(user, self._chance[user]) * width, axis=0, out=found[user, 1:])
        return found

    def spent(self, table: FloatArray, whole: FloatArray, edges: FloatArray) -> FloatArray:
        """Integrals over windows of time of the function that a table has.

        Shapes: whole (K,), which is the function of one, edges (W + 1,), s; result (K, W, choices).
        """
        seconds = np.maximum(self._per_token(edges), 0.0)
        place = np.clip(np.searchsorted(self._seconds, seconds, side="right") - 1, 0, _STEPS - 1)
        part = ((seconds - self._seconds[place]) / np.diff(self._seconds)[place])[..., None]
        found = np.empty((self.users, edges.size - 1, self.count))
        for user in range(self.users):
            rows, index = part[user], place[user]
            integral = table[user][index] * (1.0 - rows) + table[user][index + 1] * rows
            windows = np.diff(integral, axis=1) * self.lengths[:, None, None]
            found[user, :, :-2] = np.moveaxis(windows, 0, 1).reshape(edges.size - 1, -1)
            found[user, :, -2], found[user, :, -1] = 0.0, whole[user] * np.diff(edges)
        return found

    def _per_token(self, times: FloatArray) -> FloatArray:
        """Seconds that are left to upload each token by some times. Shape (K, lengths, J)."""
        drafted = self.lengths[:, None] * self.rounds.drafting_time[0][:, None, None] + self.rounds.cell.round_trip
        return np.asarray((times - drafted) / self.lengths[:, None])

    def _with_others(self, chance: FloatArray) -> FloatArray:
        others = np.broadcast_to([0.0, 1.0], (self.users, 2))
        return np.concatenate([chance.reshape(self.users, -1), others], axis=1)
