"""Rows of a problem as the loops that numba compiles take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.baselines.solver.server import Server


@dataclass(frozen=True, eq=False)
class Packed:
    """Rows of a problem with their server, packed for the compiled loops.

    Parameters
    ----------
    users
        Share curves, acceptance, weights and ranges of the users, in the order in which the loops unpack them. Shape
        (M, 9, K).
    time_price
        Tokens that a second costs, or NaN. Shape (M,).
    flags
        Whether the uplink has a fixed density, the objective is a geometric mean, and the batch is padded.
    sums
        Expected tokens of the users' whole lengths where they have curves, shape (M, K, S + 1); else (M, 0, 0).
    waiting
        Verification time, s, by the longest draft of a padded batch or by the drafted tokens of a ragged one.
    """

    users: FloatArray
    time_price: FloatArray
    flags: tuple[bool, bool, bool]
    sums: FloatArray
    waiting: FloatArray

    @classmethod
    def of(cls, problem: Problem, server: Server) -> Packed:
        """Pack rows for searches over whole lengths."""
        curves, num_users = problem.curves, problem.num_users
        fields = (problem.alpha, *problem.terms, problem.importance, problem.low, problem.high)
        padded, high = server.batching == "padded", int(problem.high.max(initial=0.0))
        drafted = np.arange(high + 1.0) * num_users if padded else np.arange(high * num_users + 1.0)
        waiting = server.of_batch(num_users).time(drafted + num_users)
        flags = curves.density, not problem.objective.total.linear, padded
        sums = np.empty((len(problem.alpha), 0, 0)) if problem.tables is None else problem.tables.sums
        return cls(np.stack(curves.fields + fields, axis=1), problem.time_price, flags, sums, waiting)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The first arguments of the searches in :mod:`.compiled_rows`."""
        return self.users, self.time_price, self.flags, self.sums, self.waiting
