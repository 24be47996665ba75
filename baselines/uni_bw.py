"""Equal shares of the band and own draft lengths: the paper's Uni-BW, solved exactly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from multispin_gym._arrays import max_users
from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.baselines.equal_shares import equal_shares, upload_time
from multispin_gym.baselines.solver.marginal_drafts import MarginalDrafts, first_allowed
from multispin_gym.baselines.solver.server import answering_server
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.decisions import check_survival
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.physics.verification import AffineVerification, Verification

# Drafts of a cell that are listed at most, and where each is a deadline for all the others.
MOST_DRAFTS, MOST_DRAFTS_SQUARED = 4_000_000, 5000
# Drafts that are worked on at a time.
_CHUNK = 400_000
# A user whose rate is zero never finishes; a number this large does not spoil the arithmetic.
_NEVER = 1e200


def uni_bw(users: Users, cell: Cell) -> Decision:
    """Equal shares, and the best draft length for each user on them (the paper's Uni-BW; exact).

    Whoever opts out keeps its share. On equal shares a user's time for a draft is fixed, so all that the users have in
    common is the deadline and the batch:

    * Where verification takes as long for all lengths up to a longest one (no time per token, or a padded batch), every
      user drafts as long as fits, and deadline and longest draft are searched over all their values.
    * With a time per token of a ragged batch, any draft costs as many tokens as the round delivers in that time. At a
      guess of the goodput each deadline has its best lengths in closed form, and the best of them gives the next guess:
      Dinkelbach's method, which ends at the optimum because there are finitely many decisions.
    * With a ragged table, the drafts that are in by a deadline are made in the order of what they add, and deadline and
      number of drafts are searched over all their values.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    Decision
        Lengths, and shares of 1 / K. Shape (..., K).

    Raises
    ------
    ValueError
        If users times draft lengths are too many to list, or the users' acceptance curves end before the longest draft.
    """
    check_survival(users, cell)
    low, high, num_users = cell.min_draft_length, cell.max_draft_length, users.num_users
    server = answering_server(cell, num_users)
    squared = not isinstance(server, AffineVerification) and server.batching == "ragged"
    drafts, most = num_users * (high - low), MOST_DRAFTS_SQUARED if squared else MOST_DRAFTS
    if drafts > most:
        batch = " for a ragged table" if squared else ""
        raise ValueError(
            f"uni_bw lists num_users * (max - min draft length) drafts, at most {most}{batch}; got {drafts}"
        )
    cells = users.flattened()
    delay = np.minimum(cells.drafting_time + upload_time(cells, cell), _NEVER)
    lengths = np.empty_like(delay)
    pieces = _pieces(server, low, high, num_users)
    chunk = max(_CHUNK // max(drafts, 1), 1)
    for first in range(0, len(delay), chunk):
        rows = slice(first, first + chunk)
        some = _Cells.of(cells[rows], delay[rows], low, high, cell.round_trip)
        lengths[rows] = some.by_number(server) if squared else some.by_deadline(pieces)
    return equal_shares(users, lengths.reshape(users.acceptance_rate.shape))


def _pieces(server: Verification, low: int, high: int, num_users: int) -> list[tuple[int, float, float]]:
    """Longest drafts, from the shortest, with the time of the shortest batch and that of each further token, s."""
    least = num_users * (low + 1.0)
    if isinstance(server, AffineVerification) and (server.batching == "ragged" or server.per_token == 0.0):
        return [(high, float(server.time(least)), server.per_token)]
    longest = range(low, high + 1)
    return [(most, float(server.time(num_users * (most + 1.0))), 0.0) for most in longest]


@dataclass(frozen=True, eq=False)
class _Cells:
    """Drafts of some cells on equal shares, with the times at which they are in, s.

    Shapes: ``delay``, seconds per token, (M, K); ``start``, when the shortest drafts are in, (M,); ``time`` (M, E). A
    draft is in a ``round_trip`` after its upload, s.
    """

    drafts: MarginalDrafts
    delay: FloatArray
    start: FloatArray
    time: FloatArray
    round_trip: float

    @classmethod
    def of(cls, users: Users, delay: FloatArray, low: int, high: int, round_trip: float) -> _Cells:
        start = low * max_users(delay) + (round_trip if low else 0.0)
        time = (delay[..., None] * np.arange(low + 1.0, high + 1.0)).reshape(len(delay), -1) + round_trip
        return cls(MarginalDrafts.of(users, low, high), delay, start, np.maximum(time, start[:, None]), round_trip)

    def by_deadline(self, pieces: list[tuple[int, float, float]]) -> FloatArray:
        """Best lengths over all deadlines and pieces. Shape (M, K)."""
        drafts, padded, fastest = self.drafts, len(pieces) > 1, self.delay.min(axis=-1)
        order = np.argsort(self.time, axis=-1, kind="stable")
        deadline = np.concatenate([self.start[:, None], np.take_along_axis(self.time, order, axis=-1)], axis=-1)
        gain, level = np.take_along_axis(drafts.gain, order, axis=-1), drafts.level[order]
        made, worth = np.zeros(self.time.shape, dtype=bool), np.zeros(deadline.shape)
        best = drafts.base / (self.start + pieces[0][1])
        for longest, fixed, per_token in pieces:
            short = drafts.level <= longest
            # A table may fall, so a batch is charged for a longest draft only where somebody makes one.
            soonest = longest * fastest + (self.round_trip if longest else 0.0)
            reached = deadline >= (soonest if padded else self.start)[:, None]
            while True:
                price = (best * per_token)[:, None]
                net = np.where(level <= longest, np.maximum(gain - price, 0.0), 0.0)
                np.cumsum(net, axis=-1, out=worth[:, 1:])
                value = np.where(reached, worth - best[:, None] * deadline, -np.inf)
                index = value.argmax(axis=-1)
                limit = np.take_along_axis(deadline, index[:, None], axis=-1)
                useful = drafts.gain >= price if padded else drafts.gain > price
                found = short & (self.time <= limit) & useful
                seconds = limit[:, 0] + fixed + per_token * found.sum(axis=-1)
                goodput = (drafts.base + np.where(found, drafts.gain, 0.0).sum(axis=-1)) / seconds
                better = goodput > best
                if not better.any():
                    break
                best = np.where(better, goodput, best)
                made[better] = found[better]
        return drafts.lengths(made, self.delay.shape[-1])

    def by_number(self, server: Verification) -> FloatArray:
        """Best lengths over all deadlines and numbers of tokens in the batch. Shape (M, K)."""
        order, drafts = self.drafts.best_first()
        time, num_users = np.take_along_axis(self.time, order, axis=-1), self.delay.shape[-1]
        fewest = num_users * (drafts.shortest + 1.0)
        verified = server.time(fewest + np.arange(time.shape[-1] + 1.0))
        best, limit = np.full(len(time), -np.inf), self.start.copy()
        number = np.zeros(len(time), dtype=np.int64)
        for deadline in (self.start, *np.sort(self.time, axis=-1).T):

            def seconds(count: IntArray, end: FloatArray = deadline) -> FloatArray:
                return np.asarray(end[:, None] + verified[count])

            goodput, made = drafts.best_number(time <= deadline[:, None], seconds)
            better = goodput > best
            best, limit = np.where(better, goodput, best), np.where(better, deadline, limit)
            number = np.where(better, made, number)
        return drafts.lengths(first_allowed(order, time <= limit[:, None], number), num_users)
