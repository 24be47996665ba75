"""The single environments."""

from __future__ import annotations

from os import PathLike
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from multispin_gym._arrays import Float32Array
from multispin_gym.envs.arguments import GameArguments, check_arguments, documented
from multispin_gym.envs.clock.switches import make_game
from multispin_gym.envs.game import PlayedRound
from multispin_gym.envs.observations import Observation
from multispin_gym.envs.shared import CellAccess, check_options, draw_seed, single_info
from multispin_gym.envs.views import RENDER_FPS, RENDER_MODES, View, known_render_mode
from multispin_gym.physics.users import Users
from multispin_gym.rendering.canvas import Frame
from multispin_gym.scenarios.scenario import Scenario

_ROW = np.zeros(1, dtype=np.int64)


@documented
class MultiSpinEnv(CellAccess, gym.Env[Observation, Float32Array]):
    """Draft control in multi-user edge speculative decoding: one cell, one round a step.

    ## Description

    K users each hold a small language model; the edge server holds a large one. In a round every user drafts some
    tokens, uploads them over its share of one uplink band, and the server, when the last user has arrived, verifies all
    drafts in one batch. Accepted tokens and one token of the server's own go back. The agent sees the users and
    chooses every user's draft length and share of the bandwidth; it is paid in tokens per second.

    ## Action Space

    A `Box(-1, 1, (2 K,), float32)`; entries outside are clipped to it, NaN is refused.

    | Entries    | Meaning                                                                                       |
    |------------|-----------------------------------------------------------------------------------------------|
    | 0 .. K-1   | Draft lengths: [-1, 1] is cut into equal bins, one for each length the cell allows             |
    | K .. 2K-1  | Logits of the bandwidth shares: a softmax of 6 x entry over the users who upload               |

    Where the cell's `min_draft_length` is 0 (an argument of that name sets it), users without a draft upload nothing
    and get no bandwidth.
    `encode_action` and `decode_action` translate from and to a `Decision`.

    ## Observation Space

    A `Dict` of three float32 arrays of shape (K,). They determine the round: `users_from_observation` gives exactly the
    users on whom it is played. The bounds are the scenario's; those of the default scenario are:

    | Key               | Meaning                                                      | Unit    | Min    | Max    |
    |-------------------|--------------------------------------------------------------|---------|--------|--------|
    | `acceptance_rate` | Probability that a drafted token is accepted                  | 1       | 0      | 1      |
    | `channel_gain_db` | Uplink gain, with the power above the scenario's reference    | dB      | -58    | 10     |
    | `drafting_speed`  | Speed of the device's model                                   | token/s | 24.15  | 32.68  |

    ## Rewards

    The round's sum token goodput in token/s: expected tokens of all users over the round's latency. With
    `sampled=True` the tokens are drawn. `reward` names other payments, `weights` weighs the users.

    ## Starting State

    Users (acceptance rate, device, distance, power) are drawn from the scenario at `reset` and stay for the episode;
    channels fade from round to round. A seed spawns separate streams of users, fading and acceptance, which go on from
    episode to episode until the next seed.

    ## Episode End

    Truncation after `num_rounds` rounds, or after `max_time` seconds of play; never termination.

    ## Info

    After a step, of the round just played; times in seconds, NumPy scalars and arrays of shape (K,). After a reset the
    same keys, with zeros for the round that was not played and NaN for the optimum.

    | Key                              | Meaning                                                               |
    |----------------------------------|-----------------------------------------------------------------------|
    | `goodput`                        | Sum token goodput, token/s                                            |
    | `tokens`                         | Tokens each user gained, the server's own included (array)            |
    | `latency`                        | From the start of drafting to the end of verification                 |
    | `drafting_time`, `upload_time`   | Each user's drafting and upload (arrays)                              |
    | `verification_time`              | The server's forward pass                                             |
    | `draft_lengths`                  | The decision that the action stood for, token (array of int64)        |
    | `bandwidth_shares`               | The same, shares of the band (array)                                  |
    | `optimum`                        | Bound on the goodput of any decision, where asked for, token/s        |

    ## Version History

    * v0: Initial version.

    ## Arguments

    Parameters
    ----------
    {arguments}

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
    >>> env = gym.make("multispin_gym/MultiSpin-v0", num_users=4)
    >>> observation, info = env.reset(seed=0)
    >>> env.observation_space.contains(observation)
    True
    >>> controller = lambda users, cell: multispin_gym.Decision([4, 4, 4, 4], [0.25, 0.25, 0.25, 0.25])
    >>> action = env.unwrapped.encode_action(controller(env.unwrapped.users, env.unwrapped.cell))
    >>> observation, reward, terminated, truncated, info = env.step(action)
    >>> info["draft_lengths"]
    array([4, 4, 4, 4])
    >>> round(float(reward - info["tokens"].sum() / info["latency"]), 9)
    0.0
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": RENDER_FPS}  # noqa: RUF012 (Gymnasium declares it so)

    def __init__(
        self,
        scenario: str | PathLike[str] | Scenario | None = None,
        *,
        render_mode: str | None = None,
        **arguments: Unpack[GameArguments],
    ) -> None:
        check_arguments(type(self), arguments)
        self.render_mode = known_render_mode(render_mode)
        self._game = make_game(self.variant, scenario, **arguments)
        self._view = View(self._game, self.render_mode)
        self.observation_space: gym.Space[Any] = self._game.observations.space
        self.action_space = self._game.actions.space
        self._action_shape = self.action_space.shape
        self._played: PlayedRound | None = None
        self._over = False

    @property
    def users(self) -> Users:
        """The users of the round about to be played. Shape (K,)."""
        return self._game.users[0]

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Draw users and their first channels.

        Parameters
        ----------
        seed
            Seed of this and all following episodes until the next seed; by default the streams go on.
        options
            No options are known.

        Returns
        -------
        tuple
            The observation of the first round, and info with the keys of a step's: zeros, NaN for an optimum.

        Raises
        ------
        ValueError
            If an option is given.
        """
        super().reset(seed=seed)
        check_options(options, ())
        if seed is not None or not self._game.ready:
            self._game.seed(0, draw_seed(self))
        self._game.begin(_ROW)
        self._played, self._over = None, False
        if self.render_mode == "human":
            self.render()
        return self._observe(), single_info(self._game.nothing_played())

    def step(self, action: NDArray[Any]) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Play one round.

        Parameters
        ----------
        action
            Length entries and share logits; entries outside [-1, 1] are clipped to it.

        Returns
        -------
        tuple
            Observation of the next round, goodput in token/s, False, whether the episode is over, info.

        Raises
        ------
        gymnasium.error.ResetNeeded
            If no episode is under way.
        ValueError
            If the action has the wrong shape or an entry is NaN.
        """
        action = np.asarray(action)
        if action.shape != self._action_shape:
            raise ValueError(f"action must have shape {self._action_shape}, got {action.shape}")
        game = self._game
        if self._over:
            raise ResetNeeded("the episode is over: call reset()")
        played = game.play(action[None])
        game.advance()
        if self.render_mode is not None:
            self._played = played
        if self.render_mode == "human":
            self.render()
        self._over = truncated = bool(game.ended[0])
        return self._observe(), played.reward.item(), False, truncated, single_info(played)

    def _observe(self) -> Observation:
        return {name: array[0] for name, array in self._game.observe().items()}

    def render(self) -> str | Frame | None:
        """Show the round just played, or after a reset the users about to play.

        Returns
        -------
        str or numpy.ndarray or None
            In mode ``"ansi"`` text; in ``"rgb_array"`` a picture, uint8, of shape (720, 1280, 3); in ``"human"``, which
            shows it in a window after each reset and step, and without a render mode None.

        Raises
        ------
        ImportError
            If Pillow or pygame is needed and not installed.
        """
        shown = self._view.show([self._played])
        return None if shown is None else shown[0]

    def close(self) -> None:
        """Close the window, if there is one."""
        self._view.close()
