"""Stable-Baselines3's PPO over several numbers of users at once: its updates take turns with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from stable_baselines3.common.buffers import DictRolloutBuffer, RolloutBuffer
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecEnv

from multispin_gym.agents.training.vec_adapter import Observation, SB3VecEnv


@dataclass
class EnvSlot:
    """One number of users: its environment, where that stands, and the buffer for its rounds.

    Parameters
    ----------
    env
        The environment.
    buffer
        Holds the rounds of one update.
    observation
        What is observed before the next round.
    starts
        Which rows begin an episode there. Shape (num_envs,).
    """

    env: SB3VecEnv
    buffer: DictRolloutBuffer
    observation: Observation
    starts: np.ndarray[Any, Any]


class MixedUsersPPO(PPO):
    """PPO that trains one policy in several environments, which differ in the number of users.

    Each update plays and learns from one of them, in turns; with a single environment this is PPO as it is. All must
    have equally many rows, and the policy must take any number of users.

    Parameters
    ----------
    policy
        The policy's class.
    envs
        The environments.
    **kwargs
        What else :class:`stable_baselines3.PPO` takes.

    Raises
    ------
    ValueError
        If there is no environment, or they differ in their number of rows.
    """

    def __init__(self, policy: Any, envs: Sequence[SB3VecEnv], **kwargs: Any) -> None:
        rows = [env.num_envs for env in envs]
        if not rows or len(set(rows)) > 1:
            raise ValueError(f"envs must be at least one environment, all with equally many rows; got rows {rows}")
        super().__init__(policy, envs[0], **kwargs)
        self.slots = [EnvSlot(env, self._buffer(env), {}, np.ones(env.num_envs, dtype=np.bool_)) for env in envs]

    def _buffer(self, env: SB3VecEnv) -> DictRolloutBuffer:
        return DictRolloutBuffer(
            self.n_steps,
            env.observation_space,  # type: ignore[arg-type]
            env.action_space,
            device=self.device,
            gae_lambda=self.gae_lambda,
            gamma=self.gamma,
            n_envs=env.num_envs,
        )

    def _setup_learn(self, total_timesteps: int, *args: Any, **kwargs: Any) -> tuple[int, BaseCallback]:
        started = self._last_obs
        result = super()._setup_learn(total_timesteps, *args, **kwargs)
        if self._last_obs is not started:
            for slot in self.slots:
                first = slot.env is self.env
                slot.observation = self._last_obs if first else slot.env.reset()  # type: ignore[assignment]
                slot.starts = np.ones(slot.env.num_envs, dtype=np.bool_)
        return result

    def collect_rollouts(
        self, env: VecEnv, callback: BaseCallback, rollout_buffer: RolloutBuffer, n_rollout_steps: int
    ) -> bool:
        """Play the rounds of an update in the environment whose turn it is.

        Parameters
        ----------
        env, rollout_buffer
            Unused: those of the environment whose turn it is take their place.
        callback
            The callback.
        n_rollout_steps
            Rounds in each row.

        Returns
        -------
        bool
            Whether training goes on.
        """
        slot = self.slots[self.num_timesteps // (self.n_steps * self.n_envs) % len(self.slots)]
        self.rollout_buffer = slot.buffer
        for holder in (self, self.policy):
            holder.observation_space, holder.action_space = slot.env.observation_space, slot.env.action_space
        self._last_obs, self._last_episode_starts = slot.observation, slot.starts
        more = super().collect_rollouts(slot.env, callback, slot.buffer, n_rollout_steps)
        slot.observation, slot.starts = self._last_obs, self._last_episode_starts
        return more
