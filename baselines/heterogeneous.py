"""Heterogeneous drafts: the relaxation over all verification pieces, then whole lengths."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.bounds import lagrangian_bound, table_bound
from multispin_gym.baselines.homogeneous import best_common_lengths
from multispin_gym.baselines.latency import finish_together, least_deadline, token_prices
from multispin_gym.baselines.problem import Pieces, Problem, pieces_of
from multispin_gym.baselines.relaxation import Point, solve_relaxation
from multispin_gym.baselines.rounding import Whole, improve, play_whole
from multispin_gym.cell import Cell
from multispin_gym.rounds import Decision
from multispin_gym.users import Users
from multispin_gym.verification import TableVerification

# Pieces whose bound is no more than this above the best goodput, relative, are not opened.
_PRUNE = 1e-12
# What is added to real lengths before they are cut to whole ones.
_ROUNDING = (0.0, 0.25, 0.5, 0.75)
# The latency is homogeneous in the lengths, so drafts that are all longer or shorter cost little.
_SCALES = (0.75, 0.85, 1.15, 1.3, 1.45, 1.6)
# Steps of halving the distance to the best lengths at the current prices.
_SETTLING = 3


@dataclass(frozen=True, eq=False)
class Relaxation:
    """The optimum over real draft lengths, and a bound on the optimum over whole ones.

    Parameters
    ----------
    draft_lengths
        Real draft lengths. Shape (..., K).
    bandwidth_shares
        The split that lets all finish together. Shape (..., K).
    goodput
        Goodput of these lengths: the relaxed optimum, token/s. Shape (...,).
    upper_bound
        Goodput that no decision with whole lengths passes, rounding errors included, token/s; at most slightly above
        ``goodput`` and usually below it. Shape (...,).
    """

    draft_lengths: FloatArray
    bandwidth_shares: FloatArray
    goodput: FloatArray
    upper_bound: FloatArray


@dataclass(frozen=True, eq=False)
class Search:
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
    """

    problem: Problem
    cell: Cell
    pieces: Pieces
    bounds: FloatArray
    opened: np.ndarray

    @classmethod
    def of(cls, users: Users, cell: Cell, weight: FloatArray | None = None) -> Search:
        """Start a search with the bounds that the prices of a common length give.

        Parameters
        ----------
        users
            The users. Shape (..., K).
        cell
            The shared system.
        weight
            Weights of the users' tokens. Shape (M, K).

        Returns
        -------
        Search
            A search in which no piece has been opened.
        """
        problem = Problem.of(users, cell, weight)
        pieces = pieces_of(cell, users.num_users)
        shape = (len(problem.alpha), len(pieces))
        search = cls(problem, cell, pieces, np.full(shape, np.inf), np.zeros(shape, dtype=bool))
        ones = np.ones_like(problem.alpha)
        deadline, _ = finish_together(problem.curves, ones)
        search.tighten(np.arange(shape[0]), token_prices(problem.curves, ones, deadline))
        return search

    def tighten(self, rows: np.ndarray, prices: FloatArray) -> None:
        """Lower the bounds of all pieces of some cells with token prices found in one of them.

        Parameters
        ----------
        rows
            The cells.
        prices
            Their token prices, s per token. Shape (len(rows), K).
        """
        server = self.cell.verification
        for index in range(len(self.pieces)):
            part = self.problem[rows].in_piece(self.pieces, np.full(len(rows), index))
            start = part.tokens(part.low).sum(axis=-1) / part.verification_time(part.low)
            if isinstance(server, TableVerification) and server.batching == "ragged":
                bound = table_bound(part, server, prices, start)
            else:
                bound = lagrangian_bound(part, prices, start)
            self.bounds[rows, index] = np.minimum(self.bounds[rows, index], bound)

    def next_pieces(self, reached: FloatArray) -> tuple[np.ndarray, np.ndarray]:
        """The most promising unopened piece of each cell that may still pass what it has reached.

        Parameters
        ----------
        reached
            Best goodput of each cell so far, token/s. Shape (M,).

        Returns
        -------
        rows, index : numpy.ndarray
            The cells that go on and their next piece.
        """
        bounds = np.where(self.opened, -np.inf, self.bounds)
        index = bounds.argmax(axis=-1)
        rows = np.flatnonzero(bounds.max(axis=-1) > reached * (1.0 + _PRUNE))
        return rows, index[rows]

    def open(self, rows: np.ndarray, index: np.ndarray) -> Point:
        """Solve the relaxation of one piece for some cells and tighten their bounds with its prices.

        Parameters
        ----------
        rows
            The cells.
        index
            The piece of each.

        Returns
        -------
        Point
            The relaxed optimum in that piece.
        """
        point, prices = solve_relaxation(self.problem[rows].in_piece(self.pieces, index))
        self.opened[rows, index] = True
        self.tighten(rows, prices)
        return point


