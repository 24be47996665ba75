"""Where users come from: mixtures over tasks and model pairs, and over device classes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multispin_gym._validation import (
    FASTEST,
    SLOWEST,
    FloatArray,
    check_list,
    check_number,
    check_quantity,
    shown,
)
from multispin_gym.scenarios.mixtures import RangeMixture

# Shape parameters of Beta laws, between which their inverse is a number.
_LEAST_SHAPE, _LARGEST_SHAPE = 1e-3, 1e6
# A Beta law of a wide deviation puts much of its mass so close to the ends that its draws round to them.
_LEAST_OWN_RATE, _LARGEST_OWN_RATE = 1e-5, 1.0 - 1e-6


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
    """Users at one task with one pair of models, and the law of the acceptance rate among them.

    The law is a Beta law scaled to a range, or one of given mean and standard deviation.

    Parameters
    ----------
    task
        What these users ask for, such as ``"chat"``; a label only.
    rate_range
        Least and largest acceptance rate, in [0, 1]. Either this or ``rate``.
    pair
        Draft and target model, such as ``"TinyLlama-1.1B / Llama-2-7B"``.
    weight
        Relative frequency of the class; in [1e-50, 1e50].
    beta
        The two shape parameters of the Beta law on the range; in [0.001, 1000000]. (1, 1) is the uniform law.
    rate
        Mean acceptance rate, in [0, 1]. Either this or ``rate_range``.
    deviation
        Standard deviation of the acceptance rate around ``rate``: 0 gives all users the same; otherwise such that both
        shape parameters of the Beta law lie in [0.001, 1000000]. Draws are kept in [1e-5, 1 - 1e-6].

    Raises
    ------
    ValueError
        If a value is out of range.
    TypeError
        If a value is of the wrong type.
    """

    task: str = ""
    rate_range: tuple[float, float] | None = None
    rate: float | None = field(default=None, kw_only=True)
    deviation: float | None = field(default=None, kw_only=True)
    pair: str = ""
    weight: float = 1.0
    beta: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        check_text("task", self.task, empty=True)
        check_text("pair", self.pair, empty=True)
        object.__setattr__(self, "weight", check_quantity("weight", self.weight))
        if (self.rate_range is None) == (self.rate is None):
            wrong = "is missing: it, or rate, must be given" if self.rate is None else "and rate must not both be given"
            raise ValueError(f"rate_range {wrong}, for task {shown(self.task)}")
        forms = {"deviation": ("rate", self.rate), "beta": ("rate_range", self.rate_range)}
        for name, (needed, value) in forms.items():
            if getattr(self, name) is not None and value is None:
                raise ValueError(f"{name} needs {needed}, got {name} {shown(getattr(self, name))} without it")
        if self.rate is not None:
            self._check_mean()
        else:
            self._check_range()

    def _check_mean(self) -> None:
        rate = check_number("rate", self.rate, low=0.0, high=1.0)
        deviation = check_number("deviation", 0.0 if self.deviation is None else self.deviation, low=0.0, high=0.5)
        object.__setattr__(self, "rate", rate)
        object.__setattr__(self, "deviation", deviation)
        if deviation > 0.0 and not all(_LEAST_SHAPE <= shape <= _LARGEST_SHAPE for shape in self.law[1]):
            raise ValueError(
                f"deviation must be 0 or leave a Beta law of mean rate = {rate!r} shape parameters in "
                f"[{_LEAST_SHAPE:g}, {_LARGEST_SHAPE:g}], got {deviation!r}"
            )

    def _check_range(self) -> None:
        object.__setattr__(self, "rate_range", check_range("rate_range", self.rate_range, low=0.0, high=1.0))
        if self.beta is None:
            object.__setattr__(self, "beta", (1.0, 1.0))
        if not isinstance(self.beta, (list, tuple)) or len(self.beta) != 2:
            raise TypeError(f"beta must be a pair of shape parameters, got {shown(self.beta)}")
        shapes = tuple(
            check_number(f"beta[{i}]", x, low=_LEAST_SHAPE, high=_LARGEST_SHAPE) for i, x in enumerate(self.beta)
        )
        object.__setattr__(self, "beta", shapes)

    @property
    def law(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Least and largest acceptance rate of the Beta law before any cut, and its two shape parameters."""
        if self.rate_range is not None:
            assert self.beta is not None
            return self.rate_range, self.beta
        assert self.rate is not None
        if not self.deviation:
            return (self.rate, self.rate), (1.0, 1.0)
        # A square may be too small for a number; what it leads to is out of range then all the same.
        size = self.rate * (1.0 - self.rate) / max(self.deviation**2, sys.float_info.min) - 1.0
        return (0.0, 1.0), (self.rate * size, (1.0 - self.rate) * size)

    @property
    def limits(self) -> tuple[float, float]:
        """Least and largest acceptance rate that is drawn."""
        return (_LEAST_OWN_RATE, _LARGEST_OWN_RATE) if self.deviation else self.law[0]

    @property
    def mean_rate(self) -> float:
        """Mean of the law of the acceptance rate."""
        (low, high), (first, second) = self.law
        return self.rate if self.rate is not None else low + (high - low) * first / (first + second)

    def sample(self, rng: np.random.Generator, shape: int | tuple[int, ...] = ()) -> FloatArray:
        """Draw acceptance rates of the law, such as those of single requests at this task.

        Parameters
        ----------
        rng
            The source of randomness.
        shape
            Shape of the draw.

        Returns
        -------
        numpy.ndarray
            Acceptance rates, of the given shape.
        """
        level = rng.random(shape)
        return rate_mixture([self], "own").invert(np.zeros(level.shape), level)


