"""Whether decisions are made by loops that numba compiles: where it is installed, the extra ``fast``.

A decision for one cell is hundreds of NumPy calls on a few numbers each, whose overhead is all that it costs. The
compiled loops take the formulas from where they stand and decide alike; only rounding may differ, and so which of two
decisions is taken whose scores are equal to rounding. Numba is imported with the first decision. What it
needs is compiled on a new machine, which takes some seconds to two minutes, and kept on disk.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_switched_off = False


@cache
def _module() -> Any:
    try:
        module = importlib.import_module("multispin_gym.baselines.solver.compiled_rows")
    except ModuleNotFoundError as error:
        if error.name != "numba":
            raise
        return None
    return module


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
