"""Cells in which not everybody is present, solved as cells of those who are.

The cells of a batch are taken together by how many are present, so that whatever solves a batch of cells solves these.
Absent users get zeros, and so does a cell with nobody in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users

Solve = Callable[[Users, Objective | None], Mapping[str, NDArray[Any]]]
"""Users who are all present, of shape (..., m), and the objective over them in; results by name, of shape (..., m) or
(...,), out."""


def solve_present(users: Users, objective: Objective | None, solve: Solve, into: Mapping[str, NDArray[Any]]) -> None:
    """Fill in what comes of the users who are present.

    Parameters
    ----------
    users
        Users with a word on who is present. Shape (..., K).
    objective
        An objective over all K of them, of which ``solve`` gets the part about those present; None is passed on.
    solve
        What solves cells of present users only: once for each number of them.
    into
        Arrays of zeros, or of whatever those who are absent and cells without anybody get, by the names of the results.
        Shape (..., K) or (...,).
    """
    assert users.present is not None
    if users.present.all():
        for name, values in solve(users.all_present(), objective).items():
            into[name][...] = values
        return
    num_users, axes = users.num_users, users.present.ndim
    mask = users.present.reshape(-1, num_users)
    fields = users.all_present().flattened().fields
    number = mask.sum(axis=-1)
    for count in np.unique(number[number > 0]).tolist():
        cells = np.flatnonzero(number == count)
        place = np.nonzero(mask[cells])[1].reshape(-1, count)
        # One cell stays one cell, not a batch of one.
        shape = (count,) if axes == 1 else (len(cells), count)
        picked = {name: values[cells[:, None], place] for name, values in fields.items()}
        some = Users.trusted(**{name: values.reshape(*shape, *values.shape[2:]) for name, values in picked.items()})
        part = None if objective is None else objective.of_users(cells, place, num_users)
        for name, values in solve(some, part).items():
            if into[name].ndim == axes:
                whole = into[name].reshape(-1, num_users)
                whole[cells[:, None], place] = np.broadcast_to(values, shape).reshape(-1, count)
            else:
                into[name].reshape(-1)[cells] = np.broadcast_to(values, shape[:-1]).reshape(-1)


def decide_present(
    rule: Callable[..., Decision], users: Users, cell: Cell, objective: Objective | None = None
) -> Decision:
    """Decide rounds by a rule that knows of present users only.

    Parameters
    ----------
    rule
        The rule; an objective is passed to it by name where there is one.
    users
        The users. Shape (..., K).
    cell
        The shared system.
    objective
        An objective over all K users.

    Returns
    -------
    Decision
        Lengths and shares of 0 for absent users; the rule's cut-offs and whom it gives up, if it does. Shape (..., K).
    """

    def decide(some: Users, part: Objective | None) -> Decision:
        return rule(some, cell) if part is None else rule(some, cell, objective=part)

    if users.present is None:
        return decide(users, objective)
    shape = users.present.shape
    found: dict[str, NDArray[Any]] = {"draft_lengths": np.zeros(shape, np.int64), "bandwidth_shares": np.zeros(shape)}
    optional = {"cutoff": np.full(shape[:-1], np.inf), "give_up": np.zeros(shape, np.bool_)}

    def solve(some: Users, part: Objective | None) -> Mapping[str, NDArray[Any]]:
        fields = vars(decide(some, part))
        found.update({name: values for name, values in optional.items() if name in fields and name not in found})
        return fields

    solve_present(users, objective, solve, found)
    return Decision.trusted(**found)


def refuse_absent(users: Users, what: str) -> None:
    """Refuse users of whom somebody is absent, with a ValueError, where that would go unnoticed."""
    if users.present is not None and not users.present.all():
        raise ValueError(f"{what} takes users who are all present, got some for whom users.present is False")


def refuse_curves(users: Users, what: str) -> None:
    """Refuse users with acceptance curves of their own, with a ValueError, where only rates are understood."""
    if users.survival is not None:
        raise ValueError(
            f"{what} takes users whose acceptance_rate says it all, got some with curves of their own in users.survival"
        )
