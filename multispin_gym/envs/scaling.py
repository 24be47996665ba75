"""Observations from the bounds of their space to [-1, 1]."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from multispin_gym._validation import FloatArray
from multispin_gym.envs.observations import Observation


class ObservationScale:
    """Maps observations from the bounds of a space to [-1, 1].

    Parameters
    ----------
    space
        The observation space, a Dict of bounded boxes.

    Raises
    ------
    TypeError
        If the space is another.
    """

    def __init__(self, space: gym.Space[Any]) -> None:
        if not isinstance(space, spaces.Dict) or not all(isinstance(box, spaces.Box) for box in space.values()):
            raise TypeError(
                f"observations are scaled key by key, which needs a Dict of boxes, got {space}: put the scaling next "
                f"to the environment and other wrappers around it, as in FlattenObservation(ScaledObservation(env))"
            )
        self.space = spaces.Dict({name: spaces.Box(-1.0, 1.0, box.shape, np.float32) for name, box in space.items()})
        self._bounds: dict[str, tuple[FloatArray, FloatArray]] = {}
        for name, box in space.items():
            assert isinstance(box, spaces.Box)
            self._bounds[name] = (box.low.astype(np.float64), box.high.astype(np.float64))

    def __call__(self, observation: Observation) -> Observation:
        """Scale an observation, or a batch of them."""
        scaled = {}
        for name, value in observation.items():
            low, high = self._bounds[name]
            scaled[name] = np.clip(2.0 * (value - low) / (high - low) - 1.0, -1.0, 1.0).astype(np.float32)
        return scaled
