"""Branch and bound over whole draft lengths, many boxes of many cells at once.

A box is a range of draft lengths for each user within one verification piece of one cell. Its relaxation gives token
prices; with them the bound over the whole lengths of the box is valid whatever the accuracy of the relaxation. Lengths
that cannot be part of a decision better than the best known are cut off user by user before the box is split.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from multispin_gym._validation import FloatArray, IntArray
from multispin_gym.baselines.solver.bounds import SAFETY
from multispin_gym.baselines.solver.local_search import WholeLengths, play_whole
from multispin_gym.baselines.solver.newton import solve_relaxation
from multispin_gym.baselines.solver.piece_search import PieceSearch
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.rows import Rows

# Entries of the arrays of one step: enough to pay for NumPy's calls, little enough to stop in time.
_STEP_SIZE = 40_000
# The same with a time limit, for each draft length: bounds on a ragged table sort all tokens that can be drafted.
_SHORT_STEP_SIZE = 120_000
# Boxes with no more decisions than this are tried out.
_FEW = 16
# The bound needs good prices, not exact ones.
_TOLERANCE = 1e-6


@dataclass(eq=False)
class Boxes(Rows):
    """Open boxes, one row each.

    Parameters
    ----------
    cell, piece
        The cell and the verification piece. Shape (M,).
    low, high
        Range of the draft lengths. Shape (M, K).
    start
        Real lengths from which to solve the relaxation. Shape (M, K).
    bound
        Score that no decision in the box passes. Shape (M,).
    """

    cell: IntArray
    piece: IntArray
    low: FloatArray
    high: FloatArray
    start: FloatArray
    bound: FloatArray

    def __len__(self) -> int:
        """Number of open boxes."""
        return len(self.bound)


class BranchAndBound:
    """A search that knows, at any time, its best decisions and how good any decision can be.

    Parameters
    ----------
    search
        The cells, with the bounds of their verification pieces.
    best
        Whole lengths to start from, at least as good as nobody drafting where that is allowed.
    gap
        Relative gap between bound and score at which a cell is done.

    Attributes
    ----------
    best
        Best decision of each cell.
    nodes
        Boxes examined for each cell. Shape (M,).
    open
        The boxes that are still to be examined.
    """

    def __init__(self, search: PieceSearch, best: WholeLengths, gap: float) -> None:
        rows, pieces = search.bounds.shape
        self._search, self._gap = search, gap
        self.best = best
        self.nodes = np.zeros(rows, dtype=np.int64)
        self._closed = np.full(rows, -np.inf)
        cell, piece = np.divmod(np.arange(rows * pieces), pieces)
        low = search.problem.low[cell]
        high = np.minimum(search.problem.high[cell], search.pieces.high[piece][:, None])
        self.open = Boxes(cell, piece, low, high, 0.5 * (low + high), search.bounds.ravel().copy())
        self._prune()

    def upper_bound(self) -> FloatArray:
        """Score that no decision of a cell passes. Shape (M,)."""
        bound = np.maximum(self._closed, self.best.score * (1.0 + SAFETY))
        np.maximum.at(bound, self.open.cell, self.open.bound)
        return np.asarray(bound)

    def step(self) -> None:
        """Examine the most promising open boxes: bound, cut, and try out or split them."""
        problem = self._search.problem
        size = _STEP_SIZE
        if self._search.clock.limited:
            size = _SHORT_STEP_SIZE // self._search.cell.num_draft_lengths
        count = min(len(self.open), max(size // problem.num_users, 1))
        lead = self.open.bound / self.best.score[self.open.cell]
        chosen = np.zeros(len(self.open), dtype=bool)
        chosen[np.argpartition(-lead, count - 1)[:count]] = True
        boxes, self.open = self.open[chosen], self.open[~chosen]
        np.add.at(self.nodes, boxes.cell, 1)
        rows = replace(problem[boxes.cell].in_piece(self._search.pieces, boxes.piece), low=boxes.low, high=boxes.high)
        point, prices, linear = solve_relaxation(rows, boxes.start, _TOLERANCE, self._search.clock)
        self._offer(boxes.cell, np.clip(np.rint(point.lengths), boxes.low, boxes.high))
        bound = self._search.bound(linear, prices, self.best.score[boxes.cell])
        boxes.bound, boxes.start = np.minimum(boxes.bound, bound), point.lengths

        worth = self._worth(boxes)
        self._close(boxes[~worth])
        boxes, linear = boxes[worth], linear[worth]
        _cut(boxes, linear, prices[worth], self.best.score[boxes.cell])
        few = np.prod(boxes.high - boxes.low + 1.0, axis=-1) <= _FEW
        owner, lengths = _decisions(boxes[few])
        self._offer(boxes.cell[few][owner], lengths)
        self.open = Boxes.joined([self.open, *_halves(boxes[~few], linear[~few])])
        self._prune()

    def _worth(self, boxes: Boxes) -> np.ndarray:
        return boxes.bound > self.best.score[boxes.cell] * (1.0 + self._gap)

    def _close(self, boxes: Boxes) -> None:
        np.maximum.at(self._closed, boxes.cell, boxes.bound)

    def _prune(self) -> None:
        worth = self._worth(self.open)
        self._close(self.open[~worth])
        self.open = self.open[worth]

    def _offer(self, cells: IntArray, lengths: FloatArray) -> None:
        """Keep the lengths that beat what their cell has."""
        if len(cells) == 0:
            return
        found = play_whole(self._search.problem[cells], self._search.server, lengths)
        order = np.lexsort((found.score, cells))
        last = order[np.append(cells[order][1:] != cells[order][:-1], True)]
        better = last[found.score[last] > self.best.score[cells[last]]]
        self.best.put(cells[better], found[better])


def _cut(boxes: Boxes, linear: Problem, prices: FloatArray, reached: FloatArray) -> None:
    """Cut off lengths that cannot be part of a decision better than the one known.

    A decision as good as ``reached`` keeps ``sum_k (tokens_k - price_k L_k)`` above a fixed cost; what all users' best
    lengths have to spare is the most that any one of them may fall short of its own best.
    """
    price = reached[:, None] * (prices + linear.slope[:, None])
    wanted = linear.best_whole_lengths(price)
    top = linear.tokens(wanted) - price * wanted
    fixed = reached * (linear.base + linear.slope * linear.num_users)
    spare = top.sum(axis=-1) - fixed + SAFETY * linear.tokens(wanted).sum(axis=-1)
    floor = top - spare[:, None]
    low, high = boxes.low.copy(), boxes.high.copy()
    for _ in range(int((high - low).max(initial=0.0))):
        up = (linear.tokens(low) - price * low < floor) & (low < wanted)
        down = (linear.tokens(high) - price * high < floor) & (high > wanted)
        if not (up.any() or down.any()):
            break
        low, high = low + up, high - down
    boxes.low, boxes.high = low, high


def _decisions(boxes: Boxes) -> tuple[IntArray, FloatArray]:
    """All whole lengths of small boxes, and the box of each."""
    sizes = (boxes.high - boxes.low + 1.0).astype(np.int64)
    counts = np.prod(sizes, axis=-1)
    owner = np.repeat(np.arange(len(boxes)), counts)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    stride = np.cumprod(np.concatenate([np.ones_like(sizes[:, :1]), sizes[:, :-1]], axis=-1), axis=-1)
    return owner, boxes.low[owner] + (number[:, None] // stride[owner]) % sizes[owner]


def _halves(boxes: Boxes, linear: Problem) -> tuple[Boxes, Boxes]:
    """Split each box at the relaxed length of the user that rounding would cost most."""
    inside = np.clip(boxes.start, boxes.low, boxes.high)
    floor = np.clip(np.floor(inside), boxes.low, np.maximum(boxes.high - 1.0, boxes.low))
    part = inside - floor
    steep = linear.curvature(inside)
    score = np.where(boxes.high > boxes.low, steep * (np.minimum(part, 1.0 - part) + 1e-3), -1.0)
    user = score.argmax(axis=-1)
    row = np.arange(len(boxes))
    below, above = boxes[row], boxes[row]
    below.high[row, user] = floor[row, user]
    above.low[row, user] = floor[row, user] + 1.0
    return below, above
