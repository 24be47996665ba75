"""The least of ``constant @ prices + sum_k max_choice (base + prices @ terms)`` over prices, by cutting planes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import linprog

from multispin_gym._validation import FloatArray, IntArray

_CUTS = 25
# HiGHS may end without a result where its first steps have simplified a programme; another way then does it.
_WAYS: tuple[tuple[Literal["highs-ds", "highs-ipm"], bool], ...] = (
    ("highs-ds", False),
    ("highs-ipm", True),
    ("highs-ds", True),
)


@dataclass(frozen=True, eq=False)
class SeparableDual:
    """A convex, piecewise linear function of prices that bounds a programme from above at whatever prices.

    Parameters
    ----------
    base
        What choices of each user are worth beside what is priced. Shape (K, choices).
    terms
        What prices count for in the choices of a user. Shape (K, own prices, choices).
    columns
        Which prices these are. Shape (K, own prices).
    constant
        What each price costs or brings by itself. Shape (prices,).
    groups
        Prices of one group add up to one; those of no group, which is 0, lie in [0, most]. Shape (prices,).
    most
        The largest price of no group.
    """

    base: FloatArray
    terms: FloatArray
    columns: IntArray
    constant: FloatArray
    groups: IntArray
    most: float

    def value(self, prices: FloatArray) -> tuple[float, IntArray]:
        """The function, and the best choice of each user. Shapes (prices,) and (K,)."""
        total, best = float(self.constant @ prices), np.zeros(len(self.base), np.int64)
        for user, (base, terms, own) in enumerate(zip(self.base, self.terms, self.columns, strict=True)):
            worth = base.copy()
            # Most prices are zero, and memory is what takes the time.
            for row in np.flatnonzero(prices[own]):
                worth += prices[own[row]] * terms[row]
            best[user] = worth.argmax()
            total += float(worth[best[user]])
        return total, best

    def least(self, cuts: list[set[int]], enough: float, precision: float) -> tuple[float, list[dict[int, float]]]:
        """Lower the function until it is at most ``enough``, or its least value to a precision.

        ``cuts`` has choices of each user to begin with, and gets those that were best on the way.

        Returns the least value found, and weights of each user's choices where the function is least.
        """
        found = np.inf
        for _ in range(_CUTS):
            prices, least, mixture = self._least_of(cuts)
            value, best = self.value(prices)
            found = min(found, value)
            if found <= enough or found - least <= precision:
                break
            for user, choice in zip(cuts, best.tolist(), strict=True):
                user.add(choice)
        return found, mixture

    def _least_of(self, cuts: list[set[int]]) -> tuple[FloatArray, float, list[dict[int, float]]]:
        """The least of the function with some choices only: prices, the value and weights of choices."""
        users, count = len(cuts), self.constant.size
        owner = np.repeat(np.arange(users), [len(user) for user in cuts])
        choice = np.array([chosen for user in cuts for chosen in sorted(user)])
        rows = np.zeros((owner.size, count + users))
        rows[np.arange(owner.size)[:, None], self.columns[owner]] = self.terms[owner, :, choice]
        rows[np.arange(owner.size), count + owner] = -1.0
        labels = np.arange(1, self.groups.max() + 1)
        together = np.concatenate([self.groups == labels[:, None], np.zeros((labels.size, users))], axis=1)
        limits: list[tuple[float | None, float | None]] = [(0.0, self.most)] * count + [(None, None)] * users
        programme = {"A_ub": rows, "b_ub": -self.base[owner, choice], "A_eq": together, "b_eq": np.ones(labels.size)}
        costs = np.concatenate([self.constant, np.ones(users)])
        for method, presolve in _WAYS:
            found = linprog(costs, **programme, bounds=limits, method=method, options={"presolve": presolve})
            if found.x is not None:
                break
        assert found.x is not None
        assert found.fun is not None
        weights = np.maximum(-found.ineqlin.marginals, 0.0)
        mixture: list[dict[int, float]] = [{} for _ in cuts]
        for user, chosen, weight in zip(owner.tolist(), choice.tolist(), weights.tolist(), strict=True):
            if weight > 1e-9:
                mixture[user][chosen] = weight
        prices = np.maximum(found.x[:count], 0.0)
        for label in labels:
            prices[self.groups == label] /= prices[self.groups == label].sum()
        return prices, float(found.fun), mixture
