"""Draws of what stays fixed during an episode, and of which task each user has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multispin_gym._validation import IntArray
from multispin_gym.physics.path_loss import db_to_gain
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.mean_gains import mean_gain_db

if TYPE_CHECKING:
    from multispin_gym.scenarios.scenario import Scenario


def sample_tasks_and_users(
    scenario: Scenario, rng: np.random.Generator, shape: tuple[int, ...]
) -> tuple[IntArray, Users]:
    """Draw what stays fixed during an episode, and say which task each user has.

    Parameters
    ----------
    scenario
        Where users come from.
    rng
        The source of randomness.
    shape
        Shape of the draw, (..., K).

    Returns
    -------
    tasks : numpy.ndarray
        Index of each user's class in ``scenario.acceptance``. Shape (..., K).
    users : Users
        The users that :meth:`Scenario.sample_large_scale` draws. Shape (..., K).
    """
    rates, speeds = scenario.mixtures
    task, rate, device, speed, where, power = rng.random((6, *shape))
    weak, strong = scenario.power_offset_db
    gain_db = mean_gain_db(where, scenario.distance, scenario.path_loss, scenario.mean_gain)
    gain_db = gain_db + (weak + (strong - weak) * power)
    users = Users.trusted(
        acceptance_rate=rates.invert(task, rate).astype(np.float32).astype(np.float64),
        drafting_speed=speeds.invert(device, speed).astype(np.float32).astype(np.float64),
        channel_gain=db_to_gain(gain_db),
        transmit_power=np.full(shape, scenario.reference_power),
    )
    return rates.components(task), users
