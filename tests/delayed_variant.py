"""A toy of a new environment: the server takes a constant time longer than its scenario says, which is observed."""

from dataclasses import replace

import numpy as np
from gymnasium import spaces

from multispin_gym.envs.observations import ObservationCodec
from multispin_gym.envs.single import MultiSpinEnv
from multispin_gym.envs.variants import Variant
from multispin_gym.envs.vector import MultiSpinVectorEnv

DELAY = 0.05


class DelayedObservation(ObservationCodec):
    """The observation, and how much longer the server takes, s."""

    def __init__(self, scenario, num_users):
        super().__init__(scenario, num_users)
        self.space = spaces.Dict({**self.space.spaces, "delay": spaces.Box(0.0, 1.0, (num_users,), np.float32)})

    def encode(self, users, gain_db=None):
        seen = super().encode(users, gain_db)
        return {**seen, "delay": np.full_like(seen["drafting_speed"], DELAY)}

    def users(self, observation):
        return super().users({key: value for key, value in observation.items() if key != "delay"})


def delayed_cell(scenario):
    server = scenario.cell.verification
    return replace(scenario.cell, verification=replace(server, fixed=server.fixed + DELAY))


DELAYED = Variant(
    id="multispin_gym/Delayed-v0",
    summary="a server that takes a constant time longer",
    single=f"{__name__}:DelayedEnv",
    vector=f"{__name__}:DelayedVectorEnv",
    observations=DelayedObservation,
    cell=delayed_cell,
    exogenous=True,
)


class DelayedEnv(MultiSpinEnv):
    variant = DELAYED


class DelayedVectorEnv(MultiSpinVectorEnv):
    variant = DELAYED
