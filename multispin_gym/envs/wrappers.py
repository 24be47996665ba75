"""The same environments with other actions and observations: dictionaries of decisions, scaled numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from multispin_gym._arrays import Float32Array
from multispin_gym._validation import check_array, check_choice
from multispin_gym.envs.actions import SHARE_SHARPNESS
from multispin_gym.envs.observations import Observation
from multispin_gym.envs.scaling import ObservationScale as ObservationScale
from multispin_gym.envs.shared import CellAccess
from multispin_gym.physics.rounds import Decision

if TYPE_CHECKING:
    _VectorActions = VectorWrapper[Observation, "DictActions", Observation, Float32Array, NDArray[Any]]
    _VectorObservations = VectorWrapper[Observation, Any, Observation, Any, NDArray[Any]]
else:
    # Takes type arguments only from Gymnasium 1.3 on.
    _VectorActions = _VectorObservations = VectorWrapper

ACTION_KEYS = ("bandwidth_shares", "draft_lengths")
DictActions = Mapping[str, Any]


def _cell_access(env: Any) -> CellAccess:
    base = env.unwrapped
    if not isinstance(base, CellAccess):
        raise TypeError(f"this wrapper is for MultiSpin environments, got {base!r}")
    return base


def _autoreset_mode(env: VectorEnv[Any, Any, Any]) -> AutoresetMode:
    """Return how a vector environment resets: TorchRL asks the outermost wrapper, and these hide the attribute."""
    mode: AutoresetMode = env.metadata["autoreset_mode"]
    return mode


def dict_action_space(access: CellAccess) -> spaces.Dict:
    """Return the space of decisions as dictionaries.

    Parameters
    ----------
    access
        The environment.

    Returns
    -------
    gymnasium.spaces.Dict
        ``draft_lengths``: MultiDiscrete, K entries (one in the homogeneous environment), each an allowed length;
        ``bandwidth_shares``: a box of K numbers in [0, 1], which are divided by their sum.
    """
    entries = access.num_length_entries
    count, start = access.cell.num_draft_lengths, access.cell.min_draft_length
    return spaces.Dict(
        {
            "draft_lengths": spaces.MultiDiscrete([count] * entries, start=[start] * entries),
            "bandwidth_shares": spaces.Box(0.0, 1.0, (access.num_users,), np.float32),
        }
    )


def encode_dict_action(access: CellAccess, action: DictActions) -> Float32Array:
    """Turn a decision as a dictionary into the action of the wrapped environment.

    Parameters
    ----------
    access
        The environment.
    action
        ``draft_lengths`` and ``bandwidth_shares``, or a batch of both. The shares are divided by their sum over the
        users who upload; shares below ``exp(-12)`` of the largest are raised to that.

    Returns
    -------
    numpy.ndarray
        The canonical action.

    Raises
    ------
    ValueError
        If a key is unknown or missing, or a value out of range.
    """
    for key in action:
        check_choice("action key", key, ACTION_KEYS)
    missing = [key for key in ACTION_KEYS if key not in action]
    if missing:
        raise ValueError(f"action must have the keys {', '.join(ACTION_KEYS)}; {missing[0]} is missing")
    shares = check_array("bandwidth_shares", action["bandwidth_shares"], low=0.0)
    lengths = check_array("draft_lengths", action["draft_lengths"], low=0.0, whole=True)
    if lengths.shape[-1:] != (access.num_length_entries,):
        raise ValueError(f"draft_lengths must be an entry of {dict_action_space(access)}, got shape {lengths.shape}")
    weights = shares * (lengths > 0.0)
    top = weights.max(axis=-1, keepdims=True)
    # A share that is no number of the action set is replaced by the nearest that is; no shares at all, by equal ones.
    weights = np.maximum(weights / np.where(top > 0.0, top, 1.0), np.exp(-2.0 * SHARE_SHARPNESS))
    weights /= weights.sum(axis=-1, keepdims=True)
    return access.encode_action(Decision(lengths, weights))


class DictAction(RecordConstructorArgs, gym.ActionWrapper[Observation, DictActions, Float32Array]):
    """Takes decisions as dictionaries: ``draft_lengths`` (MultiDiscrete) and ``bandwidth_shares``.

    Parameters
    ----------
    env
        A MultiSpin environment.

    Examples
    --------
    >>> import gymnasium as gym
    >>> import multispin_gym
    >>> from multispin_gym.wrappers import DictAction
    >>> env = DictAction(gym.make("multispin_gym/MultiSpin-v0", num_users=2))
    >>> observation, info = env.reset(seed=0)
    >>> step = env.step({"draft_lengths": [4, 2], "bandwidth_shares": [0.25, 0.75]})
    >>> step[-1]["draft_lengths"], step[-1]["bandwidth_shares"].round(4)
    (array([4, 2]), array([0.25, 0.75]))
    """

    def __init__(self, env: gym.Env[Observation, Float32Array]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ActionWrapper.__init__(self, env)
        self._access = _cell_access(env)
        self.action_space = dict_action_space(self._access)

    def action(self, action: DictActions) -> Float32Array:
        """Return the action of the wrapped environment.

        Parameters
        ----------
        action
            The decision; see :func:`encode_dict_action`.

        Returns
        -------
        numpy.ndarray
            The canonical action.
        """
        return encode_dict_action(self._access, action)


class VectorDictAction(_VectorActions):
    """The vector form of :class:`DictAction`, over the native vector environment.

    Parameters
    ----------
    env
        A native MultiSpin vector environment.
    """

    def __init__(self, env: VectorEnv[Observation, Float32Array, NDArray[Any]]) -> None:
        super().__init__(env)
        self.autoreset_mode = _autoreset_mode(env)
        self._access = _cell_access(env)
        self.single_action_space = dict_action_space(self._access)
        self.action_space = batch_space(self.single_action_space, self.num_envs)

    def step(
        self, actions: DictActions
    ) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Play one round in every row.

        Parameters
        ----------
        actions
            The decisions of all rows; see :func:`encode_dict_action`.

        Returns
        -------
        tuple
            What the wrapped environment returns.
        """
        return self.env.step(encode_dict_action(self._access, actions))


