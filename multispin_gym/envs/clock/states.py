"""Whether a saved state can be gone on from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from multispin_gym._validation import shown


def check_state(state: Mapping[str, Any], own: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a state that is not of the same form as one's own, before anything of it is put back.

    Parameters
    ----------
    state
        What is to be checked.
    own
        A state of the same environment.
    ranges
        Least and largest value of some entries; no entry may be NaN.

    Raises
    ------
    ValueError
        If an entry is missing, or its shape, its type or a value of it is wrong.
    """
    for name, mine in own.items():
        if name not in state:
            raise ValueError(f"the state's {name} is missing")
        value = np.asarray(state[name])
        if value.shape != mine.shape:
            raise ValueError(f"the state's {name} must have shape {mine.shape}, got {shown(value.shape)}")
        if value.dtype.kind != mine.dtype.kind:
            raise ValueError(f"the state's {name} must be of type {mine.dtype}, got {value.dtype}")
        low, high = ranges.get(name, (-np.inf, np.inf))
        wrong = ~((value >= low) & (value <= high))
        if wrong.any():
            raise ValueError(f"the state's {name} must lie in [{low:g}, {high:g}], got {value[wrong][0]!s}")
