"""The observation space, and the codec between observations and users."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from multispin_gym._arrays import Float32Array
from multispin_gym._validation import nearest
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.scenario import Scenario

Observation = dict[str, Float32Array]

# In the order in which Gymnasium sorts the keys of a Dict space.
OBSERVATION_KEYS = ("acceptance_rate", "channel_gain_db", "drafting_speed")


class ObservationCodec:
    """The observation of a round: three float32 arrays of one value per user that determine the round.

    Parameters
    ----------
    scenario
        The scenario, whose bounds and rounding apply.
    num_users
        Number of users K.
    """

    def __init__(self, scenario: Scenario, num_users: int) -> None:
        self.scenario = scenario
        self.num_users = num_users
        bounds = scenario.observation_bounds
        self.space = spaces.Dict(
            {
                key: spaces.Box(np.float32(bounds[key][0]), np.float32(bounds[key][1]), (num_users,), np.float32)
                for key in OBSERVATION_KEYS
            }
        )

    def encode(self, users: Users, gain_db: Float32Array | None = None) -> Observation:
        """Show users as the environment does.

        Parameters
        ----------
        users
            The users of a round. Shape (..., K).
        gain_db
            Their channel gains as they were drawn, dB, where they are known: computing them takes a logarithm each.
            Shape (..., K).

        Returns
        -------
        dict
            The observation, float32, in arrays of its own. Shape (..., K) each.
        """
        if gain_db is None:
            gain_db = self.scenario.gain_to_db(users.received_power / self.scenario.reference_power)
        else:
            gain_db = gain_db.copy()
        return {
            "acceptance_rate": users.acceptance_rate.astype(np.float32),
            "channel_gain_db": gain_db,
            "drafting_speed": users.drafting_speed.astype(np.float32),
        }

    def users(self, observation: Mapping[str, ArrayLike]) -> Users:
        """Rebuild the users of an observed round, exactly.

        Parameters
        ----------
        observation
            An observation of the environment, or a batch of them; each entry of shape (..., K).

        Returns
        -------
        Users
            The users on whom the round is played, bit for bit. Shape (..., K).

        Raises
        ------
        ValueError
            If a key is missing or unknown, a shape is wrong, or a value is out of range.
        """
        if set(observation) != set(OBSERVATION_KEYS):
            unknown = sorted(str(key) for key in set(observation) - set(OBSERVATION_KEYS))
            hint = nearest(unknown[0], OBSERVATION_KEYS) if unknown else ""
            raise ValueError(
                f"observation must have the keys {', '.join(OBSERVATION_KEYS)}; got "
                f"{', '.join(str(key) for key in observation) or 'none'}.{hint}"
            )
        arrays = {key: np.asarray(observation[key], dtype=np.float32) for key in OBSERVATION_KEYS}
        for key, array in arrays.items():
            if array.ndim == 0 or array.shape[-1] != self.num_users:
                raise ValueError(f"{key} must have a last axis of {self.num_users} users, got shape {array.shape}")
        return Users(
            acceptance_rate=arrays["acceptance_rate"],
            drafting_speed=arrays["drafting_speed"],
            channel_gain=self.scenario.db_to_gain(arrays["channel_gain_db"]),
            transmit_power=self.scenario.reference_power,
        )


def users_from_observation(scenario: Scenario | str | PathLike[str], observation: Mapping[str, ArrayLike]) -> Users:
    """Rebuild the users of an observed round without an environment, for controllers elsewhere.

    Parameters
    ----------
    scenario
        The scenario of the environment that showed it, its name, or the path of its file.
    observation
        The observation, or a batch; each entry of shape (..., K), for any number of users K.

    Returns
    -------
    Users
        The users on whom the round is played, bit for bit. Shape (..., K).

    Raises
    ------
    ValueError
        If a key is missing or unknown, shapes differ, or a value is out of range.

    Examples
    --------
    >>> seen = {"acceptance_rate": [0.5, 0.9], "channel_gain_db": [-90.0, -80.0], "drafting_speed": [60.0, 90.0]}
    >>> users_from_observation("default", seen).num_users
    2
    """
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    shapes = {key: np.shape(values) for key, values in observation.items()}
    if len(set(shapes.values())) > 1 or () in shapes.values():
        listed = ", ".join(f"{key} {shape}" for key, shape in shapes.items())
        raise ValueError(f"the observation's arrays must share one shape (..., K), got {listed}")
    num_users = next(iter(shapes.values()), (1,))[-1]
    return ObservationCodec(scenario, num_users).users(observation)
