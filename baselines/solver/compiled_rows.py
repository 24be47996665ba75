"""What is compiled of the solver, over the rows of a batch. This module needs numba; see :mod:`.compiled`."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver import compiled_improve, compiled_moves
from multispin_gym.baselines.solver.compiled_curves import Curves
from multispin_gym.baselines.solver.compiled_moves import Row
from multispin_gym.baselines.solver.compiling import compiled


@compiled
def _row(users: FloatArray, time_price: float, flags: tuple[bool, bool, bool], waiting: FloatArray) -> Row:
    """One row of what :meth:`.compiled.Packed.of` packs."""
    curves = Curves(flags[0], users[0], users[1], users[2], users[3], users[4], users[5])
    return Row(
        curves, users[6], users[7], users[8], users[9], users[10], users[11], time_price, flags[1], flags[2], waiting
    )


@compiled
def climb(
    users: FloatArray,
    time_price: FloatArray,
    flags: tuple[bool, bool, bool],
    waiting: FloatArray,
    lengths: FloatArray,
    deadline: FloatArray,
    score: FloatArray,
) -> None:
    """Do :func:`.single_moves.climb` in place."""
    for index in range(len(score)):
        row = _row(users[index], time_price[index], flags, waiting)
        deadline[index], score[index] = compiled_moves.climb(row, lengths[index], deadline[index], score[index])


@compiled
def improve(
    users: FloatArray,
    time_price: FloatArray,
    flags: tuple[bool, bool, bool],
    waiting: FloatArray,
    lengths: FloatArray,
    deadline: FloatArray,
    score: FloatArray,
) -> None:
    """Do :func:`.local_search.improve` in place."""
    for index in range(len(score)):
        row = _row(users[index], time_price[index], flags, waiting)
        deadline[index], score[index] = compiled_improve.improve(row, lengths[index], deadline[index], score[index])


@compiled
def scan(
    users: FloatArray,
    time_price: FloatArray,
    flags: tuple[bool, bool, bool],
    waiting: FloatArray,
    members: tuple[FloatArray, FloatArray, np.ndarray, FloatArray],
    lengths: FloatArray,
    deadline: FloatArray,
    score: FloatArray,
) -> None:
    """Do :func:`.nested_lengths.best_nested`, of whose members the arrays are given."""
    token_time, until, user, after = members
    for index in range(len(score)):
        row = _row(users[index], time_price[index], flags, waiting)
        deadline[index], score[index] = compiled_moves.scan(
            row, token_time[index], until[index], user[index], after[index], lengths[index]
        )
