"""A small cell whose requests are replaced at once, as a decision process that is solved exactly.

Each of K places holds a request of a kind with a known acceptance rate. A request ends with each of its tokens with the
same chance, and one of a kind drawn anew takes its place in the next round; channels and speeds do not change. So the
kinds are all that a round need know, and the best long-run goodput is that of a finite semi-Markov decision process:
states are the kinds of all places, actions their draft lengths, bandwidth is split so that all finish together.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from _semi_markov import FloatArray, IntArray, SemiMarkov

from multispin_gym import Cell, Users, play_round
from multispin_gym.baselines.estimators.equal_finish import finishing_together


def place_law(rates: FloatArray, longest: int, ending: float) -> tuple[FloatArray, FloatArray]:
    """What a round gives to a request, by its kind and draft length.

    Shapes: ``rates`` (kinds,); results (kinds, longest + 1): tokens of the draft, and tokens that the request still
    wants of them. ``ending`` is the chance of an end with each token.
    """
    survival = rates[:, None] ** np.arange(longest + 1)
    stays = (1.0 - ending) ** np.arange(longest + 1)
    # The i-th token comes if i - 1 drafts are accepted, and is wanted if the request did not end before it.
    return np.cumsum(survival, axis=1), np.cumsum(survival * stays, axis=1)


@dataclass(frozen=True, eq=False)
class ClosedCell(SemiMarkov):
    """The decision process.

    Parameters
    ----------
    states
        Kinds of the places. Shape (S, K).
    actions
        Draft lengths. Shape (A, K).
    tokens, delivered
        Expected tokens of each place, and those that its request wants. Shape (S, A, K).
    seconds
        Duration of a round. Shape (A,).
    ends
        Chance that the request of a place ends in a round, by its kind and draft length. Shape (kinds, lengths).
    chances
        Chances of a new request's kinds. Shape (kinds,).
    """

    states: IntArray
    actions: IntArray
    tokens: FloatArray
    delivered: FloatArray
    seconds: FloatArray
    ends: FloatArray
    chances: FloatArray

    @classmethod
    def of(
        cls,
        users: Users,
        cell: Cell,
        rates: Sequence[float],
        chances: Sequence[float],
        mean_length: float,
        longest: int,
    ) -> ClosedCell:
        """Build the process of one cell, users of shape (K,), whose own acceptance rates play no part."""
        number = users.num_users
        states = np.array(list(itertools.product(range(len(rates)), repeat=number)))
        actions = np.array(list(itertools.product(range(longest + 1), repeat=number)))
        one = Users(**{name: getattr(users, name)[None] for name in Users.FIELDS})
        seconds = play_round(one, cell, finishing_together(one, cell, actions[:, None])).latency[:, 0]
        tokens, wanted = place_law(np.array(rates), longest, 1.0 / mean_length)
        held = states[:, None]
        return cls(
            states,
            actions,
            tokens[held, actions],
            wanted[held, actions],
            seconds,
            wanted / mean_length,
            np.array(chances),
        )

    @property
    def gained(self) -> FloatArray:
        """Tokens that requests want. Shape (S, A)."""
        return self.delivered.sum(axis=2)

    @property
    def lasting(self) -> FloatArray:
        """Duration of a round, s. Shape (A,)."""
        return self.seconds

    def moves(self, policy: IntArray) -> FloatArray:
        """Chances of the next states under a policy. Shape (S, S).

        Given state and action, places change independently of each other.
        """
        ends = self.ends[self.states, self.actions[policy]]
        moves = np.ones((len(self.states), len(self.states)))
        for kinds, end in zip(self.states.T, ends.T, strict=True):
            moves *= (1.0 - end[:, None]) * (kinds[:, None] == kinds) + end[:, None] * self.chances[kinds]
        return moves

    def ahead(self, worth: FloatArray) -> FloatArray:
        """Expected worth of the next state, for every state and action, (S, A), of what states are worth, (S,)."""
        places, kinds = self.states.shape[1], len(self.chances)
        value = worth.reshape((kinds,) * places)
        for _ in range(places):
            # The first axis is that of the next place; its kind and draft length become the last two.
            stays = np.moveaxis(value, 0, -1)
            new = stays @ self.chances
            value = (1.0 - self.ends) * stays[..., None] + self.ends * new[..., None, None]
        order = (*range(0, 2 * places, 2), *range(1, 2 * places, 2))
        return value.transpose(order).reshape(len(self.states), -1)

    def greedy(self) -> IntArray:
        """Most expected tokens a second in each round, rates known."""
        return np.asarray((self.tokens.sum(axis=2) / self.seconds).argmax(axis=1))

    def fair(self) -> IntArray:
        """Largest ``sum log N_k - K log T`` in each round, rates known."""
        number = self.states.shape[1]
        return np.asarray((np.log(self.tokens).sum(axis=2) - number * np.log(self.seconds)).argmax(axis=1))

    def by_mean(self, rates: Sequence[float], chances: Sequence[float]) -> IntArray:
        """Most tokens a second as if everybody had the mean rate: the same lengths in every state."""
        mean = float(np.dot(rates, chances))
        survival = np.append(1.0, mean ** np.arange(1, self.actions.max() + 1))
        tokens = np.cumsum(survival)[self.actions].sum(axis=1)
        return np.full(len(self.states), (tokens / self.seconds).argmax())

    def seconds_by_kind(self, policy: IntArray) -> FloatArray:
        """Seconds that a token of each kind takes in the long run. Shape (kinds,)."""
        delivered, seconds = self.delivered[np.arange(len(policy)), policy], self.seconds[policy]
        visits = self.visits(policy)
        kinds = np.arange(self.states.max() + 1)
        held = (self.states[..., None] == kinds) * visits[:, None, None]
        spent = (held * seconds[:, None, None]).sum(axis=(0, 1))
        return np.asarray(spent / (held * delivered[..., None]).sum(axis=(0, 1)))

    def fluid(self, factor: float = 1.0, steps: int = 60) -> IntArray:
        """Largest ``sum_k v_k N_k - eta T``, with v the seconds per token of the kinds under this rule itself.

        The fixed point is approached by half steps from proportional fairness; of the policies on the way, and so where
        they go round in a circle, the one is taken whose seconds are nearest to those that it was made with.
        """
        policy = self.fair()
        each = self.seconds_by_kind(policy)
        nearest, found = np.inf, policy
        for _ in range(steps):
            value = (each[self.states][:, None] * self.tokens).sum(axis=2)
            policy = (value - factor * self.states.shape[1] * self.seconds).argmax(axis=1)
            now = self.seconds_by_kind(policy)
            distance = float(np.abs(np.log(now / each)).max())
            if distance < nearest:
                nearest, found = distance, policy
            each = np.sqrt(each * now)
        return np.asarray(found)


def rules(process: ClosedCell, rates: Sequence[float], chances: Sequence[float]) -> dict[str, Any]:
    """Goodput of the best policy, and what part of it each rule has."""
    best = process.best()[1]
    chosen = {
        "round, means": process.by_mean(rates, chances),
        "round, truth": process.greedy(),
        "fair, truth": process.fair(),
        "fluid, truth": process.fluid(),
    }
    return {"goodput": best, "parts": {name: process.rate(policy) / best for name, policy in chosen.items()}}
