"""Closed loop: the game played for each policy, so that what it decides may change what it meets.

Policies meet the same seeds: where draws do not depend on decisions they meet the same rounds, and their measures are
those of the open loop.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.envs.game import Game, PlayedRound
from multispin_gym.envs.observations import Observation
from multispin_gym.envs.variants import Variant
from multispin_gym.evaluation.open_loop import (
    BLOCK_USERS,
    Block,
    decoder,
    groups,
    stack_observations,
    stack_users,
)
from multispin_gym.evaluation.player import Player
from multispin_gym.physics.rounds import Decision, RoundOutcome
from multispin_gym.scenarios.scenario import Scenario

Decode = Callable[[NDArray[Any]], Decision]
# A block of rounds, what was decided in it, what came of it, and the goodput to be expected of the decisions.
Stretch = tuple[Block, Decision, RoundOutcome, FloatArray]


@dataclass(frozen=True, eq=False)
class _Round:
    """A round as it was met and played; which episodes were under way."""

    played: PlayedRound
    observation: Observation
    uniforms: FloatArray | None
    expected: FloatArray
    under_way: NDArray[np.bool_]


def play_policy(
    player: Player,
    variant: Variant,
    scenario: Scenario,
    episodes: int,
    seed: int,
    *,
    sampled: bool,
    rounds: int | None = None,
    max_time: float | None = None,
    block_users: int = BLOCK_USERS,
) -> Iterator[Stretch]:
    """Play a policy through all episodes and yield what it met, decided and got, some rounds at a time.

    Episode i is seeded with ``seed + i``. Episodes that have ended wait for the longest of those played with them;
    ``played`` in the block says which rounds are theirs.
    """
    for rows, length in groups(episodes, scenario.num_users, block_users):
        count = rows.stop - rows.start
        game = Game(variant, scenario, num_rows=count, num_rounds=rounds, max_time=max_time, sampled=sampled)
        for row in range(count):
            game.seed(row, seed + rows.start + row)
        game.begin(np.arange(count))
        player.begin(game.mean_users, scenario)
        decode = decoder(variant, game.cell, game.num_users)
        start, ended = 0, np.zeros(count, dtype=np.bool_)
        while not ended.all():
            rounds_played: list[_Round] = []
            while len(rounds_played) < length and not ended.all():
                rounds_played.append(_play_round(player, game, decode, ~ended))
                ended = ended | game.ended
            yield _stack(game, rounds_played, rows, start, decode)
            start += len(rounds_played)


def _play_round(player: Player, game: Game, decode: Decode, under_way: NDArray[np.bool_]) -> _Round:
    users, seen, uniforms = game.users, game.observe(), game.uniforms
    decision = player.decide(users, game.cell, seen, decode)
    expected = player.expect(users, game.cell, decision).goodput
    shape = users.acceptance_rate.shape
    whole = Decision.trusted(
        np.broadcast_to(decision.draft_lengths, shape), np.broadcast_to(decision.bandwidth_shares, shape)
    )
    played = game.play_decision(whole)
    found = _Round(played, seen, None if uniforms is None else uniforms.copy(), expected, under_way)
    game.advance()
    return found


def _stack(game: Game, rounds: list[_Round], rows: slice, start: int, decode: Decode) -> Stretch:
    """Put rounds behind one another: arrays of shape (rounds, episodes, ...)."""
    outcomes = [found.played.outcome for found in rounds]
    uniforms = [found.uniforms for found in rounds if found.uniforms is not None]
    block = Block(
        cell=game.cell,
        users=stack_users([found.played.users for found in rounds]),
        observations=stack_observations([found.observation for found in rounds]),
        uniforms=np.stack(uniforms) if uniforms else None,
        decode_action=decode,
        episodes=rows,
        start=start,
        mean_users=game.mean_users,
        played=np.stack([found.under_way for found in rounds]),
    )
    decision = Decision.trusted(
        np.stack([found.played.decision.draft_lengths for found in rounds]),
        np.stack([found.played.decision.bandwidth_shares for found in rounds]),
    )
    outcome = RoundOutcome(**{n: np.stack([getattr(found, n) for found in outcomes]) for n in vars(outcomes[0])})
    return block, decision, outcome, np.stack([found.expected for found in rounds])
