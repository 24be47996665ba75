"""Where users come from: mixtures over tasks and model pairs, and over device classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._validation import (
    FASTEST,
    SLOWEST,
    FloatArray,
    check_list,
    check_number,
    check_quantity,
    shown,
)

# Shape parameters of Beta laws, between which their inverse is a number.
_LEAST_SHAPE, _LARGEST_SHAPE = 1e-3, 1e6


def check_text(name: str, value: Any, *, empty: bool = False) -> str:
    """Return ``value`` if it is a string, and one with a visible character unless ``empty`` allows none."""
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {shown(value)}")
    if not empty and not value.strip():
        raise ValueError(f"{name} must not be empty")
    return value


def check_range(name: str, value: Any, **limits: Any) -> tuple[float, float]:
    """Return a pair ``(low, high)`` of floats with ``low <= high``."""
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        raise TypeError(f"{name} must be a pair [low, high], got {shown(value)}")
    low, high = (check_number(f"{name}[{i}]", number, **limits) for i, number in enumerate(value))
    if low > high:
        raise ValueError(f"{name} must be a pair [low, high] with low <= high, got {shown(value)}")
    return low, high


def check_entries(name: str, value: Any, kind: type, least: int) -> tuple[Any, ...]:
    """Return a list of at least ``least`` instances of one class as a tuple."""
    entries = check_list(name, value, kind=f"a list of at least {least} {kind.__name__}", least=least, of=kind)
    return tuple(entries)


@dataclass(frozen=True)
class AcceptanceClass:
    """Users at one task with one pair of models: a Beta law of the acceptance rate, scaled to a range.

    Parameters
    ----------
    task
        What these users ask for, such as ``"chat"``; a label only.
    rate_range
        Least and largest acceptance rate, in [0, 1].
    pair
        Draft and target model, such as ``"TinyLlama-1.1B / Llama-2-7B"``.
    weight
        Relative frequency of the class; in [1e-50, 1e50].
    beta
        The two shape parameters of the Beta law on the range; in [0.001, 1000000]. (1, 1) is the uniform law.

    Raises
    ------
    ValueError
        If a value is out of range.
    TypeError
        If a value is of the wrong type.
    """

    task: str = ""
    # No default: behind one that has, an empty pair stands for one that is missing.
    rate_range: tuple[float, float] = ()  # type: ignore[assignment]
    pair: str = ""
    weight: float = 1.0
    beta: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        check_text("task", self.task, empty=True)
        check_text("pair", self.pair, empty=True)
        if not self.rate_range:
            raise ValueError("rate_range is missing")
        object.__setattr__(self, "rate_range", check_range("rate_range", self.rate_range, low=0.0, high=1.0))
        object.__setattr__(self, "weight", check_quantity("weight", self.weight))
        if not isinstance(self.beta, (list, tuple)) or len(self.beta) != 2:
            raise TypeError(f"beta must be a pair of shape parameters, got {shown(self.beta)}")
        shapes = tuple(
            check_number(f"beta[{i}]", x, low=_LEAST_SHAPE, high=_LARGEST_SHAPE) for i, x in enumerate(self.beta)
        )
        object.__setattr__(self, "beta", shapes)


@dataclass(frozen=True)
class DeviceClass:
    """Devices of one kind: a uniform law of the drafting speed, or a list of equally likely speeds.

    Parameters
    ----------
    name
        The kind, such as ``"laptop"``.
    speed_range
        Least and largest drafting speed, token/s; in [1e-30, 1e30]. Either this or ``speeds``.
    speeds
        Drafting speeds, token/s; in [1e-30, 1e30], up to a million. Either this or ``speed_range``.
    weight
        Relative frequency of the class; in [1e-50, 1e50].

    Raises
    ------
    ValueError
        If a value is out of range, or both or neither of range and list are given.
    TypeError
        If a value is of the wrong type.
    """

    name: str
    speed_range: tuple[float, float] | None = None
    speeds: Sequence[float] | None = None
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_text("name", self.name)
        object.__setattr__(self, "weight", check_quantity("weight", self.weight))
        if (self.speed_range is None) == (self.speeds is None):
            raise ValueError(f"speed_range or speeds must be given, and not both, for device class {shown(self.name)}")
        if self.speed_range is not None:
            pair = check_range("speed_range", self.speed_range, low=SLOWEST, high=FASTEST)
            object.__setattr__(self, "speed_range", pair)
        else:
            speeds = check_list("speeds", self.speeds, kind="a list of at least one number", least=1)
            numbers = (check_number(f"speeds[{i}]", x, low=SLOWEST, high=FASTEST) for i, x in enumerate(speeds))
            object.__setattr__(self, "speeds", tuple(numbers))

    @property
    def components(self) -> list[tuple[float, tuple[float, float]]]:
        """The class as weighted ranges: itself, or one point for each listed speed."""
        if self.speed_range is not None:
            return [(self.weight, self.speed_range)]
        assert self.speeds is not None
        return [(self.weight / len(self.speeds), (speed, speed)) for speed in self.speeds]


class RangeMixture:
    """A mixture of Beta laws scaled to ranges, drawn by inversion from two uniforms a draw.

    Parameters
    ----------
    weights
        Relative frequencies, positive. Shape (n,).
    ranges
        Least and largest value of each component. Shape (n, 2).
    beta
        Shape parameters of each component. Shape (n, 2); by default all uniform.
    """

    def __init__(self, weights: ArrayLike, ranges: ArrayLike, beta: ArrayLike | None = None) -> None:
        cumulative = np.cumsum(weights)
        self._edges = cumulative[:-1] / cumulative[-1]
        ends = np.array(ranges, dtype=np.float64)
        self._low, self._span = ends[:, 0].copy(), ends[:, 1] - ends[:, 0]
        self.low, self.high = float(ends.min()), float(ends.max())
        shapes = np.array([[1.0, 1.0]] if beta is None else beta, dtype=np.float64)
        self._beta = None if (shapes == 1.0).all() else (shapes[:, 0].copy(), shapes[:, 1].copy())

    def invert(self, pick: FloatArray, level: FloatArray) -> FloatArray:
        """Turn uniform draws into draws of the mixture."""
        index = self._edges.searchsorted(pick, side="right")
        if self._beta is not None:
            # Loading it takes longer than loading all of this library; most scenarios need none of it.
            from scipy.special import betaincinv

            level = betaincinv(self._beta[0][index], self._beta[1][index], level)
        # The sum may exceed the upper end by its own rounding.
        return np.asarray(np.minimum(self._low[index] + self._span[index] * level, self.high))
