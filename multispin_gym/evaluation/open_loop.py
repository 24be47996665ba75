"""Open loop: one tape of rounds that all policies decide on, for variants whose draws no decision changes."""

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
from multispin_gym.envs.variants import VARIANTS, Variant
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.episodes import CellStreams
from multispin_gym.scenarios.scenario import Scenario

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
    played
        Which rounds belong to their episode and not to the time after its end; None: all. Shape (rounds, episodes).
    """

    cell: Cell
    users: Users
    observations: dict[str, NDArray[np.float32]]
    uniforms: FloatArray | None
    decode_action: Callable[[NDArray[Any]], Decision]
    episodes: slice
    start: int
    mean_users: Users
    played: NDArray[np.bool_] | None = None


def groups(episodes: int, num_users: int, block_users: int = BLOCK_USERS) -> Iterator[tuple[slice, int]]:
    """Yield the episodes that are held at once, and the number of rounds in a block of theirs, at least one."""
    step = min(episodes, MAX_EPISODES, max(1, block_users // num_users))
    for first in range(0, episodes, step):
        count = min(step, episodes - first)
        yield slice(first, first + count), max(1, block_users // (count * num_users))


def play_blocks(
    variant: Variant,
    scenario: Scenario,
    episodes: int,
    seed: int,
    *,
    sampled: bool,
    block_users: int = BLOCK_USERS,
) -> Iterator[Block]:
    """Yield the rounds of all episodes, exactly as the environment would play them.

    Episode i is seeded with ``seed + i``, as row i of the vector environment is. Blocks hold consecutive rounds, all of
    the first episodes, then of the next, at most ``block_users`` users x rounds x episodes; they do not share memory.
    """
    num_users, num_rounds, cell = scenario.num_users, scenario.num_rounds, variant.cell(scenario)
    observations, decode = variant.observations(scenario, num_users), decoder(variant, cell, num_users)
    for rows, length in groups(episodes, num_users, block_users):
        count = rows.stop - rows.start
        streams = CellStreams(scenario, num_users, count, num_rounds, sampled)
        for row in range(count):
            streams.seed(row, seed + rows.start + row)
        streams.begin(np.arange(count))
        for start in range(0, num_rounds, length):
            users, seen, uniforms = [], [], []
            for number in range(start, min(start + length, num_rounds)):
                if number:
                    streams.advance()
                users.append(streams.users)
                seen.append(observations.encode(users[-1], streams.gain_db))
                uniforms.append(None if streams.uniforms is None else streams.uniforms.copy())
            yield Block(
                cell=cell,
                users=stack_users(users),
                observations=stack_observations(seen),
                uniforms=np.stack(uniforms) if sampled else None,  # type: ignore[arg-type]
                decode_action=decode,
                episodes=rows,
                start=start,
                mean_users=streams.mean_users,
            )


def stack_users(rounds: Sequence[Users]) -> Users:
    """Put the users of several rounds, (N, K) each, behind one another: (rounds, N, K)."""
    return Users.trusted(**{name: np.stack([getattr(users, name) for users in rounds]) for name in rounds[0].fields})


def stack_observations(rounds: Sequence[Observation]) -> Observation:
    """Put the observations of several rounds behind one another."""
    return {key: np.stack([seen[key] for seen in rounds]) for key in rounds[0]}


def decoder(variant: Variant, cell: Cell, num_users: int) -> Callable[[NDArray[Any]], Decision]:
    """Return the map from a batch of actions to a decision: the variant's own, or by its width that of another.

    So an agent from one environment can be played in another.
    """
    rows = [variant, *(row for row in VARIANTS.values() if row.id != variant.id)]
    return partial(_decode, [row.actions(cell, num_users) for row in rows])


def _decode(codecs: Sequence[ActionCodec], action: ArrayLike) -> Decision:
    width = np.shape(action)[-1:]
    fitting = [codec for codec in codecs if width == (codec.size,)]
    return (fitting or codecs)[0].decode(action)
