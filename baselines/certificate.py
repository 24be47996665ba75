"""The certified optimum: a decision and a bound that no decision passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray, IntArray, check_kind, check_number
from multispin_gym.baselines.heterogeneous import best_whole_drafts, whole_decision
from multispin_gym.baselines.present_users import solve_present
from multispin_gym.baselines.solver.branch_and_bound import BranchAndBound
from multispin_gym.baselines.solver.clock import Clock
from multispin_gym.baselines.solver.piece_search import PieceSearch
from multispin_gym.baselines.solver.problem import check_finite
from multispin_gym.baselines.solver.switch import compiled_rows
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users


@dataclass(frozen=True, eq=False)
class Certificate:
    """A decision, its goodput, and a bound that no decision of the cell passes.

    Parameters
    ----------
    decision
        The best decision found. Shape (..., K).
    goodput
        Its goodput, token/s: weighted where the objective is, and for proportional fairness the (weighted) geometric
        mean of the users' token rates. Shape (...,).
    upper_bound
        Goodput that no decision with whole lengths in the cell's range passes, in the same unit, rounding errors
        included. Shape (...,).
    gap
        ``upper_bound / goodput - 1``. Shape (...,).
    nodes
        Boxes of draft lengths that were examined. Shape (...,).
    """

    decision: Decision
    goodput: FloatArray
    upper_bound: FloatArray
    gap: FloatArray
    nodes: IntArray


def certify(
    users: Users,
    cell: Cell,
    gap: float = 1e-6,
    time_limit: float | None = None,
    objective: Objective | None = None,
) -> Certificate:
    """Find the optimal whole draft lengths and bandwidth, and prove how good they are.

    Branch and bound over the convex relaxation (model, section 5; with acceptance curves: section 10). It can be
    stopped at any time: the decisions are the best found and the bounds hold.

    Parameters
    ----------
    users
        The users; absent ones have zeros, and so have cells without anybody. Shape (..., K).
    cell
        The shared system.
    gap
        Relative gap between bound and goodput at which a cell is done; at least 0.
    time_limit
        Seconds for the whole call, after which it ends with what it has; it takes at least as long as a first bound and
        the best common length. No limit by default.
    objective
        What to maximise; the sum token goodput by default.

    Returns
    -------
    Certificate
        Decisions and bounds.

    Raises
    ------
    TypeError
        If users or cell are something else.
    ValueError
        If the gap is negative, the time limit is not positive, the objective's weights do not fit, or the users'
        acceptance curves end before the cell's longest draft.
    RuntimeError
        If the cell takes the goodput or its bound out of the range of numbers.

    Examples
    --------
    >>> from multispin_gym import AffineVerification
    >>> cell = Cell(10e6, 3.98e-21, 16384.0, AffineVerification(0.06, 3e-4, "ragged"))
    >>> users = Users([0.8, 0.6], [100.0, 200.0], [1e-10, 1e-11], 0.02)
    >>> certificate = certify(users, cell)
    >>> certificate.decision.draft_lengths
    array([3, 5])
    >>> bool(certificate.gap <= 1e-6)
    True
    """
    check_kind("users", users, Users)
    check_kind("cell", cell, Cell)
    gap, time_limit = check_limits(gap, time_limit)
    # Loops that are compiled for the first time on a machine take seconds, which are not the search's.
    compiled_rows()
    clock = Clock.of(time_limit)
    if users.present is None and users.acceptance_rate.size:
        return _certify(users, cell, gap, objective, clock)
    shape = users.acceptance_rate.shape if users.present is None else users.present.shape
    lengths, shares = np.zeros(shape, np.int64), np.zeros(shape)
    kinds = {"goodput": np.float64, "upper_bound": np.float64, "gap": np.float64, "nodes": np.int64}
    of_cells: dict[str, NDArray[Any]] = {name: np.zeros(shape[:-1], kind) for name, kind in kinds.items()}

    def solve(some: Users, part: Objective | None) -> Mapping[str, NDArray[Any]]:
        found = vars(_certify(some, cell, gap, part, clock))
        return {**vars(found["decision"]), **{name: found[name] for name in of_cells}}

    if users.present is not None:
        solve_present(users, objective, solve, {"draft_lengths": lengths, "bandwidth_shares": shares, **of_cells})
    return Certificate(Decision.trusted(lengths, shares), **of_cells)


def check_limits(gap: float, time_limit: float | None) -> tuple[float, float | None]:
    """Check when :func:`certify` may end.

    Parameters
    ----------
    gap, time_limit
        See :func:`certify`.

    Returns
    -------
    tuple of float
        The same.

    Raises
    ------
    ValueError
        If the gap is negative or the time limit is not positive.
    TypeError
        If one is not a number.
    """
    gap = check_number("gap", gap, low=0.0)
    return gap, None if time_limit is None else check_number("time_limit", time_limit, low=0.0, low_open=True)


def _certify(users: Users, cell: Cell, gap: float, objective: Objective | None, clock: Clock) -> Certificate:
    """Do :func:`certify` where everybody is present."""
    search = PieceSearch.of(users, cell, objective, clock=clock)
    tree = BranchAndBound(search, best_whole_drafts(search), gap)
    while len(tree.open) and not clock.over:
        tree.step()
    shape, bound = users.batch_shape, tree.upper_bound()
    check_finite(upper_bound=bound)
    return Certificate(
        whole_decision(search.problem, tree.best, users),
        tree.best.score.reshape(shape),
        bound.reshape(shape),
        (bound / tree.best.score - 1.0).reshape(shape),
        tree.nodes.reshape(shape),
    )


def exact(
    users: Users,
    cell: Cell,
    gap: float = 1e-6,
    time_limit: float | None = None,
    objective: Objective | None = None,
) -> Decision:
    """Play the best decision that :func:`certify` finds."""
    return certify(users, cell, gap, time_limit, objective).decision
