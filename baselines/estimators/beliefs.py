"""The users that a controller believes in: what it sees of them, and what it thinks where it sees nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multispin_gym._validation import BoolArray, FloatArray
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

Seen = Mapping[str, NDArray[Any]]
"""An observation, or info, of a batch of rounds: arrays by name, with the batch axis first."""
Weights = Callable[[Seen, Users], FloatArray]
"""Weights of the users' tokens by what is observed and the users as they are believed to be. Shape (N, K)."""


def believed_users(
    scenario: Scenario,
    observation: Seen,
    acceptance_rate: ArrayLike | None = None,
    survival: ArrayLike | None = None,
) -> Users:
    """Return the users of an observation, with what is believed where it does not show them.

    Parameters
    ----------
    scenario
        The scenario that they come from.
    observation
        Observations of any environment of the family; entries of shape (..., K).
    acceptance_rate
        Believed acceptance rates, for where none are observed. Shape (..., K).
    survival
        Believed chances that the first i drafts are all accepted, for where no rates are observed. Shape (..., K, S).

    Returns
    -------
    Users
        Users with channels as they were reported, and as present as they are seen to be. Shape (..., K).

    Raises
    ------
    ValueError
        If the observation has no channel gains, or neither it nor the caller says what the acceptance rates are.
    """
    gain_db = reported_gain_db(observation)
    rates = observation.get("acceptance_rate", acceptance_rate)
    if rates is None:
        raise ValueError("acceptance_rate is missing: the observation shows none, so some must be believed")
    return Users(
        acceptance_rate=rates,
        drafting_speed=observation["drafting_speed"],
        channel_gain=scenario.db_to_gain(gain_db),
        transmit_power=scenario.reference_power,
        present=present_in(observation) if "present" in observation else None,
        survival=None if "acceptance_rate" in observation else survival,
    )


def reported_gain_db(observation: Seen) -> NDArray[Any]:
    """Return the channel gains of an observation, old or not, dB. Shape (..., K)."""
    names = ("channel_gain_db", "reported_channel_gain_db")
    for name in names:
        if name in observation:
            return observation[name]
    raise ValueError(f"the observation must have {' or '.join(names)}, it has {', '.join(observation)}")


def present_in(observation: Seen) -> BoolArray:
    """Return who is present in an observation: everybody, where it says nothing of that. Shape (..., K)."""
    if "present" in observation:
        return np.asarray(observation["present"]) > 0.5
    return np.ones(np.shape(observation["drafting_speed"]), dtype=np.bool_)


def task_rates(scenario: Scenario, observation: Seen) -> FloatArray | None:
    """Return the mean acceptance rate of everybody's task, or None where no tasks are seen. Shape (..., K)."""
    if "task" not in observation:
        return None
    rates = np.array([task.mean_rate for task in scenario.acceptance])
    return np.asarray(rates[np.asarray(observation["task"]).astype(np.int64)])
