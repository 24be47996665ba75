"""Nested drafts: what each user has ready by one common deadline on an equal share, and that polished.

Source: section 5 of the model, of which the best split of the band for given lengths is used; the family of lengths is
this library's own. Unlike the relaxation it asks for no more than one scan.
"""

from __future__ import annotations

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.heterogeneous import whole_decision
from multispin_gym.baselines.solver.nested_lengths import best_nested
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import server_of
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


def nested(
    users: Users, cell: Cell, objective: Objective | None = None, time_price: FloatArray | None = None
) -> Decision:
    """Own lengths nested under one deadline T: ``floor(T / t_k)``, cut to the cell's range, and the best T.

    t_k is the time in which user k drafts a token and uploads it on an equal share of the band. All T at which a length
    changes are scanned, each with the split of the band that lets all finish together and the server's verification
    time; where users may opt out, those for whom T is too short do. With a price of time, tokens that a second costs,
    ``tokens - time_price * latency`` is maximised instead of their ratio; it broadcasts to (...,).
    """
    problem = Problem.of(users, cell, objective, time_price)
    return whole_decision(problem, best_nested(problem, server_of(cell, users.num_users)), users)


def nested_polished(
    users: Users, cell: Cell, objective: Objective | None = None, time_price: FloatArray | None = None
) -> Decision:
    """:func:`nested`, then the best move of one token, or of one user who opts out, until none gains.

    So no other length of a single user is one token away and better. The arguments are those of :func:`nested`.
    """
    problem = Problem.of(users, cell, objective, time_price)
    return whole_decision(problem, best_nested(problem, server_of(cell, users.num_users), polish=True), users)
