"""Heterogeneous drafts: the relaxation of every promising verification piece, then whole lengths."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.homogeneous import best_common_lengths
from multispin_gym.baselines.solver.deadline import finish_together, least_deadline, token_prices
from multispin_gym.baselines.solver.local_search import MANY, WholeLengths, best_option, improve, play_whole
from multispin_gym.baselines.solver.nested_lengths import best_nested
from multispin_gym.baselines.solver.newton import RelaxedPoint
from multispin_gym.baselines.solver.piece_search import PieceSearch
from multispin_gym.baselines.solver.problem import Problem, check_finite
from multispin_gym.baselines.solver.server import Server
from multispin_gym.baselines.solver.single_moves import climb
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users

# What is added to real lengths before they are cut to whole ones.
_ROUNDING = (0.0, 0.25, 0.5, 0.75)
# The latency is homogeneous in the lengths, so drafts that are all longer or shorter cost little.
_SCALES = (0.75, 0.85, 1.15, 1.3, 1.45, 1.6)
# Steps of halving the distance to the best lengths at the current prices.
_SETTLING = 3


def best_whole_drafts(search: PieceSearch) -> WholeLengths:
    """Solve and round the pieces of each cell until no unopened one can be better.

    What comes out is at least as good as the best common length and, where there are several pieces, no clock is
    running and users are not very many, as the polished best of the lengths nested under one deadline. The search's
    bounds are tightened in place. It ends before all is done when the search's time is up.
    """
    problem, cell = search.problem, search.cell
    server = search.server
    best = search.idle().better(play_whole(problem, server, best_common_lengths(problem, cell)))
    if len(search.pieces) > 1 and problem.num_users <= MANY and not search.clock.limited:
        # One scan over all pieces leaves few of them that may be better.
        best = best.better(climb(problem, server, best_nested(problem, server)))
    while True:
        rows, index = search.next_pieces(best.score)
        if rows.size == 0 or search.clock.over:
            return best
        point = search.open(rows, index)
        part = problem[rows]
        starts = _roundings(part.in_piece(search.pieces, index), server, cell, point)
        # All starts climb together, one after the other in the rows of one batch.
        copies = [np.arange(len(rows))] * len(starts)
        found = improve(part[np.concatenate(copies)], server, WholeLengths.joined(starts), search.clock)
        # A cell comes up once for each of its pieces here and each start.
        order = np.argsort(-found.score, kind="stable")
        cells, first = np.unique(np.tile(rows, len(starts))[order], return_index=True)
        best.put(cells, best[cells].better(found[order[first]]))


def _roundings(problem: Problem, server: Server, cell: Cell, point: RelaxedPoint) -> list[WholeLengths]:
    """Best of rounding at several thresholds and scales and at the relaxed prices.

    Where users may opt out, also the best with a draft for everybody and the best without some who cost the most time:
    single steps do not lead from one to the other.
    """
    linear = problem.linearised(point.lengths)
    prices = token_prices(problem.curves, point.lengths, point.deadline)
    time_price = problem.time_price_at(point.score)[:, None]
    options = [np.floor(point.lengths + shift) for shift in _ROUNDING]
    options.extend(np.rint(scale * point.lengths) for scale in _SCALES)
    options.append(linear.best_whole_lengths(time_price * (prices + problem.slope[:, None])))
    every = np.clip(np.stack(options, axis=1), problem.low[:, None], problem.high[:, None])
    families = [every]
    if cell.min_draft_length == 0 and problem.num_users > 1:
        families += [np.maximum(every, 1.0), _opting_out(linear, point, prices)]
    return [best_option(problem, server, options, point.deadline) for options in families]


def _opting_out(linear: Problem, point: RelaxedPoint, prices: FloatArray) -> FloatArray:
    """Lengths for the rest when ever more of the users who cost the most time do not draft. Shape (M, C, K).

    With total power the first token's marginal share vanishes, so the relaxation never lets anybody opt out.
    """
    rank = np.argsort(np.argsort(-prices * point.lengths, axis=-1), axis=-1)
    dropped = np.array(sorted({int(count) for count in np.geomspace(1, linear.num_users, 8)} - {linear.num_users}))
    rows = np.repeat(np.arange(len(rank)), len(dropped))
    kept = rank[rows] >= np.tile(dropped, len(rank))[:, None]
    problem = linear[rows]
    lengths = np.where(kept, np.maximum(point.lengths[rows], 1.0), 0.0)
    for _ in range(_SETTLING):
        deadline = least_deadline(problem.curves, lengths, tolerance=1e-3)
        delay = token_prices(problem.curves, lengths, deadline) + problem.slope[:, None]
        seconds = deadline + problem.verification_time(lengths)
        time_price = problem.time_price_at(problem.tokens(lengths).sum(axis=-1) / seconds)
        wanted = problem.best_real_lengths(time_price[:, None] * delay)
        lengths = np.where(kept, 0.5 * (lengths + np.maximum(wanted, 0.5)), 0.0)
    return np.where(kept, np.maximum(np.rint(lengths), 1.0), 0.0).reshape(len(rank), len(dropped), -1)


def heterogeneous(
    users: Users, cell: Cell, objective: Objective | None = None, time_price: FloatArray | None = None
) -> Decision:
    """Own draft length for every user, all finishing together (model, section 5); never below the best common length.

    With a price of time, tokens that a second costs, ``tokens - time_price * latency`` is maximised instead of their
    ratio; it broadcasts to (...,).
    """
    search = PieceSearch.of(users, cell, objective, time_price, bounded=False)
    return whole_decision(search.problem, best_whole_drafts(search), users)


def whole_decision(problem: Problem, whole: WholeLengths, users: Users) -> Decision:
    """Split the band for whole lengths and restore the users' batch axes."""
    check_finite(goodput=whole.score)
    shape = (*users.batch_shape, users.num_users)
    _, shares = finish_together(problem.curves, whole.lengths, whole.deadline)
    return Decision.trusted(whole.lengths.astype(np.int64).reshape(shape), shares.reshape(shape))
