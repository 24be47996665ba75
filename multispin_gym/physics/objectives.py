"""What is maximised: the sum of the users' token rates, weighted or not, or proportional fairness.

An objective makes one number of the users' tokens, their *total*: the weighted sum, or the weighted geometric mean.
Both are concave, never fall in any user's tokens and double when all tokens double. So ``total / latency`` is what is
maximised, whatever the objective, and at any tokens there is a weighted sum that touches the total and lies nowhere
below it. All of an objective's mathematics stands in its :class:`Total`; the solvers of ``multispin_gym.baselines`` ask
for nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from multispin_gym._validation import LARGEST, SMALLEST, FloatArray, IntArray, check_array, check_choice, shown


class Total(Protocol):
    """How one number comes of the users' tokens. Shapes: weights and tokens (..., K), latency and results (...,)."""

    linear: bool
    """Whether the total is a weighted sum itself."""

    def importance(self, weights: FloatArray) -> FloatArray:
        """The users' weights on the scale on which :meth:`of` takes them. Shape (..., K)."""

    def of(self, tokens: FloatArray, importance: FloatArray) -> FloatArray:
        """The total of some tokens."""

    def tangent(self, tokens: FloatArray, importance: FloatArray) -> FloatArray:
        """Weights of the weighted sum that equals the total at these tokens and is nowhere below it.

        They broadcast to shape (..., K).
        """

    def value(self, tokens: FloatArray, latency: FloatArray, weights: FloatArray) -> FloatArray:
        """Value of a round: the total of the token rates, on the scale on which the objective is reported."""


class WeightedSum:
    """``sum_k w_k N_k``."""

    linear = True

    def importance(self, weights: FloatArray) -> FloatArray:
        """The weights as they are."""
        return weights

    def of(self, tokens: FloatArray, importance: FloatArray) -> FloatArray:
        """The weighted sum of the tokens."""
        return np.asarray((importance * tokens).sum(axis=-1))

    def tangent(self, tokens: FloatArray, importance: FloatArray) -> FloatArray:
        """The weights themselves, at any tokens."""
        return importance

    def value(self, tokens: FloatArray, latency: FloatArray, weights: FloatArray) -> FloatArray:
        """Token/s."""
        return np.asarray(self.of(tokens, weights) / latency)


class GeometricMean:
    """``prod_k N_k**u_k`` with ``u_k = w_k / sum w``; it has the same maximiser as ``sum_k w_k ln(N_k / T)``."""

    linear = False

    def importance(self, weights: FloatArray) -> FloatArray:
        """The weights over their sum."""
        return np.asarray(weights / weights.sum(axis=-1, keepdims=True))

    def of(self, tokens: FloatArray, importance: FloatArray) -> FloatArray:
        """The weighted geometric mean of the tokens."""
        return np.asarray(np.exp((importance * np.log(tokens)).sum(axis=-1)))

    def tangent(self, tokens: FloatArray, importance: FloatArray) -> FloatArray:
        """``u_k`` times the mean over ``N_k``: the mean's gradient, which is all of it as the mean has degree one."""
        return np.asarray(importance * self.of(tokens, importance)[..., None] / tokens)

    def value(self, tokens: FloatArray, latency: FloatArray, weights: FloatArray) -> FloatArray:
        """The weighted sum of the logarithms of token/s."""
        with np.errstate(divide="ignore"):
            return np.asarray((weights * np.log(tokens / latency[..., None])).sum(axis=-1))


TOTALS: Mapping[str, Total] = MappingProxyType({"sum": WeightedSum(), "proportional_fair": GeometricMean()})
"""The total of each objective, by the objective's name."""
OBJECTIVES = tuple(TOTALS)


