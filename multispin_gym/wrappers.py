"""The same environments with other actions and observations; see :mod:`multispin_gym.envs.wrappers`."""

from multispin_gym.envs.wrappers import (
    ACTION_KEYS,
    DictAction,
    ObservationScale,
    ScaledObservation,
    VectorDictAction,
    VectorScaledObservation,
    dict_action_space,
    encode_dict_action,
)

__all__ = [
    "ACTION_KEYS",
    "DictAction",
    "ObservationScale",
    "ScaledObservation",
    "VectorDictAction",
    "VectorScaledObservation",
    "dict_action_space",
    "encode_dict_action",
]
