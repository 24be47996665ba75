"""What a round is paid, and the optimum that it can be measured against."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from multispin_gym._validation import FloatArray, check_choice
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import RoundOutcome
from multispin_gym.physics.users import Users

if TYPE_CHECKING:
    from multispin_gym.baselines.reference import ActionSet, Reference

REWARDS = ("goodput", "ratio", "tokens", "proportional_fair")
OPTIMA = ("bound", "certificate")


class RewardRule:
    """Rewards of rounds, by name.

    Parameters
    ----------
    cell
        The shared system.
    num_users
        Number of users K.
    action_set
        Of which decisions the optimum is taken; see :class:`multispin_gym.baselines.reference.Reference`.
    reward
        ``"goodput"``: the (weighted) sum of the users' tokens over the latency, token/s; ``"ratio"``: that over the
        round's optimum; ``"tokens"``: the (weighted) sum of the tokens; ``"proportional_fair"``: the (weighted) sum of
        the logarithms of the users' token rates.
    optimum
        What is computed of each round's optimum: nothing where False; ``"bound"``, or True, an upper bound from the
        relaxation; ``"certificate"`` a bound within 1e-6 of the best decision. With the reward ``"ratio"`` at least
        the bound.
    weights
        Weights of the users' tokens, one for each user; all one by default.

    Raises
    ------
    ValueError
        If a name is unknown, or the weights are not one positive number for each user.
    TypeError
        If the optimum is neither a name nor True or False.
    """

    def __init__(
        self,
        cell: Cell,
        num_users: int,
        action_set: ActionSet,
        reward: str = "goodput",
        optimum: bool | str = False,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._cell = cell
        self._reward = check_choice("reward", reward, REWARDS)
        self._objective = Objective("sum" if reward != "proportional_fair" else reward, weights)
        self._weights = None if weights is None else self._objective.weights_of(num_users)
        self._sum = Objective("sum", weights)
        self._reference = _reference(optimum, action_set, needed=reward == "ratio")

    @property
    def has_optimum(self) -> bool:
        """Whether the optimum of rounds is computed."""
        return self._reference is not None

    def goodput(self, outcome: RoundOutcome) -> FloatArray:
        """(Weighted) goodput of rounds, which the optimum is of, token/s. Shapes: ``outcome`` (N, K), result (N,)."""
        return self._sum.value(outcome.tokens, outcome.latency)

    def optimum(self, users: Users) -> FloatArray | None:
        """Largest (weighted) sum of the users' expected token rates that any decision reaches, or a bound on it.

        Shapes: ``users`` (N, K), result (N,).
        """
        return None if self._reference is None else self._reference.goodput(users, self._cell, self._sum)

    def reward(self, outcome: RoundOutcome, optimum: FloatArray | None) -> FloatArray:
        """Reward of rounds. Shapes: ``outcome`` (N, K), ``optimum`` (N,), result (N,)."""
        if self._reward == "tokens":
            tokens = outcome.tokens if self._weights is None else self._weights * outcome.tokens
            return np.asarray(tokens.sum(axis=-1))
        if self._reward == "goodput" and self._weights is None:
            return outcome.goodput.copy()
        value = self._objective.value(outcome.tokens, outcome.latency)
        return value if self._reward != "ratio" or optimum is None else value / optimum


def _reference(optimum: bool | str, action_set: ActionSet, *, needed: bool) -> Reference | None:
    if isinstance(optimum, str):
        check_choice("optimum", optimum, OPTIMA)
    elif not isinstance(optimum, (bool, np.bool_)):
        raise TypeError(f"optimum must be True, False or one of {', '.join(OPTIMA)}; got {optimum!r}")
    elif not (optimum or needed):
        return None
    # Loaded only where somebody asks: making an environment takes half the time without the solvers.
    from multispin_gym.baselines.reference import Reference

    if action_set == "common_length":
        return Reference("homogeneous")
    return Reference("certificate" if optimum == "certificate" else "relaxation")
