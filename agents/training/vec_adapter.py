"""The native vector environment as a Stable-Baselines3 ``VecEnv``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from multispin_gym._validation import FloatArray, check_number
from multispin_gym.physics.users import Users

RewardUnit = float | Callable[[Users], float | FloatArray]
VecEnvIndices = int | Iterable[int] | None
Observation = dict[str, np.ndarray[Any, Any]]

_NOTHING: dict[str, Any] = {}


class SB3VecEnv(VecEnv):
    """Stable-Baselines3's view of a native Gymnasium vector environment with same-step autoreset.

    Observations pass through without a copy. Rows whose episode goes on share one empty info; where an episode ends,
    the info holds ``episode`` (as :class:`~stable_baselines3.common.monitor.Monitor` reports it, in the environment's
    own reward), ``TimeLimit.truncated`` and ``terminal_observation``.

    Parameters
    ----------
    env
        A vector environment whose ``metadata["autoreset_mode"]`` is ``SAME_STEP``.
    reward_unit
        Rewards are divided by this before the learner sees them; positive. A callable is asked for the units of the
        rounds about to be played, one per row, given their users.
    terminal_observations
        Whether infos hold ``terminal_observation``. A learner with discount 0 does not need it, and SB3 evaluates its
        value row by row.

    Raises
    ------
    ValueError
        If the environment resets in another way, or the unit is not positive.

    Examples
    --------
    >>> import gymnasium as gym, multispin_gym
    >>> from gymnasium.vector import AutoresetMode
    >>> native = gym.make_vec("multispin_gym/MultiSpin-v0", num_envs=4, autoreset_mode=AutoresetMode.SAME_STEP,
    ...                       vectorization_mode="vector_entry_point")
    >>> env = SB3VecEnv(native)
    >>> sorted(env.reset())
    ['acceptance_rate', 'channel_gain_db', 'drafting_speed']
    """

    def __init__(
        self,
        env: gym.vector.VectorEnv[Any, Any, Any],
        *,
        reward_unit: RewardUnit = 1.0,
        terminal_observations: bool = True,
    ) -> None:
        mode = env.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(f"env must reset in the same step (AutoresetMode.SAME_STEP), got {mode!r}")
        self.env = env
        if not callable(reward_unit):
            check_number("reward_unit", reward_unit, low=0.0, low_open=True)
        self.reward_unit = reward_unit
        self.terminal_observations = terminal_observations
        self.returns = np.zeros(env.num_envs)
        self.episode_lengths = np.zeros(env.num_envs, dtype=np.int64)
        self._start = time.perf_counter()
        self._actions: np.ndarray[Any, Any] | None = None
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> Observation:
        """Start new episodes in all rows, with the seeds given to :meth:`seed` if any.

        Returns
        -------
        dict of numpy.ndarray
            Observations. Shape (num_envs, K) each.
        """
        seeds = None if all(seed is None for seed in self._seeds) else list(self._seeds)
        options = self._options[0] or None
        observation, _ = self.env.reset(seed=seeds, options=options)  # type: ignore[arg-type]
        self._reset_seeds()
        self._reset_options()
        self.returns[:] = 0.0
        self.episode_lengths[:] = 0
        return dict(observation)

    def units(self, users: Users) -> float | FloatArray:
        """Units in which the rewards of rounds are counted.

        Parameters
        ----------
        users
            The users of the rounds. Shape (N, K).

        Returns
        -------
        float or numpy.ndarray
            One unit for all, or one per round.
        """
        return self.reward_unit(users) if callable(self.reward_unit) else self.reward_unit

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Keep the actions for :meth:`step_wait`.

        Parameters
        ----------
        actions
            Actions of all rows.
        """
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Play one round in every row.

        Returns
        -------
        tuple
            Observations, rewards (float32), whether each episode ended, and the infos.
        """
        unit = self.units(self.env.unwrapped.users)  # type: ignore[attr-defined]
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        self.returns += reward
        self.episode_lengths += 1
        dones = terminated | truncated
        infos = [_NOTHING] * self.num_envs
        if dones.any():
            self._end_episodes(infos, np.flatnonzero(dones), truncated & ~terminated, info)
        return dict(observation), (reward / unit).astype(np.float32), dones, infos

    def _end_episodes(
        self, infos: list[dict[str, Any]], rows: np.ndarray[Any, Any], cut: np.ndarray[Any, Any], info: dict[str, Any]
    ) -> None:
        elapsed = round(time.perf_counter() - self._start, 6)
        for row in rows.tolist():
            episode = {"r": float(self.returns[row]), "l": int(self.episode_lengths[row]), "t": elapsed}
            infos[row] = {"episode": episode, "TimeLimit.truncated": bool(cut[row])}
            if self.terminal_observations:
                infos[row]["terminal_observation"] = info["final_obs"][row]
        self.returns[rows] = 0.0
        self.episode_lengths[rows] = 0

    def close(self) -> None:
        """Close the environment."""
        self.env.close()

    def _count(self, indices: VecEnvIndices) -> int:
        return len(list(self._get_indices(indices)))

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """Return an attribute that all rows share.

        Parameters
        ----------
        attr_name
            Name of an attribute of the vector environment.
        indices
            Rows; all by default.

        Returns
        -------
        list
            The attribute, once for each row.
        """
        return [getattr(self.env.unwrapped, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Set an attribute of all rows.

        Parameters
        ----------
        attr_name
            Name of the attribute.
        value
            Its new value.
        indices
            Must cover all rows: the rows are one environment.

        Raises
        ------
        ValueError
            If only some rows are asked for.
        """
        if self._count(indices) != self.num_envs:
            raise ValueError(
                f"indices must cover all {self.num_envs} rows, which share one environment; got {indices!r}"
            )
        setattr(self.env.unwrapped, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **kwargs: Any
    ) -> list[Any]:
        """Call a method of the vector environment once.

        Parameters
        ----------
        method_name
            Name of the method.
        *method_args
            Its positional arguments.
        indices
            Rows; all by default.
        **kwargs
            Its keyword arguments.

        Returns
        -------
        list
            The one result, once for each row.
        """
        return [getattr(self.env.unwrapped, method_name)(*method_args, **kwargs)] * self._count(indices)

    def env_is_wrapped(
        self, wrapper_class: type[gym.Wrapper[Any, Any, Any, Any]], indices: VecEnvIndices = None
    ) -> list[bool]:
        """Tell whether rows are wrapped; they count as monitored, because infos report episodes as a monitor does.

        Parameters
        ----------
        wrapper_class
            The wrapper's class.
        indices
            Rows; all by default.

        Returns
        -------
        list of bool
            One answer for each row.
        """
        return [issubclass(Monitor, wrapper_class)] * self._count(indices)

    def get_images(self) -> Sequence[np.ndarray[Any, Any] | None]:
        """Draw the round just played in every row.

        Returns
        -------
        sequence of numpy.ndarray
            One picture for each row, uint8, of shape (720, 1280, 3); None where the render mode is not ``"rgb_array"``.
        """
        return self.env.render() if self.render_mode == "rgb_array" else [None] * self.num_envs  # type: ignore[return-value]
