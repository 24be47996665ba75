"""The law of users' mean channel gains, in its two forms: by distance and path loss, or as given."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._validation import FloatArray
from multispin_gym.physics.path_loss import PathLoss

Range = tuple[float, float]

# Well within what float32 holds, so that a gain in it is a normal number.
GAIN_LIMIT_DB = 350.0


def check_mean_gain(distance: Any, path_loss: Any, mean_gain: Any) -> None:
    """Refuse both forms of the law together, and a form that is not whole."""
    given = {name: value is not None for name, value in (("distance", distance), ("path_loss", path_loss))}
    if mean_gain is None:
        for name, there in given.items():
            if not there:
                raise ValueError(f"{name} is missing; a mean_gain may stand instead of distance and path_loss")
    elif any(given.values()):
        both = " and ".join(name for name, there in given.items() if there)
        raise ValueError(f"mean_gain must not be given with distance or path_loss, got it with {both}")


def mean_gain_db(
    level: ArrayLike, distance: Range | None, path_loss: PathLoss | None, mean_gain: Range | None
) -> FloatArray:
    """Mean gains, dB, at levels from 0 to 1 between the least and the largest distance or gain. Any shape."""
    if mean_gain is not None:
        low, high = mean_gain
        return np.asarray(10.0 * np.log10(low + (high - low) * np.asarray(level)))
    assert distance is not None
    assert path_loss is not None
    near, far = distance
    return path_loss.gain_db(near + (far - near) * np.asarray(level))


def check_gains(bounds_db: Range, form: str) -> None:
    """Refuse gains, fading and power included, that float32 may not hold."""
    low, high = bounds_db
    if not (low >= -GAIN_LIMIT_DB and high <= GAIN_LIMIT_DB):
        fields = "mean_gain" if form == "mean_gain" else "path_loss, distance"
        raise ValueError(
            f"{fields}, transmit_power_dbm and reference_power must keep the channel gain, fading included, in "
            f"[-{GAIN_LIMIT_DB:g}, {GAIN_LIMIT_DB:g}] dB, got [{low:g}, {high:g}] dB"
        )
