"""A search over the verification pieces of a batch of cells, guided by bounds."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.bounds import lagrangian_bound, table_bound
from multispin_gym.baselines.solver.clock import UNLIMITED, Clock
from multispin_gym.baselines.solver.deadline import least_deadline, token_prices
from multispin_gym.baselines.solver.local_search import WholeLengths, play_whole
from multispin_gym.baselines.solver.newton import RelaxedPoint, solve_relaxation
from multispin_gym.baselines.solver.pieces import Pieces, pieces_of
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import Server, drafting_server, server_of
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.users import Users
from multispin_gym.physics.verification import TableVerification

# Pieces whose bound is no more than this above the best goodput, relative, are not opened.
_PRUNE = 1e-12
# Entries, cells times users, of what is opened at a time where time is short.
_ENTRIES = 2_000
# Entries, cells times users, up to which several pieces of a cell are opened at once.
_AT_ONCE = 40
# Entries, cells times pieces times users, that are bounded at once; times lengths for a ragged table.
_BOUNDED = 100_000


@dataclass(frozen=True, eq=False)
class PieceSearch:
    """The state of a search over the pieces of a batch of cells.

    Parameters
    ----------
    problem
        One row for each cell.
    cell
        The shared system.
    pieces
        The cell's verification pieces.
    bounds
        Best bound known for each cell and piece, token/s. Shape (M, P).
    opened
        Which pieces have been solved. Shape (M, P).
    clock
        How much time there is.
    """

    problem: Problem
    cell: Cell
    pieces: Pieces
    bounds: FloatArray
    opened: np.ndarray
    clock: Clock = UNLIMITED

    @classmethod
    def of(
        cls,
        users: Users,
        cell: Cell,
        objective: Objective | None = None,
        time_price: FloatArray | None = None,
        clock: Clock = UNLIMITED,
    ) -> PieceSearch:
        """Start a search in which no piece has been opened, with the bounds that the prices of a common length give.

        Users have shape (..., K); ``time_price``, token/s, broadcasts to shape (...,). See :meth:`Problem.of`.
        """
        problem = Problem.of(users, cell, objective, time_price)
        pieces = pieces_of(cell, users.num_users)
        shape = (len(problem.alpha), len(pieces))
        search = cls(problem, cell, pieces, np.full(shape, np.inf), np.zeros(shape, dtype=bool), clock)
        if clock.limited:
            search.bounds[:] = search._rough_bound()[:, None]
        if shape[1] > 1:
            # Prices hold at any deadline, so a rough one does to rank the pieces.
            ones = np.ones_like(problem.alpha)
            prices = token_prices(problem.curves, ones, least_deadline(problem.curves, ones, tolerance=1e-2))
            search.tighten(np.arange(shape[0]), problem.linearised(ones), prices)
        return search

    @cached_property
    def server(self) -> Server:
        """The cell's server for batches of all its users."""
        return server_of(self.cell, self.problem.num_users)

    def _rough_bound(self) -> FloatArray:
        """A bound for all pieces at once, for when the time is up before each has its own. Shape (M,)."""
        ones = np.ones_like(self.problem.alpha)
        prices = token_prices(self.problem.curves, ones, least_deadline(self.problem.curves, ones, tolerance=1e-2))
        linear = self.problem.linearised(ones).in_piece(self.pieces.joined(), np.zeros(len(ones), dtype=np.int64))
        return self.bound(linear, prices, np.zeros(len(ones)))

    def tighten(self, rows: np.ndarray, linear: Problem, prices: FloatArray) -> None:
        """Lower the bounds of all pieces of some cells with token prices found in one of them.

        ``linear`` are the cells' problems with the weighted sum to be bounded, in no piece. A cell may come up again.
        Shapes: rows (M,), prices (M, K), s per token.
        """
        entries = max(linear.alpha.size, 1)
        if isinstance(self.cell.verification, TableVerification) and self.cell.verification.batching == "ragged":
            entries *= self.cell.max_draft_length
        some = max(_BOUNDED // entries, 1)
        for first in range(0, len(self.pieces), some):
            if self.clock.over:
                break
            pieces = np.arange(first, min(first + some, len(self.pieces)))
            cell, index = np.divmod(np.arange(len(rows) * len(pieces)), len(pieces))
            part = linear[cell].in_piece(self.pieces, pieces[index])
            start = part.tokens(part.low).sum(axis=-1) / part.verification_time(part.low)
            bound = self.bound(part, prices[cell], start).reshape(len(rows), len(pieces))
            np.minimum.at(self.bounds, (rows[:, None], pieces[None, :]), bound)

    def bound(self, linear: Problem, prices: FloatArray, start: FloatArray) -> FloatArray:
        """Bound on the score of rows in a piece, by the form that their verification time needs.

        Shapes: prices, s per token, (M, K); start, a goodput in token/s, and bounds (M,).
        """
        server = drafting_server(self.cell, self.problem.num_users)
        if isinstance(server, TableVerification) and server.batching == "ragged":
            return table_bound(linear, server, prices, start)
        return lagrangian_bound(linear, prices, start)

    def next_pieces(self, reached: FloatArray) -> tuple[np.ndarray, np.ndarray]:
        """The most promising unopened pieces of each cell that may still pass the score it has reached, of shape (M,).

        It is one of each cell, and of few cells several; where time is short it is the cells with most to gain only.
        Returns the cells that go on, each as often as it has pieces here, and the pieces.
        """
        if self.opened.all():
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        bounds = np.where(self.opened, -np.inf, self.bounds)
        best = bounds.max(axis=-1)
        cells = np.flatnonzero(best > reached + _PRUNE * np.abs(reached))
        if self.clock.limited:
            lead = best[cells] - reached[cells]
            cells = cells[np.argsort(-lead, kind="stable")[: max(_ENTRIES // self.problem.num_users, 1)]]
            return cells, bounds[cells].argmax(axis=-1)
        several = min(max(_AT_ONCE // (self.problem.num_users * max(len(cells), 1)), 1), len(self.pieces))
        index = np.argsort(-bounds[cells], axis=-1, kind="stable")[:, :several]
        low = (reached + _PRUNE * np.abs(reached))[cells, None]
        place, column = np.nonzero(bounds[cells[:, None], index] > low)
        return cells[place], index[place, column]

    def open(self, rows: np.ndarray, index: np.ndarray) -> tuple[RelaxedPoint, FloatArray]:
        """Solve the relaxation of one piece for some cells and tighten their bounds with its prices.

        Returns their relaxed optima and token prices there, s per token. Shapes: the cells and the piece of each (M,),
        prices (M, K).
        """
        problem = self.problem[rows]
        point, prices, linear = solve_relaxation(problem.in_piece(self.pieces, index), clock=self.clock)
        self.opened[rows, index] = True
        self.tighten(rows, replace(problem, weight=linear.weight), prices)
        return point, prices

    def idle(self) -> WholeLengths:
        """All users of each cell without a draft where that is allowed; otherwise a score of minus infinity."""
        none = np.zeros_like(self.problem.alpha)
        idle = play_whole(self.problem, self.server, none)
        allowed = self.cell.min_draft_length == 0
        return idle if allowed else WholeLengths(none, idle.deadline, np.full(len(none), -np.inf))
