"""One policy's running sums over the rounds of an evaluation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.reference import Reference
from multispin_gym.evaluation.open_loop import Block
from multispin_gym.evaluation.results import Alarm, PolicyResult
from multispin_gym.physics.rounds import Decision, RoundOutcome
from multispin_gym.statistics import jain_index

# A bound and a goodput are sums of rounded numbers: an excess below this is rounding, above it an error.
BOUND_TOLERANCE = 1e-9


class Tally:
    """Sums of what a policy gets, per episode: memory does not grow with the rounds.

    Parameters
    ----------
    episodes, num_users
        Number of episodes and of users.
    """

    def __init__(self, episodes: int, num_users: int) -> None:
        self.rounds = np.zeros(episodes, dtype=np.int64)
        self.goodput = np.zeros(episodes)
        self.reference = np.zeros(episodes)
        self.time = np.zeros(episodes)
        self.tokens = np.zeros((episodes, num_users))
        self.alarm: Alarm | None = None

    def add(
        self,
        block: Block,
        decision: Decision,
        outcome: RoundOutcome,
        expected: FloatArray,
        bound: FloatArray,
        reference: Reference,
    ) -> None:
        """Add up what came of a block's rounds, and watch that no bound is passed.

        ``expected`` and ``bound`` are the expected goodput of the decision and the reference's goodput, token/s. Both
        have the shape (rounds, episodes).
        """
        self._watch(block, decision, expected, bound, reference)
        rows, played = block.episodes, block.played
        self.rounds[rows] += len(bound) if played is None else played.sum(axis=0)
        self.goodput[rows] += _total(outcome.goodput, played)
        self.reference[rows] += _total(bound, played)
        self.time[rows] += _total(outcome.latency, played)
        self.tokens[rows] += _total(outcome.tokens, None if played is None else played[..., None])

    def result(self) -> PolicyResult:
        """Turn the sums into the measures of each episode."""
        goodput, reference = self.goodput / self.rounds, self.reference / self.rounds
        return PolicyResult(
            goodput=goodput,
            ratio_to_optimum=goodput / reference,
            long_run_goodput=self.tokens.sum(axis=-1) / self.time,
            jain_index=jain_index(self.tokens),
            worst_user_rate=self.tokens.min(axis=-1) / self.time,
            reference_goodput=reference,
            alarm=self.alarm,
        )

    def _watch(
        self, block: Block, decision: Decision, expected: FloatArray, bound: FloatArray, reference: Reference
    ) -> None:
        lengths = np.broadcast_to(decision.draft_lengths, block.users.acceptance_rate.shape)
        bounded = reference.bounds(lengths, block.cell, block.users.present)
        if block.played is not None:
            bounded &= block.played
        excess = np.where(bounded, expected / bound, 0.0)
        above = int((excess > 1.0 + BOUND_TOLERANCE).sum())
        if not above:
            return
        t, i = np.unravel_index(int(excess.argmax()), excess.shape)
        found = Alarm(
            above, block.episodes.start + int(i), block.start + int(t), float(expected[t, i]), float(bound[t, i])
        )
        if self.alarm is None:
            self.alarm = found
            return
        worst = max(self.alarm, found, key=lambda alarm: alarm.goodput / alarm.bound)
        self.alarm = Alarm(self.alarm.rounds + above, worst.episode, worst.round, worst.goodput, worst.bound)


def _total(values: FloatArray, played: NDArray[np.bool_] | None) -> FloatArray:
    return np.asarray((values if played is None else np.where(played, values, 0.0)).sum(axis=0))
