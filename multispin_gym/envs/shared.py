"""What single and vector environments share: access to the cell, info, and checks of arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import ArrayLike, NDArray

from multispin_gym._arrays import Float32Array
from multispin_gym._validation import BoolArray, IntArray, nearest
from multispin_gym.envs.clock.service import SERVICE_KEYS
from multispin_gym.envs.game import Game, PlayedRound
from multispin_gym.envs.observations import Observation
from multispin_gym.envs.variants import MULTI_SPIN, Variant
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario


class CellAccess:
    """What every environment shows of its cell, besides observations: for controllers and for studies."""

    variant: ClassVar[Variant] = MULTI_SPIN
    _game: Game

    @property
    def scenario(self) -> Scenario:
        """The scenario that the users come from."""
        return self._game.scenario

    @property
    def cell(self) -> Cell:
        """The shared system."""
        return self._game.cell

    @property
    def num_users(self) -> int:
        """Number of users K."""
        return self._game.num_users

    @property
    def num_length_entries(self) -> int:
        """Number of draft lengths that an action holds: K, or 1 where one serves all users."""
        return self._game.actions.num_length_entries

    @property
    def num_rounds(self) -> int:
        """Rounds of an episode."""
        return self._game.num_rounds

    def state(self) -> dict[str, Any]:
        """Return all that the rounds to come depend on.

        Returns
        -------
        dict
            Arrays of numbers by name, for :meth:`restore` of an environment made with the same arguments.
        """
        return self._game.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state` was taken.

        Parameters
        ----------
        state
            The state, of an environment made with the same arguments.

        Raises
        ------
        ValueError
            If the state is of an environment of another size.
        """
        self._game.restore(state)

    def observe(self) -> Observation:
        """Show the round about to be played, as the environment does; one row for each cell.

        Returns
        -------
        dict
            Observations, float32. Shape (N, K) each.
        """
        return self._game.observe()

    def encode_action(self, decision: Decision) -> Float32Array:
        """Return the action that stands for a decision; see :meth:`multispin_gym.envs.actions.ActionCodec.encode`.

        Parameters
        ----------
        decision
            A decision, or a batch of them. Shape (..., K).

        Returns
        -------
        numpy.ndarray
            Actions, float32. Shape (..., 2 K), or (..., K + 1) in the homogeneous environment.
        """
        return self._game.actions.encode(decision)

    def decode_action(self, action: ArrayLike) -> Decision:
        """Return the decision that an action stands for; see :meth:`multispin_gym.envs.actions.ActionCodec.decode`.

        Parameters
        ----------
        action
            An action, or a batch of them. Shape (..., 2 K), or (..., K + 1) in the homogeneous environment.

        Returns
        -------
        Decision
            The decision. Shape (..., K).
        """
        return self._game.actions.decode(action)

    def users_from_observation(self, observation: Mapping[str, ArrayLike]) -> Users:
        """Rebuild the users of an observed round, bit for bit.

        Parameters
        ----------
        observation
            An observation, or a batch of them. Entries of shape (..., K).

        Returns
        -------
        Users
            The users on whom the round is played. Shape (..., K).
        """
        return self._game.observations.users(observation)


def round_info(played: PlayedRound) -> dict[str, Any]:
    """Return the info entries of a round, batched. Shapes: ``played`` (N, K), result (N, K)."""
    outcome = played.outcome
    info = {
        "goodput": outcome.goodput,
        "tokens": outcome.tokens,
        "latency": outcome.latency,
        "drafting_time": outcome.drafting_time,
        "upload_time": outcome.upload_time,
        "verification_time": outcome.verification_time,
        "draft_lengths": played.decision.draft_lengths,
        "bandwidth_shares": played.decision.bandwidth_shares,
    }
    if played.optimum is not None:
        info["optimum"] = played.optimum
    if played.service is not None:
        service = played.service
        info |= {name: getattr(service, name) for name in SERVICE_KEYS}
        # A step lasts until the next round begins.
        info["latency"] = outcome.latency + service.waited
        late = service.present & ~service.verified
        if late.any():
            # Nobody has measured how long an upload would have taken that was cut off.
            cutoff = played.decision.cutoff
            assert cutoff is not None
            until = np.repeat(cutoff, late.shape[1]).reshape(late.shape)
            # Whoever is in by then has drafted by then.
            info["drafting_time"] = drafting = np.minimum(outcome.drafting_time, until)
            info["upload_time"] = np.where(late, until - drafting, outcome.upload_time)
    return info


def single_info(played: PlayedRound) -> dict[str, Any]:
    """Return the info of the only row: NumPy scalars, and arrays of shape (K,)."""
    return {name: value[0] for name, value in round_info(played).items()}


def vector_info(
    played: PlayedRound,
    mask: BoolArray,
    begun: Mapping[str, NDArray[Any]] | None = None,
    rows: IntArray | None = None,
    copied: bool = False,
) -> dict[str, Any]:
    """Return info of some rows in Gymnasium's vector form: beside each key a mask of the rows that have it.

    Rows that have begun an episode have what ``begun`` says, the :meth:`Game.before_first` of the game, else zeros: so
    have those without info. Unless they are ``copied``, arrays of ``played`` are changed for it.

    Shapes: ``played`` (N, K), ``mask`` (N,), ``begun``, of the episodes' ``rows``, (M,), result (N, K).
    """
    info: dict[str, Any] = {}
    rest = np.flatnonzero(~mask)
    for name, value in round_info(played).items():
        if copied or not value.flags.writeable:
            value = value.copy()
        if rest.size:
            value[rest] = 0
        if begun is not None:
            value[rows] = begun.get(name, 0)
        info[name] = value
        info[f"_{name}"] = mask
    return info


def seeds_of_rows(seed: int | Sequence[int | None] | None, num_rows: int) -> Sequence[int | None]:
    """Return the seed of every row."""
    if seed is None:
        return [None] * num_rows
    seeds = range(seed, seed + num_rows) if isinstance(seed, (int, np.integer)) else list(seed)
    if len(seeds) != num_rows:
        raise ValueError(f"seed must be one seed or {num_rows} of them, got {len(seeds)}")
    for value in seeds:
        if value is not None and (isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer))):
            raise TypeError(f"seed must be a whole number, got {value!r}")
        if value is not None and value < 0:
            raise ValueError(f"seed must be a whole number in [0, inf), got {value!r}")
    return seeds


def draw_seed(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> int:
    """Return the seed of an environment that was reset without one, so that it can be reported and repeated."""
    seed = env.np_random_seed
    return seed if seed is not None and seed >= 0 else int(env.np_random.integers(2**31))


def check_options(options: Mapping[str, Any] | None, known: tuple[str, ...]) -> None:
    """Refuse unknown reset options."""
    for name in options or ():
        if name not in known:
            names = ", ".join(known) or "none"
            raise ValueError(f"unknown reset option {name!r}; known options: {names}.{nearest(str(name), known)}")


def rows_of_mask(mask: Any, num_rows: int) -> IntArray:
    """Return the rows that a reset mask selects."""
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_:
        raise TypeError(f"options['reset_mask'] must be a boolean numpy array, got {mask!r}")
    if mask.shape != (num_rows,):
        raise ValueError(f"options['reset_mask'] must have shape ({num_rows},), got {mask.shape}")
    if not mask.any():
        raise ValueError("options['reset_mask'] must select at least one row, got none")
    return np.flatnonzero(mask)
