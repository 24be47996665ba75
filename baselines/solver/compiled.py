"""The same decisions from loops that numba compiles, where it is installed: the extra ``fast``.

A decision for one cell is hundreds of NumPy calls on a few numbers each, whose overhead is all that it costs. The
compiled loops take the formulas from where they stand and decide alike; only rounding may differ, and so which of two
decisions is taken whose scores are equal to rounding. Numba is imported with the first decision, and what it compiles
is kept on disk.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.solver.problem import Problem
from multispin_gym.physics.verification import Verification

_switched_off = False


@cache
def _module() -> Any:
    try:
        return importlib.import_module("multispin_gym.baselines.solver.compiled_rows")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        return None


def compiled_rows() -> Any:
    """The module :mod:`.compiled_rows`, or None where numba is not installed or switched off."""
    return None if _switched_off else _module()


@contextmanager
def plain() -> Iterator[None]:
    """Decide without numba for a while, in this process."""
    global _switched_off
    before, _switched_off = _switched_off, True
    try:
        yield
    finally:
        _switched_off = before


@dataclass(frozen=True, eq=False)
class Packed:
    """Packed of a problem with their server, packed for the compiled loops.

    Parameters
    ----------
    users
        Share curves, acceptance, weights and ranges of the users, in the order in which the loops unpack them. Shape
        (M, 12, K).
    time_price
        Tokens that a second costs, or NaN. Shape (M,).
    flags
        Whether the uplink has a fixed density, the objective is a geometric mean, and the batch is padded.
    waiting
        Verification time, s, by the longest draft of a padded batch or by the drafted tokens of a ragged one.
    """

    users: FloatArray
    time_price: FloatArray
    flags: tuple[bool, bool, bool]
    waiting: FloatArray

    @classmethod
    def of(cls, problem: Problem, server: Verification) -> Packed:
        """Pack rows that share the ends of their ranges of lengths."""
        curves, num_users = problem.curves, problem.num_users
        fields = (
            curves.drafting_time,
            curves.scale,
            curves.signal,
            curves.seconds_per_token(np.ones(1)),
            curves.seconds_per_token(np.full(1, 1.0 / num_users)),
            curves.floor,
            problem.alpha,
            *problem.terms,
            problem.importance,
            problem.low,
            problem.high,
        )
        padded, high = server.batching == "padded", int(problem.high.max(initial=0.0))
        drafted = np.arange(high + 1.0) * num_users if padded else np.arange(high * num_users + 1.0)
        waiting = server.of_batch(num_users).time(drafted + num_users)
        flags = curves.density, not problem.objective.total.linear, padded
        return cls(np.stack(fields, axis=1), problem.time_price, flags, waiting)

    @property
    def arguments(self) -> tuple[Any, ...]:
        """The first arguments of all functions in :mod:`.compiled_rows`."""
        return self.users, self.time_price, self.flags, self.waiting
