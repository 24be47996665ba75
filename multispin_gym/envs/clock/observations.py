"""What is seen where time passes: the cell's users as far as they are known, their requests, and the queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import ArrayLike

from multispin_gym._validation import FloatArray
from multispin_gym.envs.clock.streams import ClockStreams
from multispin_gym.envs.observations import Observation, ObservationCodec
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.clock import Clock
from multispin_gym.scenarios.scenario import Scenario

# More drafted tokens than a request can have counted before it ends.
_MOST_TOKENS = 2.0**24
# Seconds of an episode that has no end in time.
_LONGEST = 1e9
_CHANNEL = {False: "channel_gain_db", True: "reported_channel_gain_db"}
_OF_SLOTS = {
    "task": "task",
    "accepted_count": "accepted",
    "drafted_count": "drafted",
    "remaining_tokens": "remaining",
}


class ClockObservationCodec(ObservationCodec):
    """The observation where time passes.

    Parameters
    ----------
    scenario, clock
        Which keys there are, and their bounds.
    num_users
        Slots K.
    """

    def __init__(self, scenario: Scenario, clock: Clock, num_users: int) -> None:
        super().__init__(scenario, num_users)
        self._clock = clock
        self._stale = clock.report_age > 0.0 or clock.report_noise_db > 0.0
        bounds = _bounds(scenario, clock, self._stale)
        boxes: dict[str, spaces.Space[Any]] = {
            key: spaces.Box(np.float32(low), np.float32(high), (num_users,), np.float32)
            for key, (low, high) in bounds.items()
        }
        requests = clock.requests
        if requests is not None and requests.arrivals != "replaced":
            places = requests.queue_factor * num_users
            boxes["queue_length"] = spaces.Box(0.0, max(float(places), 1.0), (1,), np.float32)
        self.space = spaces.Dict(boxes)
        # What is shown as it is, and what is brought within its bounds.
        self._plain = [key for key in boxes if key in ("present", "queue_length", _CHANNEL[self._stale])]
        self._bounded = [key for key in boxes if key not in self._plain]
        ends = np.array([bounds[key] for key in self._bounded], np.float32)
        self._low, self._high = ends[:, :1].copy(), ends[:, 1:].copy()

    def show(self, streams: ClockStreams) -> Observation:
        """Show the rounds about to be played, in new arrays. Shape (N, K) each, the queue's (N, 1)."""
        present = streams.traffic.slots.present
        table = np.empty((len(self._bounded), *present.shape), np.float32)
        for values, key in zip(table, self._bounded, strict=True):
            values[...] = self._values(key, streams)
        flat = table.reshape(len(table), -1)
        # Empty slots show the least value: what they hold of most keys lies there or below.
        np.maximum(flat, self._low, out=flat)
        np.minimum(flat, self._high, out=flat)
        seen: Observation = dict(zip(self._bounded, table, strict=True))
        if "time_to_deadline" in seen:
            seen["time_to_deadline"] *= present
        for key in self._plain:
            if key == "queue_length":
                seen[key] = streams.traffic.queue.length[:, None].astype(np.float32)
            else:
                seen[key] = present.astype(np.float32) if key == "present" else streams.reported_gain_db.copy()
        return {key: seen[key] for key in self.space.spaces}

    def _values(self, key: str, streams: ClockStreams) -> FloatArray:
        values, time = streams.traffic.slots.values, streams.time[:, None]
        if key == "report_age":
            return streams.report_age
        if key == "time_to_deadline":
            return values["deadline"] - time
        if key == "request_age":
            return time - values["arrival"]
        return values[_OF_SLOTS.get(key, key)]

    def users(self, observation: Mapping[str, ArrayLike]) -> Users:
        """Rebuild the users of an observed round, exactly.

        Parameters
        ----------
        observation
            An observation, or a batch of them; entries of shape (..., K).

        Returns
        -------
        Users
            The users on whom the round is played. Shape (..., K).

        Raises
        ------
        ValueError
            If what determines the round is not observed: acceptance rates or channels; or a value is out of range.
        """
        for key, why in (("acceptance_rate", "acceptance rates are hidden"), ("channel_gain_db", "reports are old")):
            if key not in self.space.spaces:
                raise ValueError(f"observations do not determine the users here: {why}")
        keys = ("acceptance_rate", "channel_gain_db", "drafting_speed")
        users = super().users({key: observation[key] for key in keys if key in observation})
        if "present" not in self.space.spaces:
            return users
        present = np.asarray(observation["present"]) > 0.5
        return Users(**{name: getattr(users, name) for name in Users.FIELDS}, present=present)


def _bounds(scenario: Scenario, clock: Clock, stale: bool) -> dict[str, tuple[float, float]]:
    """Least and largest value of each key with an entry for each slot."""
    own, requests = scenario.observation_bounds, clock.requests
    longest = (clock.episode_seconds or _LONGEST) + (clock.round_timeout or 0.0)
    bounds = {"drafting_speed": own["drafting_speed"]}
    if clock.hidden:
        bounds["task"] = (0.0, float(max(len(scenario.acceptance) - 1, 1)))
        bounds |= dict.fromkeys(("accepted_count", "drafted_count"), (0.0, _MOST_TOKENS))
    else:
        bounds["acceptance_rate"] = own["acceptance_rate"]
    bounds[_CHANNEL[stale]] = own["channel_gain_db"]
    if stale:
        bounds["report_age"] = (0.0, max(clock.report_age, 1e-6))
    if requests is not None:
        tokens = float(requests.length_tokens[-1])
        if clock.length_known:
            bounds["remaining_tokens"] = (0.0, tokens)
        bounds["request_age"] = (0.0, longest)
        if requests.slack is not None and requests.reference_time_per_token is not None:
            bounds["time_to_deadline"] = (0.0, requests.slack[1] * tokens * requests.reference_time_per_token)
        if requests.arrivals != "replaced":
            bounds["present"] = (0.0, 1.0)
    return dict(sorted(bounds.items()))
