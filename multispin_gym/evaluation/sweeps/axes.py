"""The axes of a sweep: a key of the scenario's file and its values, as they are typed."""

from __future__ import annotations

import datetime
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from multispin_gym import _toml
from multispin_gym._validation import LARGEST_WHOLE, check_integer, shown, shown_name

MOST_POINTS = 10_000
# Decimals of the values between the ends of a range: what is left out is the rounding of floating point.
DIGITS = 12
LARGEST_END = 1e100
FORMS = "a list of values, as in num_users=10,16,24, or LOW:HIGH:COUNT, as in cell.bandwidth=5e6:20e6:7"
_TIMES = (datetime.date, datetime.time)


@dataclass(frozen=True)
class Axis:
    """One key and the values that it takes.

    Parameters
    ----------
    key
        Dotted key of the scenario's file, or ``num_users``.
    values
        The values, in the order given; no two are equal.
    spacing
        ``"linear"`` or ``"log"`` for the values of a range, ``"list"`` for a list.
    """

    key: str
    values: tuple[Any, ...]
    spacing: Literal["linear", "log", "list"] = "list"

    @property
    def is_numeric(self) -> bool:
        """Whether all values are numbers."""
        return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in self.values)

    @property
    def is_geometric(self) -> bool:
        """Whether the values, at least three, grow by one and the same factor."""
        if not self.is_numeric or len(self.values) < 3 or not 0.0 < min(self.values) <= self.values[0] < self.values[1]:
            return False
        steps = np.diff(np.log(np.array(self.values, dtype=np.float64)))
        return bool(np.allclose(steps, steps[0], rtol=1e-6))

    def to_dict(self) -> dict[str, Any]:
        """Return the axis as JSON-able data."""
        return {"key": self.key, "values": list(self.values), "spacing": self.spacing}


