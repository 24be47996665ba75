"""Heterogeneous drafts: the relaxation of every promising verification piece, then whole lengths."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.common_lengths import best_common_lengths
from multispin_gym.baselines.solver.deadline import finish_together
from multispin_gym.baselines.solver.local_search import MANY, WholeLengths, improve, play_whole
from multispin_gym.baselines.solver.nested_lengths import best_nested
from multispin_gym.baselines.solver.piece_search import PieceSearch
from multispin_gym.baselines.solver.problem import Problem, check_finite
from multispin_gym.baselines.solver.roundings import roundings
from multispin_gym.baselines.solver.whole_search import best_whole
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


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
        best = best.better(best_nested(problem, server, polish=True))
    while True:
        rows, index = search.next_pieces(best.score)
        if rows.size == 0 or search.clock.over:
            return best
        point, prices = search.open(rows, index)
        part = problem[rows]
        starts = roundings(part.in_piece(search.pieces, index), server, point, prices)
        # All starts climb together, one after the other in the rows of one batch.
        copies = [np.arange(len(rows))] * len(starts)
        found = improve(part[np.concatenate(copies)], server, WholeLengths.joined(starts), search.clock)
        # A cell comes up once for each of its pieces here and each start.
        order = np.argsort(-found.score, kind="stable")
        cells, first = np.unique(np.tile(rows, len(starts))[order], return_index=True)
        best.put(cells, best[cells].better(found[order[first]]))


def heterogeneous(
    users: Users, cell: Cell, objective: Objective | None = None, time_price: FloatArray | None = None
) -> Decision:
    """Own draft length for every user, all finishing together (model, section 5); never below the best common length.

    With a price of time, tokens that a second costs, ``tokens - time_price * latency`` is maximised instead of their
    ratio; it broadcasts to (...,).
    """
    problem = Problem.of(users, cell, objective, time_price)
    return whole_decision(problem, best_whole(problem, cell), users)


def whole_decision(problem: Problem, whole: WholeLengths, users: Users) -> Decision:
    """Split the band for whole lengths and restore the users' batch axes."""
    check_finite(goodput=whole.score)
    shape = (*users.batch_shape, users.num_users)
    _, shares = finish_together(problem.curves, whole.lengths, whole.deadline)
    return Decision.trusted(whole.lengths.astype(np.int64).reshape(shape), shares.reshape(shape))
