"""What rounds are paid where time passes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multispin_gym._arrays import sum_users
from multispin_gym._validation import FloatArray
from multispin_gym.envs.clock.service import Service
from multispin_gym.envs.clock.slots import Slots
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import RoundOutcome
from multispin_gym.scenarios.clock import Clock

# A present user without a token in a round counts with half of one: its logarithm must be a number.
_LEAST_TOKENS = 0.5


class Payment:
    """Rewards of rounds, by the clock's ``reward``.

    Parameters
    ----------
    clock
        Which reward, and the guaranteed rate.
    num_users
        Slots K.
    weights
        Weights of the slots' tokens; all one by default.
    """

    def __init__(self, clock: Clock, num_users: int, weights: Sequence[float] | None) -> None:
        self._clock = clock
        self._weights = 1.0 if weights is None else Objective("sum", weights).weights_of(num_users)

    def reward(self, slots: Slots, service: Service, outcome: RoundOutcome) -> FloatArray:
        """What rounds are paid. Shape (N,)."""
        return sum_users(self._weights * self._of_users(slots, service, outcome.latency[:, None]))

    def _of_users(self, slots: Slots, service: Service, latency: FloatArray) -> FloatArray:
        match self._clock.reward:
            case "goodput":
                # A round in which nobody is present and nothing is verified takes no time.
                return service.delivered / np.where(latency > 0.0, latency, np.inf)
            case "tokens":
                return service.delivered
            case "requests_on_time":
                return service.on_time.astype(np.float64)
            case "tokens_on_time":
                return np.where(service.on_time, slots.values["length"], 0.0)
            case "guaranteed_rate":
                assert self._clock.guaranteed_rate is not None
                return np.minimum(service.delivered, self._clock.guaranteed_rate * latency)
            case _:
                rate = np.maximum(service.delivered, _LEAST_TOKENS) / np.where(latency > 0.0, latency, 1.0)
                return np.where(service.present, np.log(rate), 0.0)
