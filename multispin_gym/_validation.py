"""Checks shared by every public entry point: one clear error per wrong value."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


def _interval(low: float, high: float, low_open: bool, high_open: bool) -> str:
    left = "(" if low_open or math.isinf(low) else "["
    right = ")" if high_open or math.isinf(high) else "]"
    return f"{left}{low:g}, {high:g}{right}"


def check_array(
    name: str,
    value: ArrayLike,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
) -> FloatArray:
    """Return ``value`` as a C-contiguous float64 array, refusing anything outside the range.

    Parameters
    ----------
    name
        The field's name, as the user knows it; it opens every message.
    value
        A number or an array of numbers of any shape.
    low, high
        The ends of the allowed range.
    low_open, high_open
        Whether an end itself is excluded. Infinite ends always are.

    Returns
    -------
    numpy.ndarray
        A new float64 array of the value's shape.

    Raises
    ------
    TypeError
        If the value is not numeric.
    ValueError
        If an entry is NaN, infinite or outside the range.
    """
    try:
        array = np.array(value, dtype=np.float64, order="C")
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a number or an array of numbers, got {value!r}") from error
    good = np.isfinite(array)
    good &= (array > low) if low_open else (array >= low)
    good &= (array < high) if high_open else (array <= high)
    if not good.all():
        index = tuple(int(i) for i in np.argwhere(~good)[0])
        where = f" at index {index}" if index else ""
        allowed = _interval(low, high, low_open, high_open)
        raise ValueError(f"{name} must lie in {allowed}, got {float(array[index])!r}{where}")
    return array


def check_number(
    name: str,
    value: Any,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
) -> float:
    """Return one finite number as a float; see :func:`check_array` for the arguments."""
    if isinstance(value, (bool, np.bool_)) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be one number, got {value!r}")
    array = check_array(name, value, low=low, high=high, low_open=low_open, high_open=high_open)
    return float(array)


def check_integer(name: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> int:
    """Return one whole number as an int; see :func:`check_array` for the arguments."""
    if isinstance(value, (bool, np.bool_)) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be one whole number, got {value!r}")
    number = check_number(name, value, low=low, high=high)
    if not number.is_integer():
        raise ValueError(f"{name} must be a whole number in {_interval(low, high, False, False)}, got {value!r}")
    return int(number)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def check_choice(name: str, value: Any, known: Iterable[str]) -> str:
    """Return ``value`` if it is one of the known names.

    Raises
    ------
    ValueError
        Otherwise; the message lists the known names and points at the nearest.
    """
    choices = list(known)
    if value not in choices:
        hint = nearest(value, choices) if isinstance(value, str) else ""
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}.{hint}")
    return str(value)
