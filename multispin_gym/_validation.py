"""Checks shared by every public entry point, and the bounds of what is taken: one clear error per wrong value."""

from __future__ import annotations

import difflib
import math
import re
import reprlib
from collections.abc import Iterable, Sequence
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

# Whole numbers stay exact in float64 up to here.
LARGEST_WHOLE = 2.0**53
# Sizes are checked before anything of that size is made.
MOST_USERS = 100_000
MOST_ROWS = 2**20
MOST_ROWS_TIMES_USERS = 4_000_000
MOST_EPISODES = MOST_ROUNDS = 10**7
MOST_TIMESTEPS = 10**15
LONGEST_DRAFT = 10_000
MOST_ENTRIES = 10**6
LARGEST_VOCABULARY = 10**9
# Physical quantities, in SI units: products and powers of a few of them are still numbers.
SMALLEST, LARGEST = 1e-50, 1e50
# Drafting speeds, token/s, are shown in float32.
SLOWEST, FASTEST = 1e-30, 1e30
MOST_DECIBELS = 1000.0
# Characters of a value, and of a name that is not ours, in a message.
LONGEST_SHOWN, LONGEST_NAME = 200, 80
LONGEST_LINE = 700


class _Short(reprlib.Repr):
    """Shows the ends of what is long, without writing out what lies between."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxlist, self.maxtuple, self.maxdict, self.maxset = 4, 20, 20, 10, 10
        self.maxstring, self.maxother, self.maxlong = 150, 180, 60

    def repr_int(self, x: int, level: int) -> str:
        """Python refuses to write out whole numbers of thousands of digits."""
        return repr(x) if x.bit_length() < 200 else f"<a whole number of {x.bit_length()} bits>"


_SHORT = _Short()


def shown(value: Any) -> str:
    """Return a value as messages show it: on one line of at most :data:`LONGEST_SHOWN` characters."""
    return _cut(re.sub(r"\s*\n\s*", " ", _SHORT.repr(value)), LONGEST_SHOWN)


def shown_name(name: Any) -> str:
    """Return a name that somebody else gave as messages show it: as it is, unless it is long or does not print."""
    text = name if isinstance(name, str) and name.isprintable() else shown(name)
    return _cut(text, LONGEST_NAME)


def shown_path(path: Any) -> str:
    """Return a file's name as messages show it: as it is, unless it is very long or does not print."""
    text = str(path) if str(path).isprintable() else shown(str(path))
    return _cut(text, LONGEST_SHOWN)


def one_line(error: object) -> str:
    """Return what an error says as a command prints it: on one line that prints, of at most :data:`LONGEST_LINE`."""
    text = " ".join(str(error).split())
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
    return _cut(text, LONGEST_LINE)


def _cut(text: str, most: int) -> str:
    half = (most - 3) // 2
    return text if len(text) <= most else f"{text[:half]}...{text[-half:]}"


def _holds_text(value: Any, depth: int = 0) -> bool:
    """Whether text stands among numbers: NumPy would make all entries as long as the longest."""
    if isinstance(value, (list, tuple)):
        return depth < 32 and any(_holds_text(entry, depth + 1) for entry in value)
    return isinstance(value, (str, bytes))