@dataclass(frozen=True)
class Objective:
    """An objective over the users' token rates ``N_k / T``.

    Parameters
    ----------
    name
        ``"sum"``: ``sum_k w_k N_k / T``, the sum token goodput where all weights are one;
        ``"proportional_fair"``: ``sum_k w_k ln(N_k / T)``, proportional fairness as in GoodSpeed (arXiv 2512.09963).
    weights
        Weights w in [1e-50, 1e50], one for each user; all one by default.

    Raises
    ------
    ValueError
        If the name is unknown or a weight is not positive.

    Examples
    --------
    >>> import numpy as np
    >>> Objective().value(np.array([3.0, 1.0]), np.array(0.1)).item()
    40.0
    >>> round(Objective("proportional_fair").value(np.array([3.0, 1.0]), np.array(0.1)).item(), 4)
    5.7038
    """

    name: str = "sum"
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        check_choice("objective", self.name, OBJECTIVES)
        if self.weights is not None:
            weights = check_array("weights", self.weights, low=SMALLEST, high=LARGEST)
            if weights.ndim != 1:
                raise ValueError(f"weights must be a list with one weight for each user, got {shown(self.weights)}")
            object.__setattr__(self, "weights", tuple(weights.tolist()))

    @property
    def total(self) -> Total:
        """What the objective makes of the users' tokens."""
        return TOTALS[self.name]

    def weights_of(self, num_users: int) -> FloatArray:
        """Weights of the users of a cell.

        Parameters
        ----------
        num_users
            Number of users K.

        Returns
        -------
        numpy.ndarray
            Weights. Shape (K,), or of what :meth:`for_cells` and :meth:`of_users` returned (M, K).

        Raises
        ------
        ValueError
            If the objective has weights for another number of users.
        """
        if self.weights is None:
            return np.ones(num_users)
        weights = np.array(self.weights)
        if weights.shape[-1] != num_users:
            raise ValueError(f"weights must have one entry for each of the {num_users} users, got {weights.shape[-1]}")
        return weights

    @classmethod
    def for_cells(cls, name: str, weights: ArrayLike) -> Objective:
        """Return an objective whose weights differ from cell to cell of a batch.

        Parameters
        ----------
        name
            As for the class.
        weights
            Weights w in [1e-50, 1e50]. Shape (N, K), for batches of N cells.

        Returns
        -------
        Objective
            The objective.

        Raises
        ------
        ValueError
            If the name is unknown, a weight is not positive, or the shape is another.
        """
        values = check_array("weights", weights, low=SMALLEST, high=LARGEST)
        if values.ndim != 2:
            raise ValueError(f"weights must have shape (cells, users), got {values.shape}")
        return cls(name)._with(values)

    def _with(self, weights: FloatArray) -> Objective:
        other = object.__new__(Objective)
        other.__dict__.update(name=self.name, weights=weights)
        return other

    def of_users(self, cells: IntArray, chosen: IntArray, num_users: int) -> Objective:
        """Return the same objective over some users of some cells of a batch.

        Parameters
        ----------
        cells
            The cells. Shape (M,).
        chosen
            The places of the users who are chosen in each. Shape (M, m).
        num_users
            Number of users K of each cell.

        Returns
        -------
        Objective
            An objective for M cells of m users each; this one where all weights are one.

        Raises
        ------
        ValueError
            If the objective has weights for another number of users.
        """
        if self.weights is None:
            return self
        weights = self.weights_of(num_users)
        return self._with(weights[chosen] if weights.ndim == 1 else weights[cells[:, None], chosen])

    def value(self, tokens: FloatArray, latency: FloatArray) -> FloatArray:
        """Value of a round.

        Parameters
        ----------
        tokens
            Tokens each user gains, at least one each. Shape (..., K).
        latency
            Latency of the round, s. Shape (...,).

        Returns
        -------
        numpy.ndarray
            Token/s for the sum; for proportional fairness the sum of logarithms of token/s, minus infinity where the
            round never ends. Shape (...,).
        """
        return self.total.value(tokens, latency, self.weights_of(tokens.shape[-1]))
