"""The rounds that all policies of an evaluation share: users, observations and acceptance draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.envs.actions import ActionCodec
from multispin_gym.envs.observations import Observation
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.episodes import CellStreams
from multispin_gym.scenarios.scenario import Scenario

HETEROGENEOUS_ID = "multispin_gym/MultiSpin-v0"
HOMOGENEOUS_ID = "multispin_gym/MultiSpinHomogeneous-v0"
ENV_IDS = (HETEROGENEOUS_ID, HOMOGENEOUS_ID)
# Users x rounds x episodes held at once; a controller that tries all draft lengths needs some hundred bytes for each.
BLOCK_USERS = 2**14
# The streams hold up to 65 rounds of each episode besides.
MAX_EPISODES = 256


@dataclass(frozen=True, eq=False)
class Block:
    """Consecutive rounds of some of the episodes.

    Parameters
    ----------
    cell
        The shared system.
    users
        The users of each round. Shape (rounds, episodes, K).
    observations
        What an agent sees of them, float32. Each of shape (rounds, episodes, K).
    uniforms
        Uniform draws that decide which drafts are accepted, or None where tokens are expectations. Same shape.
    decode_action
        The environment's map from a batch of actions to a decision.
    episodes
        Which episodes these are.
    start
        Number of the first of these rounds in its episode.
    mean_users
        The users of the episodes with their mean channel gains, for policies that prepare for them. Of shape
        (episodes, K).
    """

    cell: Cell
    users: Users
    observations: dict[str, NDArray[np.float32]]
    uniforms: FloatArray | None
    decode_action: Callable[[NDArray[Any]], Decision]
    episodes: slice
    start: int
    mean_users: Users


def play_blocks(
    scenario: Scenario, env_id: str, episodes: int, seed: int, *, sampled: bool, block_users: int = BLOCK_USERS
) -> Iterator[Block]:
    """Yield the rounds of all episodes, exactly as the environment would play them.

    Parameters
    ----------
    scenario
        The scenario, with its number of users and of rounds.
    env_id
        The environment, whose actions are decoded.
    episodes
        Number of episodes.
    seed
        Episode i is seeded with ``seed + i``, as row i of the vector environment is.
    sampled
        Whether acceptance draws are needed.
    block_users
        Bound on users x rounds x episodes in a block; a block has at least one round of one episode.

    Yields
    ------
    Block
        Blocks of consecutive rounds: all of the first episodes, then of the next. They do not share memory.
    """
    num_users, num_rounds = scenario.num_users, scenario.num_rounds
    codecs = [ActionCodec(scenario.cell, num_users, homogeneous=common) for common in (False, True)]
    if env_id == HOMOGENEOUS_ID:
        codecs.reverse()
    step = min(episodes, MAX_EPISODES, max(1, block_users // num_users))
    for first in range(0, episodes, step):
        count = min(step, episodes - first)
        streams = CellStreams(scenario, num_users, count, num_rounds, sampled)
        for row in range(count):
            streams.seed(row, seed + first + row)
        streams.begin(np.arange(count))
        length = max(1, block_users // (count * num_users))
        for start in range(0, num_rounds, length):
            views = [_view(streams, advance=start + i > 0) for i in range(min(length, num_rounds - start))]
            users, observations, uniforms = zip(*views, strict=True)
            yield Block(
                cell=scenario.cell,
                users=_stack_users(users),
                observations={key: np.stack([seen[key] for seen in observations]) for key in observations[0]},
                uniforms=np.stack(uniforms) if sampled else None,
                decode_action=partial(_decode, codecs),
                episodes=slice(first, first + count),
                start=start,
                mean_users=streams.mean_users,
            )


def _view(streams: CellStreams, *, advance: bool) -> tuple[Users, Observation, FloatArray | None]:
    if advance:
        streams.advance()
    uniforms = streams.uniforms
    return streams.users, streams.observe(), None if uniforms is None else uniforms.copy()


def _stack_users(rounds: Sequence[Users]) -> Users:
    names = ("acceptance_rate", "drafting_speed", "channel_gain", "transmit_power")
    return Users.trusted(**{name: np.stack([getattr(users, name) for users in rounds]) for name in names})


def _decode(codecs: Sequence[ActionCodec], action: ArrayLike) -> Decision:
    """Decode by the action's width: an agent from either environment can be played in the other."""
    width = np.shape(action)[-1:]
    fitting = [codec for codec in codecs if width == (codec.size,)]
    return (fitting or codecs)[0].decode(action)
