"""Checks shared by every public entry point: one clear error per wrong value."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Whole numbers stay exact in float64 up to here.
LARGEST_WHOLE = 2.0**53


def _interval(low: float, high: float, low_open: bool, high_open: bool) -> str:
    left = "(" if low_open or math.isinf(low) else "["
    right = ")" if high_open or math.isinf(high) else "]"
    return f"{left}{low:g}, {high:g}{right}"


def _is_real(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def check_array(
    name: str,
    value: ArrayLike,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    low_open: bool = False,
    high_open: bool = False,
    whole: bool = False,
) -> FloatArray:
    """Return ``value`` as a C-contiguous float64 array, refusing anything outside the range."""
    try:
        given = np.asarray(value)
        # float() would also read text, and take None for NaN and the real part of a complex number.
        if given.dtype.kind not in "iuf" and not all(_is_real(entry) for entry in given.ravel().tolist()):
            raise TypeError
        array = np.array(given, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} must be a number or an array of numbers, got {value!r}") from None
    good = np.isfinite(array)
    good &= (array > low) if low_open else (array >= low)
    good &= (array < high) if high_open else (array <= high)
    if whole:
        good &= array == np.floor(array)
    if not good.all():
        index = tuple(int(i) for i in np.argwhere(~good)[0])
        where = f" at index {index}" if index else ""
        allowed = _interval(low, high, low_open, high_open)
        rule = "be a whole number" if whole else "lie"
        wrong = float(array[index])
        shown = int(wrong) if whole and abs(wrong) < LARGEST_WHOLE and wrong.is_integer() else wrong
        raise ValueError(f"{name} must {rule} in {allowed}, got {shown!r}{where}")
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
    array = check_array(name, value, low=low, high=high, low_open=low_open, high_open=high_open)
    if array.ndim != 0:
        raise TypeError(f"{name} must be one number, got {value!r}")
    return float(array)


def check_integer(name: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> int:
    """Return one whole number as an int; see :func:`check_array` for the arguments."""
    array = check_array(name, value, low=low, high=high, whole=True)
    if array.ndim != 0:
        raise TypeError(f"{name} must be one whole number, got {value!r}")
    return int(array)


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def check_choice(name: str, value: Any, known: Iterable[str]) -> str:
    """Return ``value`` if it is one of the known names."""
    choices = list(known)
    if isinstance(value, str) and value in choices:
        return value
    hint = nearest(value, choices) if isinstance(value, str) else ""
    raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}.{hint}")