def relax(users: Users, cell: Cell) -> Relaxation:
    """Maximise the sum goodput over real draft lengths and the split of the band.

    Source: model, section 5. The verification time is interpolated between whole batch sizes; a padded batch is
    charged for its longest draft, so each longest draft is solved as a problem of its own.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    Relaxation
        The relaxed optimum and a bound on the optimum over whole lengths.

    Examples
    --------
    >>> from multispin_gym import AffineVerification
    >>> cell = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4, "ragged"))
    >>> users = Users([0.8, 0.6], [100.0, 200.0], [1e-10, 1e-11], 0.02)
    >>> relaxed = relax(users, cell)
    >>> bool(relaxed.upper_bound <= relaxed.goodput * (1 + 1e-9))
    True
    """
    search = Search.of(users, cell)
    idle = _idle(search)
    lengths, goodput = idle.lengths, idle.goodput
    rows = np.arange(len(goodput))
    for piece in range(len(search.pieces)):
        point = search.open(rows, np.full(len(rows), piece))
        wins = point.goodput > goodput
        lengths = np.where(wins[:, None], point.lengths, lengths)
        goodput = np.where(wins, point.goodput, goodput)
    shape = (*users.batch_shape, users.num_users)
    _, shares = finish_together(search.problem.curves, lengths)
    bound = np.maximum(search.bounds.max(axis=-1), idle.goodput)
    return Relaxation(
        lengths.reshape(shape), shares.reshape(shape), goodput.reshape(shape[:-1]), bound.reshape(shape[:-1])
    )


def _idle(search: Search) -> Whole:
    """All users without a draft where that is allowed; otherwise a goodput of zero."""
    problem, cell = search.problem, search.cell
    none = np.zeros_like(problem.alpha)
    idle = play_whole(problem, cell.verification, none)
    return idle if cell.min_draft_length == 0 else Whole(none, idle.deadline, np.zeros_like(idle.goodput))


def best_whole_drafts(search: Search) -> Whole:
    """Solve and round the pieces of each cell until no unopened one can be better.

    Parameters
    ----------
    search
        The search, whose bounds are tightened in place.

    Returns
    -------
    Whole
        Whole lengths, at least as good as the best common length.
    """
    problem, cell = search.problem, search.cell
    server = cell.verification
    common = best_common_lengths(problem, cell)
    best = _idle(search).better(improve(problem, server, play_whole(problem, server, common)))
    while True:
        rows, index = search.next_pieces(best.goodput)
        if rows.size == 0:
            return best
        point = search.open(rows, index)
        part = problem[rows]
        found = _round(part.in_piece(search.pieces, index), cell, point)
        here = Whole(best.lengths[rows], best.deadline[rows], best.goodput[rows])
        merged = here.better(improve(part, server, found))
        best.lengths[rows], best.deadline[rows], best.goodput[rows] = merged.lengths, merged.deadline, merged.goodput


def _round(problem: Problem, cell: Cell, point: Point) -> Whole:
    """Best of rounding at several thresholds, of the best lengths at the relaxed prices, and of letting users opt out."""
    prices = token_prices(problem.curves, point.lengths, point.deadline) + problem.slope[:, None]
    options = [np.floor(point.lengths + shift) for shift in _ROUNDING]
    options.extend(np.rint(scale * point.lengths) for scale in _SCALES)
    options.append(problem.best_whole_lengths(point.goodput[:, None] * prices))
    if cell.min_draft_length == 0:
        options.extend(_opting_out(problem, point, prices))
    best = None
    for option in options:
        trial = play_whole(problem, cell.verification, np.clip(option, problem.low, problem.high), point.deadline)
        best = trial if best is None else best.better(trial)
    assert best is not None
    return best


def _opting_out(problem: Problem, point: Point, prices: FloatArray) -> Iterator[FloatArray]:
    """Lengths for the rest when ever more of the users who cost the most time do not draft.

    With total power the first token's marginal share vanishes, so the relaxation never lets anybody opt out.
    """
    cost = prices * point.lengths
    rank = np.argsort(np.argsort(-cost, axis=-1), axis=-1)
    steps = np.unique(np.geomspace(1, problem.num_users - 1, 8).astype(int)) if problem.num_users > 1 else []
    for dropped in steps:
        kept = rank >= dropped
        lengths = np.where(kept, np.maximum(point.lengths, 1.0), 0.0)
        for _ in range(_SETTLING):
            deadline = least_deadline(problem.curves, lengths, tolerance=1e-6)
            price = token_prices(problem.curves, lengths, deadline) + problem.slope[:, None]
            level = problem.tokens(lengths).sum(axis=-1) / (deadline + problem.verification_time(lengths))
            wanted = problem.best_real_lengths(level[:, None] * price)
            lengths = np.where(kept, 0.5 * (lengths + np.maximum(wanted, 0.5)), 0.0)
        yield np.where(kept, np.rint(lengths), 0.0)


def heterogeneous(users: Users, cell: Cell) -> Decision:
    """Own draft length for every user, all finishing together (model, section 5).

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    Decision
        Whole draft lengths and bandwidth shares, never worse than the best common length.
    """
    search = Search.of(users, cell)
    return whole_decision(search.problem, best_whole_drafts(search).lengths, users)


def whole_decision(problem: Problem, lengths: FloatArray, users: Users) -> Decision:
    """Split the band for whole lengths and restore the batch axes.

    Parameters
    ----------
    problem
        The rows.
    lengths
        Whole draft lengths. Shape (M, K).
    users
        The users, for their batch shape.

    Returns
    -------
    Decision
        Decision of shape (..., K).
    """
    shape = (*users.batch_shape, users.num_users)
    _, shares = finish_together(problem.curves, lengths)
    return Decision.trusted(lengths.astype(np.int64).reshape(shape), shares.reshape(shape))
