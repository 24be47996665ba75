"""Expected tokens of users with acceptance curves of their own: a table at whole lengths, smooth in between.

The l-th draft adds the curve's entry ``s_l``, so the tokens of whole lengths are running sums of the curve, and concave
as it does not increase. Between whole lengths the solvers of the relaxation want a concave function with a continuous
derivative that passes through these sums. Its derivative is ``d_l = sqrt(s_l s_(l+1))`` at the whole length l, with
``s_0 = 1`` for the server's own token, and runs on two straight lines from there over ``s_(l+1)`` to ``d_(l+1)``. They
meet at the fraction ``(s_(l+1) - d_(l+1)) / (d_l - d_(l+1))`` of the way, with which the derivative's mean over the
step is ``s_(l+1)``: just what the draft adds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.rows import Rows
from multispin_gym.physics.acceptance import tabled_tokens, token_table
from multispin_gym.physics.users import Users


@dataclass(frozen=True, eq=False)
class TokenTables(Rows):
    """The acceptance curves of the users of some cells, of which the longest draft is S.

    Parameters
    ----------
    sums
        Expected tokens of the lengths 0 to S. Shape (M, K, S + 1).
    added
        What each draft adds, after the one of the server's own token; the last one once more. Shape (M, K, S + 2).
    edges
        Derivatives at the whole lengths. Shape (M, K, S + 1).
    """

    sums: FloatArray
    added: FloatArray
    edges: FloatArray

    @classmethod
    def of(cls, survival: FloatArray) -> TokenTables:
        """Tabulate curves of shape (M, K, S)."""
        added = np.concatenate([np.ones((*survival.shape[:-1], 1)), survival, survival[..., -1:]], axis=-1)
        root = np.sqrt(added)
        edges = np.clip(root[..., :-1] * root[..., 1:], added[..., 1:], added[..., :-1])
        return cls(token_table(survival), added, edges)

    @classmethod
    def of_users(cls, users: Users, longest: int) -> TokenTables | None:
        """Tabulate the curves of users of shape (..., K) up to a longest draft; None where they have none."""
        if users.survival is None:
            return None
        return cls.of(users.survival[..., :longest].reshape(-1, users.num_users, longest))

    @property
    def longest(self) -> int:
        """Longest draft S."""
        return int(self.sums.shape[-1]) - 1

    def tokens(self, lengths: FloatArray) -> FloatArray:
        """Expected tokens at real lengths, which are cut to the table. Shapes: (M, K)."""
        whole = np.clip(lengths, 0.0, float(self.longest)).astype(np.int64)
        if (whole == lengths).all():
            return self._look_up(self.sums, whole)
        step, before, after, (first, middle, last, knee) = self._at(lengths)
        start, end = self._look_up(self.sums, step), self._look_up(self.sums, step + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            rising = before * (first + (middle - first) * before / (2.0 * knee))
            falling = after * (last + (middle - last) * after / (2.0 * (1.0 - knee)))
        near_start, near_end = start + np.where(before > 0.0, rising, 0.0), end - np.where(after > 0.0, falling, 0.0)
        return np.asarray(np.where((before <= knee) & (before < 1.0), near_start, near_end))

    def whole_tokens(self, lengths: FloatArray) -> FloatArray:
        """Expected tokens at whole lengths, several in a row. Shapes: (M, C, K)."""
        return tabled_tokens(self.sums[:, None], lengths)

    def marginal(self, lengths: FloatArray) -> FloatArray:
        """Derivative of :meth:`tokens`. Shapes: (M, K)."""
        _, before, after, (first, middle, last, knee) = self._at(lengths)
        with np.errstate(divide="ignore", invalid="ignore"):
            rising = first + (middle - first) * before / knee
            falling = last + (middle - last) * after / (1.0 - knee)
        inside = np.where(before <= knee, rising, falling)
        return np.asarray(np.where(before <= 0.0, first, np.where(after <= 0.0, last, inside)))

    def bend(self, lengths: FloatArray) -> FloatArray:
        """Minus the second derivative of :meth:`tokens`. Shapes: (M, K)."""
        _, before, _, (first, middle, last, knee) = self._at(lengths)
        with np.errstate(divide="ignore", invalid="ignore"):
            bend = np.where(before < knee, (first - middle) / knee, (middle - last) / (1.0 - knee))
        return np.asarray(np.where(np.isfinite(bend), bend, 0.0))

    def best_real(self, value: FloatArray) -> FloatArray:
        """Real lengths at which a token adds a given value. Shapes: (M, K)."""
        step = np.clip((self.edges > value[..., None]).sum(axis=-1) - 1, 0, self.longest - 1)
        first, middle, last, knee = self._lines(step)
        with np.errstate(divide="ignore", invalid="ignore"):
            rising = knee * (first - value) / (first - middle)
            falling = 1.0 - (1.0 - knee) * (value - last) / (middle - last)
        part = np.where(value >= middle, rising, falling)
        return np.asarray(step + np.clip(np.where(np.isnan(part), knee, part), 0.0, 1.0))

    def best_whole(self, value: FloatArray) -> FloatArray:
        """Whole lengths up to which every draft adds more than a value. Shapes: (M, K)."""
        return np.asarray((self.added[..., 1:-1] > value[..., None]).sum(axis=-1, dtype=np.float64))

    def gains(self, row: np.ndarray, user: np.ndarray, drafts: FloatArray) -> FloatArray:
        """What single drafts add, by row, user and which of its drafts each is; shapes that broadcast."""
        return np.asarray(self.added[row, user, np.minimum(drafts, self.longest).astype(np.int64)])

    def _at(self, lengths: FloatArray) -> tuple[np.ndarray, FloatArray, FloatArray, tuple[FloatArray, ...]]:
        """The whole length below, the parts of the step before and after some lengths, and :meth:`_lines`."""
        inside = np.clip(lengths, 0.0, float(self.longest))
        step = np.minimum(inside.astype(np.int64), self.longest - 1)
        before = inside - step
        return step, before, 1.0 - before, self._lines(step)

    def _lines(self, step: np.ndarray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Derivative at the start, the knee and the end of steps, and where the knee is. Shapes: (M, K)."""
        first, last = self._look_up(self.edges, step), self._look_up(self.edges, step + 1)
        middle, fall = self._look_up(self.added, step + 1), first - last
        knee = np.where(fall > 0.0, (middle - last) / np.where(fall > 0.0, fall, 1.0), 0.5)
        return first, middle, last, knee

    @staticmethod
    def _look_up(table: FloatArray, index: np.ndarray) -> FloatArray:
        entries = table.shape[-1]
        return table.reshape(-1)[index + np.arange(0, table.size, entries).reshape(table.shape[:-1])]
