"""Policies played where time passes: the game on its clock, for each policy from the same seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from multispin_gym._arrays import sum_users
from multispin_gym._validation import FloatArray
from multispin_gym.baselines.protocols import Estimating
from multispin_gym.envs.clock.game import ClockGame
from multispin_gym.envs.clock.service import Service
from multispin_gym.envs.game import PlayedRound
from multispin_gym.envs.shared import round_info
from multispin_gym.envs.variants import Variant
from multispin_gym.evaluation.open_loop import groups
from multispin_gym.evaluation.player import Agent, Player
from multispin_gym.evaluation.service.measures import TIMES, ServiceMeasures
from multispin_gym.physics.rounds import Decision
from multispin_gym.scenarios.scenario import Scenario
from multispin_gym.statistics import jain_index

_SUMS = ("returns", "tokens", "drafted", "lost", "finished", "on_time", "expired", "given_up", "refused")


class _Sums:
    """Running sums of some episodes."""

    def __init__(self, num_rows: int, num_users: int, arrives: bool) -> None:
        self.totals: dict[str, FloatArray] = {name: np.zeros(num_rows) for name in _SUMS}
        self.seconds = np.zeros(num_rows)
        self._of_users = np.zeros((num_rows, num_users))
        self._arrives = arrives
        self.times: dict[str, list[list[float]]] = {name: [[] for _ in range(num_rows)] for name in TIMES}
        self._rates: list[list[float]] = [[] for _ in range(num_rows)]

    def add(self, played: PlayedRound, service: Service, under_way: NDArray[np.bool_], time: FloatArray) -> None:
        """Add what came of a round in the episodes that were under way. ``time`` is the clock after it, (N,)."""
        amounts = {
            "returns": played.reward,
            "tokens": sum_users(service.delivered),
            "drafted": sum_users(service.drafted),
            "lost": sum_users(service.lost),
            **{name: getattr(service, name).sum(axis=1) for name in ("finished", "on_time", "given_up")},
            "expired": service.expired,
            "refused": service.refused,
        }
        for name, amount in amounts.items():
            self.totals[name] += np.where(under_way, amount, 0.0)
        self._of_users += np.where(under_way[:, None], service.delivered, 0.0)
        self.seconds = np.where(under_way, time, self.seconds)
        for row, slot in zip(*np.nonzero(service.finished & under_way[:, None]), strict=True):
            first = float(service.time_to_first_token[row, slot])
            each, tokens = float(service.time_per_token[row, slot]), float(service.finished_tokens[row, slot])
            self.times["time_to_first_token"][row].append(first)
            if tokens > 1.0:
                self.times["time_per_token"][row].append(each)
            self._rates[row].append(tokens / (first + each * (tokens - 1.0)))

    def rates(self) -> tuple[FloatArray, FloatArray]:
        """Least token rate and Jain's index of each episode."""
        if not self._arrives:
            return self._of_users.min(axis=1) / self.seconds, jain_index(self._of_users)
        least = [min(rates, default=0.0) for rates in self._rates]
        return np.array(least), np.array([float(jain_index(rates or [0.0])) for rates in self._rates])


def play_service(
    player: Player, variant: Variant, scenario: Scenario, episodes: int, seed: int, *, rounds: int | None = None
) -> ServiceMeasures:
    """Play a policy through all episodes; episode i is seeded with ``seed + i``.

    The scenario's clock says how time passes, and when episodes end unless ``rounds`` are over before.
    """
    parts = []
    for rows, _ in groups(episodes, scenario.num_users):
        assert scenario.clock is not None
        game = ClockGame(variant, scenario, scenario.clock, num_rounds=rounds, num_rows=rows.stop - rows.start)
        parts.append(_play_episodes(player, game, range(seed + rows.start, seed + rows.stop)))
    arrays = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0]) if name != "times"
    }
    times = {name: [values for part in parts for values in part.times[name]] for name in TIMES}
    return ServiceMeasures(**arrays, times=times)


def begin_episodes(player: Player, game: ClockGame, seeds: Sequence[int]) -> dict[str, Any]:
    """Begin an episode in every row of a game, from its seed; return what is known before the first round."""
    for row, seed in enumerate(seeds):
        game.seed(row, seed)
    game.begin(np.arange(len(seeds)))
    player.begin(game.mean_users, game.scenario)
    info = round_info(game.nothing_played())
    player.reset(game.observe(), info)
    return info


def _play_episodes(player: Player, game: ClockGame, seeds: Sequence[int]) -> ServiceMeasures:
    info = begin_episodes(player, game, seeds)
    sums = _Sums(len(seeds), game.num_users, game.arrives)
    ended = np.zeros(len(seeds), dtype=np.bool_)
    while not ended.all():
        played, info = play_round(player, game, info)
        assert played.service is not None
        sums.add(played, played.service, ~ended, game.time)
        ended = ended | game.ended
    worst, jain = sums.rates()
    times = {name: [np.array(values) for values in lists] for name, lists in sums.times.items()}
    return ServiceMeasures(**sums.totals, seconds=sums.seconds, worst_user_rate=worst, jain_index=jain, times=times)


def play_round(player: Player, game: ClockGame, info: dict[str, Any]) -> tuple[PlayedRound, dict[str, Any]]:
    """Let a policy decide a round by what it is to see, play it and move on; return it and what is known of it."""
    if isinstance(player.policy, Agent):
        played = game.play(player.action(game.observe(), game.actions.size))
    else:
        played = game.play_decision(decide(player, game, info))
    game.advance()
    return played, round_info(played)


def decide(player: Player, game: ClockGame, info: dict[str, Any]) -> Decision:
    """Return the decision of a policy that is no agent, by what it is to see, refusing one that does not fit."""
    if isinstance(player.policy, Estimating):
        decision = player.estimate(game.observe(), info)
    else:
        decision = player.decide(game.users, game.cell, {}, game.actions.decode)
    player.expect(game.users, game.cell, decision, admits=game.actions.admits)
    shape = game.users.acceptance_rate.shape
    lengths = np.broadcast_to(decision.draft_lengths, shape)
    shares = np.broadcast_to(decision.bandwidth_shares, shape)
    return Decision.trusted(lengths, shares, decision.cutoff, decision.give_up)
