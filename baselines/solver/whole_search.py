"""Good whole lengths for a batch of cells: the relaxation of every promising verification piece, rounded and improved.

Which pieces are promising is told by the separated maximum at the prices of the best lengths so far; see
:mod:`.piece_duals`. Unlike :class:`.piece_search.PieceSearch` it keeps no bounds that anybody could ask for.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.common_lengths import best_common_lengths
from multispin_gym.baselines.solver.compiled import Packed
from multispin_gym.baselines.solver.deadline import token_prices
from multispin_gym.baselines.solver.local_search import MANY, WholeLengths, improve, play_whole
from multispin_gym.baselines.solver.nested_lengths import best_nested
from multispin_gym.baselines.solver.newton import RelaxedPoint, solve_relaxation
from multispin_gym.baselines.solver.piece_duals import PieceDuals, counts_tokens, first_and_last
from multispin_gym.baselines.solver.pieces import Pieces, pieces_of
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.roundings import numbers_opting_out, roundings
from multispin_gym.baselines.solver.server import drafting_server, server_of
from multispin_gym.baselines.solver.stationarity import shortest_lengths, starting_lengths
from multispin_gym.baselines.solver.switch import compiled_rows
from multispin_gym.physics.cell import Cell

# Pieces that could add no more than this to the tokens, relative, are not opened.
WORTH_OPENING = 1e-4
# Relative gap at its own prices up to which a relaxed point is as good as the optimum.
SETTLED = 1e-4
# And to which the optimum is solved for where it is not.
_TOLERANCE = 1e-6


def best_whole(problem: Problem, cell: Cell) -> WholeLengths:
    """Find whole lengths for each cell, which is in no piece.

    They are at least as good as the best common length and, where there are several pieces or users may opt out, and
    users are not very many, as the polished best of the lengths nested under one deadline.
    """
    if problem.alpha.size == 0:
        return play_whole(problem, server_of(cell, problem.num_users), problem.low.copy())
    if problem.tables is not None or (rows := compiled_rows()) is None:
        return _Search(problem, cell).run()
    found, solved = _compiled(rows, problem, cell)
    if (left := np.flatnonzero(~solved)).size:
        found.put(left, _Search(problem[left], cell).run())
    return found


def _is_scanned(problem: Problem, pieces: Pieces) -> bool:
    """Whether the search starts with nested lengths, over all pieces and all who may opt out.

    They leave few pieces that may be better, and are so good that relaxations need not be solved to the end.
    """
    return (len(pieces) > 1 or not problem.low.all()) and problem.num_users <= MANY


def _compiled(rows: Any, problem: Problem, cell: Cell) -> tuple[WholeLengths, np.ndarray]:
    """Do the whole search by compiled loops; also for which cells every relaxation was solved. Shape (M,)."""
    server, pieces = server_of(cell, problem.num_users), pieces_of(cell, problem.num_users)
    ranged = len(pieces) > 1 and counts_tokens(drafting_server(cell, problem.num_users))
    first = last = np.zeros(len(pieces), dtype=np.int64)
    if ranged:
        first, last = first_and_last(pieces, problem.num_users * (problem.low[0, 0] + 1.0))
    shortest = np.zeros_like(problem.alpha) if problem.low.all() else shortest_lengths(problem)
    extra = np.stack([problem.decay, problem.gain, shortest], axis=1)
    arrays = ranged, pieces.high, first, last, pieces.base, pieces.slope
    count = len(problem.alpha)
    found, solved = WholeLengths(np.empty_like(problem.alpha), *np.empty((2, count))), np.empty(count, dtype=bool)
    dropped, packed = numbers_opting_out(problem.num_users), Packed.of(problem, server).arguments
    scanned = _is_scanned(problem, pieces)
    rows.search(*packed, extra, arrays, scanned, dropped, found.lengths, found.deadline, found.score, solved)
    return found, solved


class _Search:
    """The state of a search: the best lengths, and what each piece of each cell may still add. Shape (M, P) each."""

    def __init__(self, problem: Problem, cell: Cell) -> None:
        self.problem, self.pieces = problem, pieces_of(cell, problem.num_users)
        self.server, self.drafting = server_of(cell, problem.num_users), drafting_server(cell, problem.num_users)
        self.best = play_whole(problem, self.server, best_common_lengths(problem, cell))
        self.scanned = _is_scanned(problem, self.pieces)
        if self.scanned:
            self.best = self.best.better(best_nested(problem, self.server, polish=True))
        self.several = len(self.pieces) > 1
        self.ragged = self.several and counts_tokens(self.drafting)
        shape, line = (len(problem.alpha), len(self.pieces)), (self.pieces.base, self.pieces.slope)
        self.excess, self.opened = np.full(shape, np.inf), np.zeros(shape, dtype=bool)
        self.base, self.slope = (np.broadcast_to(every, shape).copy() for every in line)
        # Weights of the sum that stands for the objective.
        self.weight = problem.linearised(self.best.lengths).weight.copy()

    def run(self) -> WholeLengths:
        """Open pieces until none is worth it."""
        self.start()
        while self.step():
            pass
        return self.best

    def start(self) -> None:
        """Judge all pieces by the prices of the best lengths, or of a token for everybody where nobody drafts."""
        if not self.several:
            return
        lengths, deadline = self.best.lengths, self.best.deadline
        idle = np.flatnonzero(~lengths.any(axis=-1))
        if idle.size:
            ones = play_whole(self.problem[idle], self.server, np.ones((idle.size, lengths.shape[-1])))
            lengths, deadline = lengths.copy(), deadline.copy()
            lengths[idle], deadline[idle] = ones.lengths, ones.deadline
        prices = token_prices(self.problem.curves, lengths, deadline)
        self.judge(np.arange(len(lengths)), self.problem.linearised(lengths), prices)

    def judge(self, rows: np.ndarray, linear: Problem, prices: FloatArray) -> PieceDuals:
        """Lower what the pieces of some cells may add, by new prices."""
        score = self.best.score[rows]
        duals = PieceDuals.at(linear, self.pieces, self.drafting, prices, linear.time_price_at(score))
        known = np.where(np.isnan(linear.time_price), 0.0, score)
        self.excess[rows] = np.minimum(self.excess[rows], duals.value - known[:, None])
        self.base[rows], self.slope[rows] = duals.base, duals.slope
        return duals

    def step(self) -> bool:
        """Open the most promising piece of each cell that has one; whether there was any."""
        excess = np.where(self.opened, -np.inf, self.excess)
        index = excess.argmax(axis=-1)
        enough = WORTH_OPENING * self.problem.total(self.best.lengths)
        rows = np.flatnonzero(np.take_along_axis(excess, index[:, None], -1)[:, 0] > enough)
        if rows.size == 0:
            return False
        index = index[rows]
        self.opened[rows, index] = True
        problem = self.problem[rows]
        part = problem.in_piece(self.pieces, index)
        part = part.on_line(self.base[rows, index], self.slope[rows, index], self.weight[rows])
        point, prices = _relaxed(part, exact=not self.scanned)
        dual = None
        if self.several:
            duals = self.judge(rows, problem.linearised(point.lengths), prices)
            dual = duals.lengths(problem.low, index) if self.ragged else None
        self.weight[rows] = problem.linearised(point.lengths).weight
        # A climb costs more than all that goes before it: only the best start is worth one.
        start = reduce(WholeLengths.better, roundings(part, self.server, point, prices, dual))
        self.best.put(rows, self.best[rows].better(improve(problem, self.server, start)))
        return True


def _relaxed(part: Problem, exact: bool) -> tuple[RelaxedPoint, FloatArray]:
    """The relaxed optimum of rows in a piece, or near it, and token prices there, s per token, (M, K).

    It is the optimum, or as good, where that is asked for.
    """
    point = RelaxedPoint.at(part, *starting_lengths(part))
    prices = token_prices(part.curves, point.lengths, point.deadline)
    time_price = part.time_price_at(point.score)[:, None]
    price = time_price * (prices + part.slope[:, None])
    if not exact:
        return point, prices
    tokens, wanted = part.tokens(point.lengths), part.best_real_lengths(price)
    surplus = (part.tokens(wanted) - tokens - price * (wanted - point.lengths)).sum(axis=-1)
    off = np.flatnonzero(~(surplus <= SETTLED * tokens.sum(axis=-1)))
    if off.size:
        solved, prices[off], _ = solve_relaxation(part[off].as_weighted_sum(), point.lengths[off], _TOLERANCE)
        point.put(off, RelaxedPoint.at(part[off], solved.lengths, solved.deadline))
    return point, prices
