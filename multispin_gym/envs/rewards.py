"""What a round is paid, and the optimum that it can be measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from multispin_gym._validation import FloatArray, check_choice
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import RoundOutcome, compute_round
from multispin_gym.physics.users import Users

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
    homogeneous
        Whether one draft length serves all users: the optimum is then the best common length's.
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
        homogeneous: bool,
        reward: str = "goodput",
        optimum: bool | str = False,
        weights: Sequence[float] | None = None,
    ) -> None:
        self._cell, self._homogeneous = cell, homogeneous
        self._reward = check_choice("reward", reward, REWARDS)
        self._objective = Objective("sum" if reward != "proportional_fair" else reward, weights)
        self._weights = None if weights is None else self._objective.weights_of(num_users)
        self._sum = Objective("sum", weights)
        if isinstance(optimum, (bool, np.bool_)):
            self._optimum = "bound" if optimum or reward == "ratio" else None
        elif isinstance(optimum, str):
            self._optimum = check_choice("optimum", optimum, OPTIMA)
        else:
            raise TypeError(f"optimum must be True, False or one of {', '.join(OPTIMA)}; got {optimum!r}")

    def optimum(self, users: Users) -> FloatArray | None:
        """Largest (weighted) sum of the users' expected token rates that any decision reaches, or a bound on it.

        Parameters
        ----------
        users
            The users. Shape (N, K).

        Returns
        -------
        numpy.ndarray or None
            Token/s, or None where it is not asked for. Shape (N,).
        """
        if self._optimum is None:
            return None
        # Loaded only where somebody asks: environments do without the controllers.
        from multispin_gym.baselines import certify, make_controller, relax

        if self._homogeneous:
            best = make_controller("homogeneous", weights=self._sum.weights)(users, self._cell)
            outcome = compute_round(users, self._cell, best)
            return self._sum.value(outcome.tokens, outcome.latency)
        if self._optimum == "certificate":
            return certify(users, self._cell, objective=self._sum).upper_bound
        return relax(users, self._cell, self._sum).upper_bound

    def reward(self, outcome: RoundOutcome, optimum: FloatArray | None) -> FloatArray:
        """Reward of rounds.

        Parameters
        ----------
        outcome
            What came of the rounds. Shape (N, K).
        optimum
            The rounds' optimum, where it is computed. Shape (N,).

        Returns
        -------
        numpy.ndarray
            Rewards, in an array of their own. Shape (N,).
        """
        if self._reward == "tokens":
            tokens = outcome.tokens if self._weights is None else self._weights * outcome.tokens
            return np.asarray(tokens.sum(axis=-1))
        if self._reward == "goodput" and self._weights is None:
            return outcome.goodput.copy()
        value = self._objective.value(outcome.tokens, outcome.latency)
        return value if self._reward != "ratio" or optimum is None else value / optimum
