"""What an evaluation plays, and how: the plan, and the two loops by which policies are played."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import Any, Literal

import numpy as np

from multispin_gym._validation import (
    MOST_EPISODES,
    MOST_ROUNDS,
    MOST_USERS,
    FloatArray,
    check_choice,
    check_integer,
    check_number,
)
from multispin_gym.baselines.reference import Reference
from multispin_gym.envs.variants import Variant, variant_of
from multispin_gym.evaluation.closed_loop import play_policy
from multispin_gym.evaluation.open_loop import Block, play_blocks
from multispin_gym.evaluation.player import Player
from multispin_gym.evaluation.results import PolicyResult
from multispin_gym.evaluation.tally import Tally
from multispin_gym.physics.rounds import Decision, compute_round
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.scenario import Scenario

LOOPS = ("open", "closed")
Progress = Callable[[int, int], Any]


@dataclasses.dataclass(frozen=True)
class Plan:
    """What an evaluation plays, whoever decides.

    Parameters
    ----------
    variant, scenario
        The environment's row, and the scenario with its number of users and of rounds.
    episodes, seed
        Number of episodes; episode i is seeded with ``seed + i``.
    sampled
        Whether tokens are sampled.
    reference
        What ratios are taken to.
    loop
        ``"open"`` or ``"closed"``.
    rounds
        Rounds of an episode, or None where only the time limits it.
    max_time
        Seconds of play after which an episode ends, or None.
    allow_pickle
        Whether the code in files of Stable-Baselines3 may be run.
    """

    variant: Variant
    scenario: Scenario
    episodes: int
    seed: int
    sampled: bool
    reference: Reference
    loop: Literal["open", "closed"]
    rounds: int | None
    max_time: float | None
    allow_pickle: bool = False


def make_plan(
    scenario: str | PathLike[str] | Scenario | None,
    num_users: int | None,
    episodes: int,
    seed: int,
    rounds: int | None,
    sampled: bool,
    env_id: str,
    reference: str | None,
    loop: str | None,
    max_time: float | None,
) -> Plan:
    """Check the arguments of :func:`evaluate` and fill in their defaults."""
    variant = variant_of(env_id)
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(variant.scenario if scenario is None else scenario)
    count = check_integer("num_users", scenario.num_users if num_users is None else num_users, low=1, high=MOST_USERS)
    if rounds is not None:
        rounds = check_integer("rounds", rounds, low=1, high=MOST_ROUNDS)
    if max_time is None:
        rounds = scenario.num_rounds if rounds is None else rounds
    else:
        max_time = check_number("max_time", max_time, low=0.0, low_open=True)
    if variant.clock and reference is not None:
        raise ValueError(f"reference must be left out for {variant.id}: its rounds have none, got {reference!r}")
    possible = variant.exogenous and max_time is None
    loop = check_choice("loop", ("open" if possible else "closed") if loop is None else loop, LOOPS)
    if loop == "open" and not possible:
        why = f"{variant.id}: its draws depend on decisions" if max_time is None else "episodes that end after a time"
        raise ValueError(f"loop must be 'closed' for {why}; got 'open'")
    return Plan(
        variant=variant,
        scenario=dataclasses.replace(
            scenario, num_users=count, num_rounds=scenario.num_rounds if rounds is None else rounds
        ),
        episodes=check_integer("episodes", episodes, low=1, high=MOST_EPISODES),
        seed=check_integer("seed", seed, low=0),
        sampled=bool(sampled),
        reference=Reference.of_actions(variant.action_set, count) if reference is None else Reference(reference),
        loop="open" if loop == "open" else "closed",
        rounds=rounds,
        max_time=max_time,
    )


def play(players: Iterable[Player], plan: Plan, progress: Progress | None = None) -> list[PolicyResult]:
    """Play policies by a plan, together where the loop is open; their measures, in order."""
    players = list(players)
    tallies = [Tally(plan.episodes, plan.scenario.num_users) for _ in players]
    if plan.loop == "open":
        _play_open(players, tallies, plan, progress)
    else:
        for number, (player, tally) in enumerate(zip(players, tallies, strict=True), start=1):
            _play_closed(player, tally, plan)
            if progress is not None:
                progress(number, len(players))
    return [tally.result() for tally in tallies]


def tape(plan: Plan) -> Iterator[Block]:
    """Yield the rounds of an open loop."""
    return play_blocks(plan.variant, plan.scenario, plan.episodes, plan.seed, sampled=plan.sampled)


def _play_open(players: list[Player], tallies: list[Tally], plan: Plan, progress: Progress | None) -> None:
    done, total = 0, plan.episodes * plan.scenario.num_rounds * len(players)
    for block in tape(plan):
        bound = plan.reference.goodput(block.users, block.cell)
        for player, tally in zip(players, tallies, strict=True):
            if block.start == 0:
                player.begin(block.mean_users, plan.scenario)
            play_block(player, tally, block, bound, plan.reference)
            done += bound.size
            if progress is not None:
                progress(done, total)


def play_block(player: Player, tally: Tally, block: Block, bound: FloatArray, reference: Reference) -> None:
    """Let a policy decide on a block's rounds, play them and add up what comes of it."""
    decision = _decide(player, block)
    expected = player.expect(block.users, block.cell, decision)
    outcome = expected
    if block.uniforms is not None:
        outcome = compute_round(block.users, block.cell, decision, block.uniforms)
    tally.add(block, decision, outcome, expected.goodput, bound, reference)


def _decide(player: Player, block: Block) -> Decision:
    """Decide a block: agents round by round, in the batches that they would see in the environment."""
    if not player.sees_rounds_one_by_one:
        return player.decide(block.users, block.cell, block.observations, block.decode_action)
    decisions = []
    for t in range(block.users.batch_shape[0]):
        seen = {key: rows[t] for key, rows in block.observations.items()}
        decisions.append(player.decide(block.users[t], block.cell, seen, block.decode_action))
    return Decision.trusted(
        np.stack([decision.draft_lengths for decision in decisions]),
        np.stack([decision.bandwidth_shares for decision in decisions]),
    )


def _play_closed(player: Player, tally: Tally, plan: Plan) -> None:
    played = play_policy(
        player,
        plan.variant,
        plan.scenario,
        plan.episodes,
        plan.seed,
        sampled=plan.sampled,
        rounds=plan.rounds,
        max_time=plan.max_time,
    )
    for block, decision, outcome, expected in played:
        bound = plan.reference.goodput(block.users, block.cell)
        tally.add(block, decision, outcome, expected, bound, plan.reference)