class ScaledObservation(RecordConstructorArgs, gym.ObservationWrapper[Observation, Float32Array, Observation]):
    """Scales every observation from its bounds to [-1, 1]; fixed numbers, no running statistics.

    Parameters
    ----------
    env
        A MultiSpin environment.

    Examples
    --------
    >>> import gymnasium as gym
    >>> import multispin_gym
    >>> from multispin_gym.wrappers import ScaledObservation
    >>> env = ScaledObservation(gym.make("multispin_gym/MultiSpin-v0"))
    >>> observation, info = env.reset(seed=0)
    >>> env.observation_space.contains(observation), float(env.observation_space["drafting_speed"].low[0])
    (True, -1.0)
    """

    def __init__(self, env: gym.Env[Observation, Float32Array]) -> None:
        RecordConstructorArgs.__init__(self)
        gym.ObservationWrapper.__init__(self, env)
        _cell_access(env)
        self._scale = ObservationScale(env.observation_space)
        self.observation_space = cast("gym.Space[Observation]", self._scale.space)

    def observation(self, observation: Observation) -> Observation:
        """Scale an observation.

        Parameters
        ----------
        observation
            The wrapped environment's observation.

        Returns
        -------
        dict
            The scaled observation.
        """
        return self._scale(observation)


class VectorScaledObservation(_VectorObservations):
    """The vector form of :class:`ScaledObservation`; last observations in info (``final_obs``) are scaled too.

    Parameters
    ----------
    env
        A MultiSpin vector environment.
    """

    def __init__(self, env: VectorEnv[Observation, Any, NDArray[Any]]) -> None:
        super().__init__(env)
        self.autoreset_mode = _autoreset_mode(env)
        self._scale = ObservationScale(env.single_observation_space)
        self.single_observation_space = self._scale.space
        self.observation_space = batch_space(self._scale.space, self.num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Reset; arguments and result as for the wrapped environment.

        Parameters
        ----------
        seed
            One seed, or one for each row.
        options
            Options of the wrapped environment.

        Returns
        -------
        tuple
            Scaled observations and info.
        """
        observations, infos = self.env.reset(seed=seed, options=options)
        return self._scale(observations), infos

    def step(self, actions: Any) -> tuple[Observation, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Play one round in every row.

        Parameters
        ----------
        actions
            Actions of the wrapped environment.

        Returns
        -------
        tuple
            What the wrapped environment returns, with scaled observations.
        """
        observations, rewards, terminations, truncations, infos = self.env.step(actions)
        if "final_obs" in infos:
            final = infos["final_obs"]
            for row in np.flatnonzero(infos["_final_obs"]).tolist():
                final[row] = self._scale(final[row])
        return self._scale(observations), rewards, terminations, truncations, infos