def _interval(low: float, high: float, low_open: bool, high_open: bool, infinite: bool) -> str:
    left = "(" if low_open or math.isinf(low) else "["
    right = ")" if high_open or (math.isinf(high) and not infinite) else "]"
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
    infinite: bool = False,
) -> FloatArray:
    """Return ``value`` as a C-contiguous float64 array, refusing anything outside the range.

    Infinity is refused in any range unless ``infinite`` says that it has a meaning.
    """
    rule, allowed = "be a whole number" if whole else "lie", _interval(low, high, low_open, high_open, infinite)
    try:
        if _holds_text(value):
            raise TypeError
        given = np.asarray(value)
        # float() would also read text, and take None for NaN and the real part of a complex number.
        if given.dtype.kind not in "iuf" and not all(_is_real(entry) for entry in given.ravel().tolist()):
            raise TypeError
        array = np.array(given, dtype=np.float64, order="C")
    except OverflowError:
        # A whole number too large for any float.
        raise ValueError(f"{name} must {rule} in {allowed}, got {shown(value)}") from None
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number or an array of numbers, got {shown(value)}") from None
    good = ~np.isnan(array) if infinite else np.isfinite(array)
    good &= (array > low) if low_open else (array >= low)
    good &= (array < high) if high_open else (array <= high)
    if whole:
        good &= array == np.floor(array)
    if not good.all():
        index = tuple(int(i) for i in np.argwhere(~good)[0])
        where = f" at index {index}" if index else ""
        wrong = float(array[index])
        number = int(wrong) if whole and abs(wrong) < LARGEST_WHOLE and wrong.is_integer() else wrong
        raise ValueError(f"{name} must {rule} in {allowed}, got {number!r}{where}")
    return array


def check_mask(name: str, value: ArrayLike) -> BoolArray:
    """Return ``value`` as a C-contiguous array of booleans, refusing numbers and whatever else is not one."""
    try:
        given = np.array(value, order="C")
    except (TypeError, ValueError):
        given = np.empty(0)
    if given.dtype != np.bool_:
        raise TypeError(f"{name} must be True or False or an array of these, got {shown(value)}")
    return given


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
        raise TypeError(f"{name} must be one number, got {shown(value)}")
    return float(array)


def check_integer(name: str, value: Any, *, low: float = -math.inf, high: float = math.inf) -> int:
    """Return one whole number as an int; see :func:`check_array` for the arguments."""
    array = check_array(name, value, low=low, high=high, whole=True)
    if array.ndim != 0:
        raise TypeError(f"{name} must be one whole number, got {shown(value)}")
    return int(array)


def check_flag(name: str, value: Any) -> bool:
    """Return ``value`` if it is true or false."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be True or False, got {shown(value)}")
    return bool(value)


def check_quantity(name: str, value: Any) -> float:
    """Return a positive physical quantity in SI units as a float."""
    return check_number(name, value, low=SMALLEST, high=LARGEST)


def check_list(
    name: str, value: Any, *, kind: str = "a list", least: int = 0, of: type = object
) -> list[Any] | tuple[Any, ...]:
    """Return ``value`` if it is a list or a tuple of at least ``least`` and at most :data:`MOST_ENTRIES` entries.

    All have to be instances of one class; ``kind`` says so in messages.
    """
    if not isinstance(value, (list, tuple)) or len(value) < least or not all(isinstance(entry, of) for entry in value):
        raise TypeError(f"{name} must be {kind}, got {shown(value)}")
    if len(value) > MOST_ENTRIES:
        raise ValueError(f"{name} must have at most {MOST_ENTRIES} entries, got {len(value)}")
    return value


def check_kind(name: str, value: object, kind: type) -> None:
    """Refuse what is of another type, with a TypeError."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be of type {kind.__name__}, got {type(value).__name__}")


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``" Did you mean 'x'?"`` for the nearest known name, or an empty string."""
    name = name[:LONGEST_NAME]
    matches = difflib.get_close_matches(name, list(known), n=1, cutoff=0.4)
    return f" Did you mean {matches[0]!r}?" if matches else ""


def check_options(what: str, options: Iterable[str], known: Sequence[str]) -> None:
    """Refuse options that something does not have, with a TypeError."""
    for option in options:
        if option not in known:
            takes = f"takes {', '.join(known)}" if known else "takes no options"
            raise TypeError(f"{what} {takes}; got {option!r}.{nearest(option, known)}")


def check_choice(name: str, value: Any, known: Iterable[str]) -> str:
    """Return ``value`` if it is one of the known names."""
    choices = list(known)
    if isinstance(value, str) and value in choices:
        return value
    hint = nearest(value, choices) if isinstance(value, str) else ""
    raise ValueError(f"{name} must be one of {', '.join(choices)}; got {shown(value)}.{hint}")
