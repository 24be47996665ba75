"""The native vector environments: many cells in one set of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Unpack

import numpy as np
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from multispin_gym._arrays import Float32Array
from multispin_gym._validation import IntArray, check_choice, check_integer
from multispin_gym.envs.arguments import GameArguments, check_arguments, documented
from multispin_gym.envs.clock.switches import make_game
from multispin_gym.envs.game import PlayedRound
from multispin_gym.envs.observations import Observation
from multispin_gym.envs.shared import (
    CellAccess,
    check_options,
    draw_seed,
    rows_of_mask,
    seeds_of_rows,
    vector_info,
)
from multispin_gym.envs.views import RENDER_FPS, RENDER_MODES, VectorDisplay, View, known_render_mode
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

BoolArray = NDArray[np.bool_]
Step = tuple[Observation, NDArray[np.float64], BoolArray, BoolArray, dict[str, Any]]


@documented
class MultiSpinVectorEnv(CellAccess, VectorDisplay, VectorEnv[Observation, Float32Array, NDArray[Any]]):
    """Many independent cells stepped at once: the vector form of :class:`multispin_gym.envs.single.MultiSpinEnv`.

    Row i, seeded with ``seed + i``, equals the single environment seeded with ``seed + i`` to the last bit, whatever
    the number of rows. Observations, actions and rewards are those of the single environment with a batch axis in
    front; info holds arrays with a mask ``_key`` beside each ``key``, as Gymnasium's own vector environments do.
    Rows that were reset have zeros for the round that they did not play, and NaN for an optimum.

    Parameters
    ----------
    num_envs
        Number of cells N.
    {arguments}
    autoreset_mode
        A :class:`gymnasium.vector.AutoresetMode` or its value, ``"NextStep"``, ``"SameStep"`` or ``"Disabled"``.
    max_episode_steps
        Ends episodes earlier than ``num_rounds``, as :class:`gymnasium.wrappers.TimeLimit` would.

    Raises
    ------
    ValueError
        If a value is out of range or unknown.
    TypeError
        If a value is of the wrong type.

    Examples
    --------
    >>> import gymnasium as gym
    >>> import multispin_gym
    >>> envs = gym.make_vec("multispin_gym/MultiSpin-v0", num_envs=4, num_users=3)
    >>> observations, infos = envs.reset(seed=0)
    >>> observations, rewards, terminations, truncations, infos = envs.step(envs.action_space.sample())
    >>> rewards.shape, infos["tokens"].shape
    ((4,), (4, 3))
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": RENDER_FPS}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        scenario: str | PathLike[str] | Scenario | None = None,
        *,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        **arguments: Unpack[GameArguments],
    ) -> None:
        check_arguments(type(self), arguments)
        self.render_mode = known_render_mode(render_mode)
        if not isinstance(autoreset_mode, AutoresetMode):
            check_choice("autoreset_mode", autoreset_mode, [mode.value for mode in AutoresetMode])
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self._game = make_game(self.variant, scenario, num_rows=num_envs, **arguments)
        self._view = View(self._game, self.render_mode)
        self.num_envs = self._game.num_rows
        limit = max_episode_steps
        self._limit = None if limit is None else check_integer("max_episode_steps", limit, low=1)
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self._game.observations.space
        self.single_action_space = self._game.actions.space
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self._action_shape = self.action_space.shape
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        self._any_ended = False
        self._played: PlayedRound | None = None
        self._begun = np.zeros(self.num_envs, dtype=np.bool_)

    @property
    def users(self) -> Users:
        """The users of the rounds about to be played. Shape (N, K)."""
        return self._game.users

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin new episodes in all rows, or in those of a mask.

        Parameters
        ----------
        seed
            One seed, row i then takes ``seed + i``, or one for each row; a row without a seed goes on with its streams.
        options
            ``reset_mask``: a boolean array of shape (N,), the rows to reset; by default all.

        Returns
        -------
        tuple
            The observations of all rows, and info with the keys of a step's.

        Raises
        ------
        ValueError
            If the mask or the list of seeds has the wrong length, no row is to be reset, or an option is unknown.
        TypeError
            If the mask is not a boolean array.
        gymnasium.error.ResetNeeded
            If a mask leaves out rows before the first reset of all.
        """
        check_options(options, ("reset_mask",))
        mask = (options or {}).get("reset_mask")
        rows = np.arange(self.num_envs) if mask is None else rows_of_mask(mask, self.num_envs)
        if not self._game.ready and rows.size < self.num_envs:
            raise ResetNeeded("the first reset() must be of all rows: leave options['reset_mask'] out")
        self._seed(seed, rows)
        self._game.begin(rows)
        self._ended[rows] = False
        self._any_ended = bool(self._ended.any())
        self._begun[rows] = True
        self._show()
        has_info = np.zeros(self.num_envs, dtype=np.bool_)
        has_info[rows] = True
        return self._game.observe(), vector_info(self._game.nothing_played(), has_info)

    def _seed(self, seed: int | Sequence[int | None] | None, rows: IntArray) -> None:
        """Seed the rows: those that a seed is given for, and those that never had one."""
        if isinstance(seed, (int, np.integer)):
            super().reset(seed=int(seed))
        seeds, fallback = seeds_of_rows(seed, self.num_envs), None
        for row in rows.tolist():
            value = seeds[row]
            if value is None and not self._game.seeded[row]:
                fallback = draw_seed(self) if fallback is None else fallback
                value = fallback + row
            if value is not None:
                self._game.seed(row, value)

    def step(self, actions: NDArray[Any]) -> Step:
        """Play one round in every row.

        Parameters
        ----------
        actions
            One action for each row. Shape (N, 2 K), or (N, K + 1) in the homogeneous environment.

        Returns
        -------
        tuple
            Observations, rewards (float64), terminations (never), truncations and info. In ``NEXT_STEP`` mode
            a row whose episode ended ignores its action, is reset, and is rewarded 0; in ``SAME_STEP`` mode it is
            reset at once and info holds ``final_obs`` and ``final_info``.

        Raises
        ------
        gymnasium.error.ResetNeeded
            Before the first reset, or, without autoreset, if the episode of a row is over.
        ValueError
            If the actions have the wrong shape or an entry is NaN.
        """
        actions = np.asarray(actions)
        if actions.shape != self._action_shape:
            raise ValueError(f"actions must have shape {self._action_shape}, got {actions.shape}")
        if self._any_ended:
            if self.autoreset_mode == AutoresetMode.DISABLED:
                rows = np.flatnonzero(self._ended).tolist()
                raise ResetNeeded(
                    f"the episodes of rows {rows} are over: reset them with options={{'reset_mask': mask}}"
                )
            return self._step_some(actions)
        played = self._game.play(actions)
        self._game.advance()
        self._remember(played)
        rewards, truncated = played.reward, self._truncated()
        info = vector_info(played, np.ones(self.num_envs, dtype=np.bool_))
        if truncated.any():
            if self.autoreset_mode == AutoresetMode.SAME_STEP:
                info = self._reset_ended(truncated, played)
            else:
                self._ended = truncated.copy()
                self._any_ended = True
        self._show()
        return self._game.observe(), rewards, np.zeros(self.num_envs, dtype=np.bool_), truncated, info

    def _truncated(self) -> BoolArray:
        ended = self._game.ended
        return ended if self._limit is None else ended | (self._game.elapsed >= self._limit)

    def _step_some(self, actions: NDArray[Any]) -> Step:
        """Reset the rows whose episodes ended in the step before, play in the others."""
        ended, playing = self._ended, ~self._ended
        rows = np.flatnonzero(ended)
        if rows.size < self.num_envs:
            chosen = actions.copy()
            chosen[rows] = 0.0
            played = self._game.play(chosen)
            self._game.advance(rows)
            self._remember(played)
        else:
            played = self._game.nothing_played()
            self._game.begin(rows)
        rewards = np.where(playing, played.reward, 0.0)
        everywhere = np.ones(self.num_envs, dtype=np.bool_)
        info = vector_info(played, everywhere, self._game.before_first(rows), rows)
        self._begun = ended
        truncated = playing & self._truncated()
        self._ended = truncated.copy()
        self._any_ended = bool(truncated.any())
        self._show()
        return self._game.observe(), rewards, np.zeros(self.num_envs, dtype=np.bool_), truncated, info

    def _reset_ended(self, ended: BoolArray, played: PlayedRound) -> dict[str, Any]:
        """Reset the rows whose episodes just ended; return info with their last observations."""
        rows = np.flatnonzero(ended)
        last = self._game.observe()
        final_obs = np.full(self.num_envs, None, dtype=object)
        for row in rows.tolist():
            final_obs[row] = {name: array[row] for name, array in last.items()}
        self._game.begin(rows)
        everywhere = np.ones(self.num_envs, dtype=np.bool_)
        info = vector_info(played, everywhere, self._game.before_first(rows), rows, copied=True)
        info["final_obs"], info["_final_obs"] = final_obs, ended.copy()
        info["final_info"], info["_final_info"] = vector_info(played, ended.copy(), copied=True), ended.copy()
        return info