def value_word(value: Any) -> str:
    """Return a value as tables and pictures show it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return value if isinstance(value, str) else json.dumps(value)
    return str(value) if isinstance(value, int) else re.sub(r"e\+?(-?)0*", r"e\1", f"{value:.6g}")


def read_axes(texts: Iterable[str], is_whole: Callable[[str], bool]) -> tuple[Axis, ...]:
    """Read axes from texts ``KEY=VALUES``.

    ``is_whole`` says of which keys a range must be one of whole numbers. Refused are axes of one key, or of a key
    within another's, and grids of more than :data:`MOST_POINTS` points.
    """
    axes = [_read_axis(text, is_whole) for text in texts]
    if not axes:
        raise ValueError("vary must name at least one key and its values, such as cell.bandwidth=5e6:20e6:7")
    keys = [axis.key for axis in axes]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise ValueError(f"{shown_name(key)} is varied twice: give all its values at once")
        for other in keys:
            if lies_within(key, other):
                raise ValueError(f"{shown_name(key)} lies within {shown_name(other)}, which is varied too")
    counts = [len(axis.values) for axis in axes]
    if math.prod(counts) > MOST_POINTS:
        product = f"{' x '.join(map(str, counts))} = " if len(counts) > 1 else ""
        raise ValueError(f"vary must make at most {MOST_POINTS} points, got {product}{math.prod(counts)}")
    return tuple(axes)


def lies_within(key: str, other: str) -> bool:
    """Whether a dotted key is one of those below another."""
    return key.startswith((f"{other}.", f"{other}["))


def _read_axis(text: str, is_whole: Callable[[str], bool]) -> Axis:
    key, equals, values = (part.strip() for part in text.partition("="))
    if not (key and equals and values):
        raise ValueError(f"vary must be KEY=VALUES, such as cell.bandwidth=5e6:20e6:7; got {shown(text)}")
    if ":" in values and not re.search(r"[\[\]{}\"',]", values):
        return _read_range(key, values, is_whole(key))
    found = _read_list(key, values)
    seen = set()
    for value in found:
        # Numbers that are equal are the same value, however they are typed.
        mark = value if isinstance(value, (int, float)) and not isinstance(value, bool) else repr(value)
        if mark in seen:
            raise ValueError(f"{shown_name(key)} must be given each value once, got {shown(value)} again")
        seen.add(mark)
    return Axis(key, tuple(found))


def _read_list(key: str, text: str) -> list[Any]:
    """Read values with commas between them: TOML, or words for strings."""
    name = f"the values of {shown_name(key)}"
    values: list[Any] = []
    if not text.endswith(","):
        try:
            values = _toml.read_value(f"[{text}]", name)
        except _toml.NotTomlError:
            values = [_read_word(word.strip(), name) for word in text.split(",")]
    if any(value == "" or isinstance(value, _TIMES) for value in values) or not values:
        raise ValueError(f"{name} must be {FORMS}; got {shown(text)}")
    return values


def _read_word(word: str, name: str) -> Any:
    if ":" in word:
        return ""
    try:
        return _toml.read_value(word, name) if word else ""
    except _toml.NotTomlError:
        return word


def _read_range(key: str, text: str, whole: bool) -> Axis:
    parts = [part.strip() for part in text.split(":")]
    name = f"the values of {shown_name(key)}"
    if len(parts) not in (3, 4) or (len(parts) == 4 and parts[3] != "log"):
        raise ValueError(f"{name} must be {FORMS}, or LOW:HIGH:COUNT:log; got {shown(text)}")
    low, high, count = (_read_number(part, name, text) for part in parts[:3])
    count = check_integer(f"COUNT in {key}=LOW:HIGH:COUNT", count, low=2, high=MOST_POINTS)
    if not low < high:
        raise ValueError(f"{name} must have LOW below HIGH, got {shown(text)}")
    if len(parts) == 4 and not low > 0:
        raise ValueError(f"{name} must have LOW above 0 for logarithmic spacing, got {shown(text)}")
    found: Sequence[int | float] = _spaced(low, high, count, np.geomspace if len(parts) == 4 else np.linspace)
    if not all(one < next_one for one, next_one in itertools.pairwise(found)):
        raise ValueError(f"{name} must be further apart than the {DIGITS} digits of their values, got {shown(text)}")
    if whole:
        found = _whole(key, text, found)
    return Axis(key, tuple(found), "log" if len(parts) == 4 else "linear")


def _read_number(part: str, name: str, text: str) -> int | float:
    try:
        value = _toml.read_value(part, name)
    except _toml.NotTomlError:
        value = None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= LARGEST_END:
        raise ValueError(
            f"{name} must be LOW:HIGH:COUNT, numbers up to {LARGEST_END:g}; got {shown(part)} in {shown(text)}"
        )
    return value


def _spaced(low: float, high: float, count: int, space: Any) -> list[int | float]:
    """Return the values of a range: whole numbers where all are and its ends were typed as such."""
    inner = [float(f"{value:.{DIGITS}g}") for value in space(float(low), float(high), count)[1:-1]]
    found: list[int | float] = [low, *inner, high]
    if isinstance(low, int) and isinstance(high, int) and all(float(value).is_integer() for value in inner):
        return [int(value) for value in found]
    return found


def _whole(key: str, text: str, values: Sequence[int | float]) -> list[int]:
    for value in values:
        if not float(value).is_integer():
            raise ValueError(
                f"{shown_name(key)} must take whole numbers, and {shown_name(text)} gives {value:.6g}:"
                f"{'' if text.endswith('log') else _whole_hint(values)} list the values"
            )
    return [int(value) for value in values]


def _whole_hint(values: Sequence[int | float]) -> str:
    """Name the range of whole numbers with nearly as many values, if the ends of this one are whole."""
    low, high, count = values[0], values[-1], len(values)
    if not (float(low).is_integer() and float(high).is_integer() and high - low < LARGEST_WHOLE):
        return ""
    reach = int(high) - int(low)
    fitting = [steps for steps in range(1, 2 * count) if reach % steps == 0]
    best = min(fitting, key=lambda steps: abs(steps + 1 - count))
    return f" take {int(low)}:{int(high)}:{best + 1}, or"
