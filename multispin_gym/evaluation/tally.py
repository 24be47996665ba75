"""One policy's running sums over the rounds of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.evaluation.open_loop import Block
from multispin_gym.evaluation.results import Alarm, PolicyResult
from multispin_gym.physics.rounds import Decision, RoundOutcome, compute_round, play_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario
from multispin_gym.statistics import jain_index

if TYPE_CHECKING:
    from multispin_gym.evaluation.policies import Agent, Policy

# A bound and a goodput are sums of rounded numbers: an excess below this is rounding, above it an error.
BOUND_TOLERANCE = 1e-9


class Tally:
    """Plays a policy on blocks of rounds and keeps sums per episode: memory does not grow with the rounds.

    Parameters
    ----------
    name
        The policy's name, for errors.
    policy
        A controller or an agent.
    episodes, num_users
        Number of episodes and of users.
    """

    def __init__(self, name: str, policy: Policy, episodes: int, num_users: int) -> None:
        self.name = name
        self.policy = policy
        self._ready: Policy = policy
        self.goodput = np.zeros(episodes)
        self.time = np.zeros(episodes)
        self.tokens = np.zeros((episodes, num_users))
        self.alarm: Alarm | None = None

    def begin(self, mean_users: Users, scenario: Scenario) -> None:
        """Let policies that want to know the law of the rounds to come prepare for the next episodes.

        Parameters
        ----------
        mean_users
            The users of the episodes with their mean channel gains. Shape (episodes, K).
        scenario
            The scenario that they come from.
        """
        prepare = getattr(self.policy, "prepare", None)
        if prepare is not None:
            self._ready = prepare(mean_users, scenario)

    def play(self, block: Block, bound: FloatArray, *, common_length: bool) -> None:
        """Decide on a block's rounds, play them and add up what comes of it.

        Parameters
        ----------
        block
            The rounds.
        bound
            The reference's goodput, token/s. Shape (rounds, episodes).
        common_length
            Whether the bound holds for decisions of one common length only.

        Raises
        ------
        TypeError
            If the policy returns something other than a decision.
        ValueError
            If its decision does not fit the users or the cell.
        """
        decision = self._decide(block)
        try:
            expected = play_round(block.users, block.cell, decision)
        except ValueError as error:
            raise ValueError(f"policy {self.name!r}: {error}") from error
        if expected.goodput.shape != block.users.batch_shape:
            raise ValueError(
                f"policy {self.name!r} decided for a batch of shape {expected.goodput.shape}, "
                f"the rounds have the shape {block.users.batch_shape}"
            )
        self._watch(block, bound, decision, expected.goodput, common_length)
        outcome = expected
        if block.uniforms is not None:
            outcome = compute_round(block.users, block.cell, decision, block.uniforms)
        self._add(block.episodes, outcome)

    def result(self, rounds: int, reference_goodput: FloatArray) -> PolicyResult:
        """Turn the sums into the measures of each episode.

        Parameters
        ----------
        rounds
            Rounds per episode.
        reference_goodput
            Mean over the rounds of the reference's goodput, token/s. Shape (episodes,).

        Returns
        -------
        PolicyResult
            The measures.
        """
        return PolicyResult(
            goodput=self.goodput / rounds,
            ratio_to_optimum=self.goodput / rounds / reference_goodput,
            long_run_goodput=self.tokens.sum(axis=-1) / self.time,
            jain_index=jain_index(self.tokens),
            worst_user_rate=self.tokens.min(axis=-1) / self.time,
            alarm=self.alarm,
        )

    def _decide(self, block: Block) -> Decision:
        if hasattr(self._ready, "act"):
            return self._act(self._ready, block)
        decision = self._ready(block.users, block.cell)
        if not isinstance(decision, Decision):
            raise TypeError(f"policy {self.name!r} must return a Decision, got {type(decision).__name__}")
        return decision

    def _act(self, agent: Agent, block: Block) -> Decision:
        """Ask an agent round by round: it sees what it would see in the environment, in the same batches."""
        rounds = range(block.users.batch_shape[0])
        views = [{key: rows[t] for key, rows in block.observations.items()} for t in rounds]
        try:
            decisions = [block.decode_action(agent.act(view)) for view in views]
        except ValueError as error:
            raise ValueError(f"policy {self.name!r}: {error}") from error
        return Decision.trusted(
            np.stack([decision.draft_lengths for decision in decisions]),
            np.stack([decision.bandwidth_shares for decision in decisions]),
        )

    def _add(self, episodes: slice, outcome: RoundOutcome) -> None:
        self.goodput[episodes] += outcome.goodput.sum(axis=0)
        self.time[episodes] += outcome.latency.sum(axis=0)
        self.tokens[episodes] += outcome.tokens.sum(axis=0)

    def _watch(
        self, block: Block, bound: FloatArray, decision: Decision, goodput: FloatArray, common_length: bool
    ) -> None:
        lengths = np.broadcast_to(decision.draft_lengths, block.users.acceptance_rate.shape)
        bounded = (lengths >= block.cell.min_draft_length).all(axis=-1)
        if common_length:
            bounded &= (lengths == lengths[..., :1]).all(axis=-1)
        excess = np.where(bounded, goodput / bound, 0.0)
        above = int((excess > 1.0 + BOUND_TOLERANCE).sum())
        if not above:
            return
        t, i = np.unravel_index(int(excess.argmax()), excess.shape)
        found = Alarm(
            above, block.episodes.start + int(i), block.start + int(t), float(goodput[t, i]), float(bound[t, i])
        )
        if self.alarm is None:
            self.alarm = found
            return
        worst = max(self.alarm, found, key=lambda alarm: alarm.goodput / alarm.bound)
        self.alarm = Alarm(self.alarm.rounds + above, worst.episode, worst.round, worst.goodput, worst.bound)
