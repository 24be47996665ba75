"""A small cell with old channel reports, in which late uploads are lost, as a decision process that is solved exactly.

Fades are Markov chains with few levels. A round begins with reports of the levels as they were some time before; it is
played with the levels at its beginning, which last for it, and the next reports follow the chains from there. Since a
round lasts at least as long as reports are old, these are newer than all that its uploads could tell, so that reports
are all that a policy need know. Actions are draft lengths, shares of the band on a grid, and a cut-off: at one of the
times at which a level would let somebody be in, as any other is worse than one of these, or than no drafts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from _semi_markov import FloatArray, IntArray, SemiMarkov

from multispin_gym import Cell, Decision, Users, play_round
from multispin_gym.baselines.solver.share_curves import ShareCurves

# A cut-off lies so much behind the upload that it waits for.
_BEHIND = 1.0 + 1e-9


@dataclass(frozen=True, eq=False)
class FadeChain:
    """A Rayleigh fade's power on a few levels, as a chain in continuous time.

    Parameters
    ----------
    gains
        Mean power of each level, of mean 1 in all. Shape (n,).
    chances
        How likely each level is. Shape (n,).
    speeds, modes
        Eigenvalues of the chain's generator, 1/s, and eigenvectors, symmetric up to the chances. (n,) and (n, n).
    """

    gains: FloatArray
    chances: FloatArray
    speeds: FloatArray
    modes: FloatArray

    @classmethod
    def rayleigh(cls, levels: int, coherence_time: float) -> FadeChain:
        """Levels that are narrow where fades are deep: the j-th begins where j / n, cubed, of all fades are below.

        The power of a complex Gauss-Markov amplitude drifts to its mean and diffuses with 2 x / (coherence time). Its
        flux over the border b of two levels is ``2 b exp(-b) / (coherence time)`` times the slope of what is carried,
        for which means of levels stand; means then come back to 1 at exactly the rate of the process.
        """
        below = (np.arange(levels + 1) / levels) ** 3
        chances = np.diff(below)
        with np.errstate(divide="ignore", invalid="ignore"):
            borders = -np.log1p(-below)
            moments = np.where(below < 1.0, borders * (1.0 - below), 0.0)
        gains = 1.0 - np.diff(moments) / chances
        flux = 2.0 / coherence_time * moments[1:-1] / np.diff(gains)
        generator = np.diag(flux, 1) + np.diag(flux, -1)
        generator -= np.diag(generator.sum(axis=1))
        root = np.sqrt(chances)
        speeds, modes = np.linalg.eigh(generator / root[:, None] / root)
        return cls(gains, chances, speeds, modes)

    def after(self, seconds: FloatArray) -> FloatArray:
        """Chances to come from level to level in some time. Shapes: (...) and (..., n, n)."""
        moved = (self.modes * np.exp(self.speeds * np.asarray(seconds)[..., None, None])) @ self.modes.T
        root = np.sqrt(self.chances)
        return np.maximum(moved / root[:, None] * root, 0.0)


@dataclass(frozen=True, eq=False)
class StaleCell(SemiMarkov):
    """The decision process, for who sees old reports, or for who sees the levels as they are.

    Parameters
    ----------
    belief
        How likely levels are at the beginning of a round by what is seen. Shape (S, S).
    tokens, seconds
        What a round with given levels brings, and how long it takes. Shape (S, A).
    seen
        Chances of what is seen next, of the levels that a round was played with. Shape (S, A, S).
    """

    belief: FloatArray
    tokens: FloatArray
    seconds: FloatArray
    seen: FloatArray

    @property
    def gained(self) -> FloatArray:
        """Expected tokens. Shape (S, A)."""
        return self.belief @ self.tokens

    @property
    def lasting(self) -> FloatArray:
        """Expected duration of a round, s. Shape (S, A)."""
        return self.belief @ self.seconds

    def moves(self, policy: IntArray) -> FloatArray:
        """Chances of the next reports under a policy. Shape (S, S)."""
        return np.einsum("sx,xsr->sr", self.belief, self.seen[:, policy])

    def ahead(self, worth: FloatArray) -> FloatArray:
        """Expected worth of the next reports, for every report and action. Shape (S, A)."""
        return self.belief @ (self.seen @ worth)

    def believing(self) -> IntArray:
        """Most tokens a second if the levels were those of the reports, with the latest cut-off of the best."""
        return np.asarray((self.tokens / self.seconds).argmax(axis=1))

    def by_round(self) -> IntArray:
        """Most expected tokens over the expected seconds of the round."""
        return np.asarray((self.gained / self.lasting).argmax(axis=1))

    def by_price(self, steps: int = 50) -> IntArray:
        """Largest ``E[tokens] - g E[T]`` in each round, with g the long-run rate of this rule itself."""
        policy = self.by_round()
        for _ in range(steps):
            again = (self.gained - self.rate(policy) * self.lasting).argmax(axis=1)
            if (again == policy).all():
                break
            policy = again
        return policy


def splits(users: int, parts: int) -> list[tuple[int, ...]]:
    """All ways to give parts of the band to users, one at least to each."""
    borders = itertools.combinations(range(1, parts), users - 1)
    return [tuple(np.diff((0, *inner, parts)).tolist()) for inner in borders]


def decisions(
    users: Users, cell: Cell, gains: FloatArray, lengths: Sequence[int], parts: int, cutoffs: tuple[float, float]
) -> Decision:
    """All actions: some lengths, shares in parts of the band, late cut-offs first. Shapes: (A, K) and (A,)."""
    number = users.num_users
    drafted, shares = [], []
    for drafts in itertools.product(lengths, repeat=number):
        drafting = [user for user in range(number) if drafts[user]]
        for split in splits(len(drafting), parts) if drafting else [()]:
            given = np.zeros(number)
            given[drafting] = np.array(split) / parts
            drafted.append(drafts)
            shares.append(given)
    length, share = np.array(drafted, dtype=np.float64), np.array(shares)
    curves = [ShareCurves.of(replace(users, channel_gain=users.channel_gain * gain), cell) for gain in gains]
    with np.errstate(divide="ignore", invalid="ignore"):
        times = np.stack([length * curve.seconds_per_token(share) for curve in curves], axis=-1)
    late = np.where(length[..., None] > 0.0, times, 0.0).reshape(len(length), -1) * _BEHIND
    limit = np.sort(np.clip(late, *cutoffs), axis=-1)[:, ::-1]
    fresh = np.ones(limit.shape, dtype=bool)
    fresh[:, 1:] = limit[:, 1:] < limit[:, :-1]
    row, column = np.nonzero(fresh)
    return Decision(length[row], share[row], limit[row, column])


def stale_cells(
    users: Users,
    cell: Cell,
    chain: FadeChain,
    age: float,
    lengths: Sequence[int],
    parts: int,
    cutoffs: tuple[float, float],
) -> tuple[StaleCell, StaleCell]:
    """The process for who sees reports of an age, and for who sees the levels as they are.

    ``users`` of shape (K,) have mean gains; actions whose rounds could be over before the reports are ``age`` old are
    left out. ``cutoffs`` are the earliest and the latest, s.
    """
    number, levels = users.num_users, len(chain.gains)
    states = np.array(list(itertools.product(range(levels), repeat=number)))
    some = decisions(users, cell, chain.gains, lengths, parts, cutoffs)
    tokens, seconds = np.empty((2, len(states), len(some.draft_lengths)))
    for index, state in enumerate(states):
        faded = replace(users, channel_gain=users.channel_gain * chain.gains[state])
        same = Users(**{name: np.broadcast_to(getattr(faded, name), some.draft_lengths.shape) for name in Users.FIELDS})
        outcome = play_round(same, cell, some)
        tokens[index], seconds[index] = outcome.tokens.sum(axis=-1), outcome.latency
    allowed = np.flatnonzero(seconds.min(axis=0) >= age)
    tokens, seconds = tokens[:, allowed], seconds[:, allowed]
    before = math.prod(chain.after(age)[states[:, None, user], states[None, :, user]] for user in range(number))

    def of(belief: FloatArray, lag: float) -> StaleCell:
        step = chain.after(seconds - lag)
        row, column = np.arange(len(states))[:, None, None], np.arange(seconds.shape[1])[:, None]
        seen = math.prod(step[row, column, states[:, user, None, None], states[:, user]] for user in range(number))
        return StaleCell(belief, tokens, seconds, seen)

    return of(np.asarray(before), age), of(np.eye(len(states)), 0.0)
