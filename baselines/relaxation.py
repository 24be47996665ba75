"""The relaxation to real draft lengths, and the bound that it puts on whole ones."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from multispin_gym._validation import FloatArray, check_kind
from multispin_gym.baselines.present_users import solve_present
from multispin_gym.baselines.solver.deadline import finish_together
from multispin_gym.baselines.solver.piece_search import PieceSearch
from multispin_gym.baselines.solver.problem import check_finite
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.users import Users

_OF_USERS = ("draft_lengths", "bandwidth_shares")


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


def relax(users: Users, cell: Cell, objective: Objective | None = None) -> Relaxation:
    """Maximise the sum goodput over real draft lengths and the split of the band.

    Source: model, section 5. The verification time is interpolated between whole batch sizes; a padded batch is
    charged for its longest draft, so each longest draft is solved as a problem of its own. Users' acceptance curves are
    joined smoothly between whole lengths (model, section 10); where one falls to nothing at once the relaxed optimum is
    only approached, and the bound holds all the same.

    Parameters
    ----------
    users
        The users; absent ones have zeros, and so have cells without anybody. Shape (..., K).
    cell
        The shared system.
    objective
        What to maximise; the sum token goodput by default. For proportional fairness goodput and bound are those of
        the (weighted) geometric mean of the users' token rates.

    Returns
    -------
    Relaxation
        The relaxed optimum and a bound on the optimum over whole lengths.

    Raises
    ------
    TypeError
        If users or cell are something else.
    ValueError
        If the users' acceptance curves end before the cell's longest draft.
    RuntimeError
        If the cell takes the goodput or its bound out of the range of numbers.

    Examples
    --------
    >>> from multispin_gym import AffineVerification
    >>> cell = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4, "ragged"))
    >>> users = Users([0.8, 0.6], [100.0, 200.0], [1e-10, 1e-11], 0.02)
    >>> relaxed = relax(users, cell)
    >>> bool(relaxed.upper_bound <= relaxed.goodput * (1 + 1e-9))
    True
    """
    check_kind("users", users, Users)
    check_kind("cell", cell, Cell)
    if users.present is not None:
        shape = users.present.shape
        found = {spec.name: np.zeros(shape if spec.name in _OF_USERS else shape[:-1]) for spec in fields(Relaxation)}
        solve_present(users, objective, lambda some, part: vars(relax(some, cell, part)), found)
        return Relaxation(**found)
    search = PieceSearch.of(users, cell, objective)
    idle = search.idle()
    lengths, deadline, goodput = idle.lengths, idle.deadline, idle.score
    rows = np.arange(len(goodput))
    for piece in range(len(search.pieces)):
        point, _ = search.open(rows, np.full(len(rows), piece))
        wins = point.score > goodput
        lengths = np.where(wins[:, None], point.lengths, lengths)
        deadline = np.where(wins, point.deadline, deadline)
        goodput = np.where(wins, point.score, goodput)
    shape = (*users.batch_shape, users.num_users)
    _, shares = finish_together(search.problem.curves, lengths, deadline)
    bound = np.maximum(search.bounds.max(axis=-1), idle.score)
    check_finite(goodput=goodput, upper_bound=bound)
    return Relaxation(
        lengths.reshape(shape), shares.reshape(shape), goodput.reshape(shape[:-1]), bound.reshape(shape[:-1])
    )
