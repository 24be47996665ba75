"""Sums, maxima and checks of arrays of users, fast on short rows and on single cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import BoolArray, FloatArray, IntArray

Float32Array = NDArray[np.float32]

# Short rows of a large batch are turned first, so that the maximum runs over long ones.
_SHORT_ROW = 32
_LARGE_BATCH = 64
# On few values Python's own functions are faster than NumPy's reductions.
_FEW_VALUES = 32


def sum_users(values: FloatArray) -> FloatArray:
    """Sum over the users, in the same order for every batch shape. Shapes: ``values`` (..., K), result (...,)."""
    # On short rows several times faster than values.sum(axis=-1).
    return np.asarray(np.einsum("...k->...", values))


def count_users(chosen: BoolArray) -> IntArray:
    """Count users who are chosen. Shapes: ``chosen`` (..., K), result (...,)."""
    # A product of small whole numbers is exact, and several times faster than to count.
    return np.asarray((chosen.astype(np.float32) @ np.ones(chosen.shape[-1], np.float32)).astype(np.int64))


def max_users(values: FloatArray) -> FloatArray:
    """Take the maximum over the users. Shapes: ``values`` (..., K), result (...,)."""
    num_users = values.shape[-1]
    if num_users <= _SHORT_ROW and values.size >= _LARGE_BATCH * num_users:
        columns = np.ascontiguousarray(values.reshape(-1, num_users).T)
        return np.asarray(np.maximum.reduce(columns, axis=0).reshape(values.shape[:-1]))
    return np.asarray(np.maximum.reduce(values, axis=-1))


def extremes(values: NDArray[Any]) -> tuple[float, float]:
    """Return the least and the largest of some numbers."""
    if 0 < values.size <= _FEW_VALUES:
        numbers = values.ravel().tolist()
        return min(numbers), max(numbers)
    least = np.minimum.reduce(values, axis=None, initial=np.inf)
    return float(least), float(np.maximum.reduce(values, axis=None, initial=-np.inf))


def has_nan(values: NDArray[Any]) -> bool:
    """Say whether NaN is among some numbers."""
    # Sums of finite numbers of moderate size are NaN exactly where one of them is.
    few = values.size <= _FEW_VALUES
    return math.isnan(sum(values.ravel().tolist()) if few else np.add.reduce(values, axis=None))
