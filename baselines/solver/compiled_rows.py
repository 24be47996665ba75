"""What is compiled of the solver, over the rows of a batch. This module needs numba; see :mod:`.switch`."""

from __future__ import annotations

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver import (
    compiled_curves,
    compiled_improve,
    compiled_moves,
    compiled_nested,
    compiled_search,
    compiled_settling,
)
from multispin_gym.baselines.solver.compiled_cell import Row, tokens_by_length
from multispin_gym.baselines.solver.compiled_curves import curves_of
from multispin_gym.baselines.solver.compiled_duals import Duals
from multispin_gym.baselines.solver.compiled_settling import Relaxed
from multispin_gym.baselines.solver.compiling import compiled


@compiled
def _row(
    users: FloatArray, time_price: float, flags: tuple[bool, bool, bool], sums: FloatArray, waiting: FloatArray
) -> Row:
    """One row of what :class:`.compiled.Packed` packs."""
    curves = curves_of(flags[0], users[0], users[1], users[2])
    curved = sums.size > 0
    return Row(
        curves,
        users[3],
        users[4],
        users[5],
        users[6],
        users[7],
        users[8],
        time_price,
        flags[1],
        flags[2],
        curved,
        sums if curved else tokens_by_length(users[3], int(users[8].max())),
        waiting,
    )


@compiled
def least_deadline(
    density: bool, curves: FloatArray, lengths: FloatArray, tolerance: float, deadline: FloatArray
) -> None:
    """Do :func:`.deadline.least_deadline` on the starts, NaN for none. The curves have shape (M, 3, K)."""
    for index in range(len(deadline)):
        row = curves_of(density, curves[index, 0], curves[index, 1], curves[index, 2])
        deadline[index] = compiled_curves.least_deadline(row, lengths[index], deadline[index], tolerance)


@compiled
def finish_together(
    density: bool, curves: FloatArray, lengths: FloatArray, tolerance: float, deadline: FloatArray, shares: FloatArray
) -> None:
    """Do :func:`.deadline.finish_together` on the starts, NaN for none, and fill in the shares."""
    for index in range(len(deadline)):
        row = curves_of(density, curves[index, 0], curves[index, 1], curves[index, 2])
        deadline[index] = compiled_curves.least_deadline(row, lengths[index], deadline[index], tolerance)
        compiled_curves.split(row, lengths[index], deadline[index], shares[index])


@compiled
def settle(density: bool, users: FloatArray, server: FloatArray, lengths: FloatArray, deadline: FloatArray) -> None:
    """Do Newton's method of :mod:`.stationarity` in place. Shapes: users (M, 11, K), server (M, 3)."""
    for index in range(len(deadline)):
        every, one = users[index], server[index]
        curves = curves_of(density, every[0], every[1], every[2])
        row = Relaxed(
            curves,
            every[3],
            every[4],
            every[5],
            every[6],
            every[7],
            every[8],
            every[9],
            every[10],
            one[0],
            one[1],
            one[2],
        )
        deadline[index] = compiled_settling.settle(row, lengths[index])


@compiled
def improve(
    users: FloatArray,
    time_price: FloatArray,
    flags: tuple[bool, bool, bool],
    sums: FloatArray,
    waiting: FloatArray,
    lengths: FloatArray,
    deadline: FloatArray,
    score: FloatArray,
) -> None:
    """Do :func:`.local_search.improve` in place."""
    known = np.full(lengths.shape[1], np.nan)
    for index in range(len(score)):
        row = _row(users[index], time_price[index], flags, sums[index], waiting)
        deadline[index], score[index] = compiled_improve.improve(
            row, lengths[index], deadline[index], score[index], known
        )


@compiled
def scan(
    users: FloatArray,
    time_price: FloatArray,
    flags: tuple[bool, bool, bool],
    sums: FloatArray,
    waiting: FloatArray,
    polish: bool,
    lengths: FloatArray,
    deadline: FloatArray,
    score: FloatArray,
) -> None:
    """Fill in :func:`.nested_lengths.best_nested`."""
    for index in range(len(score)):
        row = _row(users[index], time_price[index], flags, sums[index], waiting)
        deadline[index], score[index] = compiled_nested.scan(row, lengths[index])
        if polish:
            deadline[index], score[index] = compiled_moves.climb(row, lengths[index], deadline[index], score[index])


@compiled
def search(
    users: FloatArray,
    time_price: FloatArray,
    flags: tuple[bool, bool, bool],
    sums: FloatArray,
    waiting: FloatArray,
    extra: FloatArray,
    pieces: tuple[bool, FloatArray, np.ndarray, np.ndarray, FloatArray, FloatArray],
    scanned: bool,
    dropped: np.ndarray,
    lengths: FloatArray,
    deadline: FloatArray,
    score: FloatArray,
    solved: np.ndarray,
) -> None:
    """Fill in :func:`.whole_search.best_whole`, of whose pieces the arrays are given. Shape: extra (M, 3, K)."""
    ranged, high, first, last, base, slope = pieces
    for index in range(len(score)):
        row = _row(users[index], time_price[index], flags, sums[index], waiting)
        duals = Duals(ranged, high, first, last, np.full(len(high), np.inf), base.copy(), slope.copy())
        here, found = lengths[index], np.empty(lengths.shape[1])
        deadline[index], score[index] = compiled_search.common(row, here)
        if scanned:
            time, reached = compiled_nested.scan(row, found)
            time, reached = compiled_moves.climb(row, found, time, reached)
            if reached > score[index]:
                here[:], deadline[index], score[index] = found, time, reached
        deadline[index], score[index], solved[index] = compiled_search.search(
            row, extra[index], duals, dropped, here, deadline[index], score[index], scanned
        )


def warm_up() -> None:
    """Compile everything, or load it from where it is kept: on two users that decide nothing."""
    users, waiting, price = np.ones((1, 9, 2)), np.ones(3), np.full(1, np.nan)
    # Acceptance rates of one half, lengths of 0 or 1.
    users[:, 3:6] = np.array([0.5, np.log(0.5), -0.5])[:, None]
    users[:, 7] = 0.0
    lengths, deadline, score = np.ones((1, 2)), np.ones(1), np.ones(1)
    flags, sums = (True, False, False), np.empty((1, 0, 0))
    curves = users[:, :3].copy()
    least_deadline(True, curves, lengths, 1e-6, deadline)
    finish_together(True, curves, lengths, 1e-6, deadline, np.ones((1, 2)))
    relaxed = np.ones((1, 11, 2))
    relaxed[:, 3:5] = users[:, 4:6]
    settle(True, relaxed, np.ones((1, 3)), lengths, deadline)
    scan(users, price, flags, sums, waiting, True, lengths, deadline, score)
    improve(users, price, flags, sums, waiting, lengths, deadline, score)
    piece, whole = np.ones(1), np.ones(1, dtype=np.int64)
    pieces = False, piece, whole, whole, piece, piece
    search(
        users,
        price,
        flags,
        sums,
        waiting,
        relaxed[:, :3].copy(),
        pieces,
        True,
        whole,
        lengths,
        deadline,
        score,
        whole > 0,
    )
