"""Decision processes with few states whose steps last: the best long-run rate, and that of rules.

Where a policy is in state s, its action a gains so much, takes so long and leads to the next state by chances of its
own, all of them known. The best rate in the long run is found by policy iteration.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
_MOST_STEPS = 1000


class SemiMarkov(ABC):
    """The process. A policy is an action for each state, (S,)."""

    @property
    @abstractmethod
    def gained(self) -> FloatArray:
        """What is gained on average. Shape (S, A)."""

    @property
    @abstractmethod
    def lasting(self) -> FloatArray:
        """How long it takes on average, s. Shape (S, A), or (A,) where that does not depend on the state."""

    @abstractmethod
    def moves(self, policy: IntArray) -> FloatArray:
        """Chances of the next states under a policy. Shape (S, S)."""

    @abstractmethod
    def ahead(self, worth: FloatArray) -> FloatArray:
        """Expected worth of the next state, for every state and action, (S, A), of what states are worth, (S,)."""

    def taken(self, policy: IntArray) -> tuple[FloatArray, FloatArray]:
        """What a policy gains, and how long it takes, in each state. Shape (S,) each."""
        each = np.arange(len(policy))
        return self.gained[each, policy], np.broadcast_to(self.lasting, self.gained.shape)[each, policy]

    def visits(self, policy: IntArray) -> FloatArray:
        """Share of the steps that begin in each state. Shape (S,)."""
        moves = self.moves(policy)
        size = len(moves)
        equations = np.concatenate([moves.T - np.eye(size), np.ones((1, size))])
        return np.linalg.lstsq(equations, np.append(np.zeros(size), 1.0), rcond=None)[0]

    def rate(self, policy: IntArray) -> float:
        """What is gained per second in the long run."""
        (gained, seconds), visits = self.taken(policy), self.visits(policy)
        return float(visits @ gained / (visits @ seconds))

    def best(self) -> tuple[IntArray, float]:
        """The best policy and its rate, by policy iteration.

        With the rate g of a policy and the worth h of its states, ``h = r - g T + P h``, the next policy takes the
        action with the largest right side in every state, until none is better.
        """
        gained = self.gained
        size = len(gained)
        policy = np.zeros(size, np.int64)
        for _ in range(_MOST_STEPS):
            earned, seconds = self.taken(policy)
            # The worth of the first state is zero, and its place is the rate's.
            equations = np.eye(size) - self.moves(policy)
            equations[:, 0] = seconds
            worth = np.linalg.solve(equations, earned)
            rate, worth[0] = worth[0], 0.0
            value = gained - rate * self.lasting + self.ahead(worth)
            better = value.argmax(axis=1)
            now = value[np.arange(size), policy]
            better = np.where(value.max(axis=1) > now + 1e-10, better, policy)
            if (better == policy).all():
                return policy, float(rate)
            policy = better
        raise RuntimeError(f"policy iteration did not end within {_MOST_STEPS} steps")