@dataclass(frozen=True)
class DeviceClass:
    """Devices of one kind: a uniform law of the drafting speed or time, or a list of equally likely speeds.

    Parameters
    ----------
    name
        The kind, such as ``"laptop"``.
    speed_range
        Least and largest drafting speed, token/s; in [1e-30, 1e30].
    speeds
        Drafting speeds, token/s; in [1e-30, 1e30], up to a million.
    weight
        Relative frequency of the class; in [1e-50, 1e50].
    time_range
        Least and largest drafting time, s per token, uniform between them; in [1e-30, 1e30]. One of this,
        ``speed_range`` and ``speeds`` is given.

    Raises
    ------
    ValueError
        If a value is out of range, or not exactly one of the three forms is given.
    TypeError
        If a value is of the wrong type.
    """

    name: str
    speed_range: tuple[float, float] | None = None
    speeds: Sequence[float] | None = None
    time_range: tuple[float, float] | None = field(default=None, kw_only=True)
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_text("name", self.name)
        object.__setattr__(self, "weight", check_quantity("weight", self.weight))
        given = [name for name in ("time_range", "speed_range", "speeds") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"time_range, speed_range or speeds must be given, and not both at once, for device class "
                f"{shown(self.name)}; got {' and '.join(given) or 'none'}"
            )
        if self.speeds is None:
            pair = check_range(given[0], getattr(self, given[0]), low=SLOWEST, high=FASTEST)
            object.__setattr__(self, given[0], pair)
        else:
            speeds = check_list("speeds", self.speeds, kind="a list of at least one number", least=1)
            numbers = (check_number(f"speeds[{i}]", x, low=SLOWEST, high=FASTEST) for i, x in enumerate(speeds))
            object.__setattr__(self, "speeds", tuple(numbers))

    @property
    def components(self) -> list[tuple[float, tuple[float, float], bool]]:
        """The class as weighted ranges, of times where the last entry says so: itself, or one for each listed speed."""
        if self.time_range is not None:
            return [(self.weight, self.time_range, True)]
        if self.speed_range is not None:
            return [(self.weight, self.speed_range, False)]
        assert self.speeds is not None
        return [(self.weight / len(self.speeds), (speed, speed), False) for speed in self.speeds]


def rate_mixture(tasks: Sequence[AcceptanceClass], whose: str) -> RangeMixture:
    """The law of a user's acceptance rate: its own, or its task's mean."""
    weights = [task.weight for task in tasks]
    if whose == "task":
        return RangeMixture(weights, [(task.mean_rate, task.mean_rate) for task in tasks])
    ranges, shapes = zip(*(task.law for task in tasks), strict=True)
    cut = any(task.deviation for task in tasks)
    return RangeMixture(weights, ranges, shapes, [task.limits for task in tasks] if cut else None)


def speed_mixture(devices: Sequence[DeviceClass]) -> RangeMixture:
    """The law of a user's drafting speed, token/s."""
    parts = [part for device in devices for part in device.components]
    weights, ranges, times = zip(*parts, strict=True)
    return RangeMixture(weights, ranges, inverted=times)
