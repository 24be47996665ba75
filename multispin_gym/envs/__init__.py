"""The environments: one row for each registered id in ``variants``, its codecs, the game behind it and its two forms.

The classes are loaded when they are first used; ``import multispin_gym`` registers their names only.
"""

from typing import TYPE_CHECKING

from multispin_gym._lazy import lazy_names

if TYPE_CHECKING:
    from multispin_gym.envs.actions import ActionCodec
    from multispin_gym.envs.homogeneous import MultiSpinHomogeneousEnv, MultiSpinHomogeneousVectorEnv
    from multispin_gym.envs.observations import OBSERVATION_KEYS, Observation, ObservationCodec
    from multispin_gym.envs.single import MultiSpinEnv
    from multispin_gym.envs.vector import MultiSpinVectorEnv

__all__ = [
    "OBSERVATION_KEYS",
    "ActionCodec",
    "MultiSpinEnv",
    "MultiSpinHomogeneousEnv",
    "MultiSpinHomogeneousVectorEnv",
    "MultiSpinVectorEnv",
    "Observation",
    "ObservationCodec",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "OBSERVATION_KEYS": "observations",
        "ActionCodec": "actions",
        "MultiSpinEnv": "single",
        "MultiSpinHomogeneousEnv": "homogeneous",
        "MultiSpinHomogeneousVectorEnv": "homogeneous",
        "MultiSpinVectorEnv": "vector",
        "Observation": "observations",
        "ObservationCodec": "observations",
        # Published in the module that these codecs once shared.
        "SHARE_SHARPNESS": "actions",
        "Float32Array": "actions",
    },
)
