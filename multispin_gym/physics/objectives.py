"""What is maximised: the sum of the users' token rates, weighted or not, or proportional fairness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from multispin_gym._validation import FloatArray, check_array, check_choice

OBJECTIVES = ("sum", "proportional_fair")


@dataclass(frozen=True)
class Objective:
    """An objective over the users' token rates ``N_k / T``.

    Parameters
    ----------
    name
        ``"sum"``: ``sum_k w_k N_k / T``, the sum token goodput where all weights are one;
        ``"proportional_fair"``: ``sum_k w_k ln(N_k / T)``, proportional fairness as in GoodSpeed (arXiv 2512.09963).
    weights
        Positive weights w, one for each user; all one by default.

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
            weights = check_array("weights", self.weights, low=0.0, low_open=True)
            if weights.ndim != 1:
                raise ValueError(f"weights must be a list with one weight for each user, got {self.weights!r}")
            object.__setattr__(self, "weights", tuple(weights.tolist()))

    def weights_of(self, num_users: int) -> FloatArray:
        """Weights of the users of a cell.

        Parameters
        ----------
        num_users
            Number of users K.

        Returns
        -------
        numpy.ndarray
            Weights. Shape (K,).

        Raises
        ------
        ValueError
            If the objective has weights for another number of users.
        """
        if self.weights is None:
            return np.ones(num_users)
        if len(self.weights) != num_users:
            raise ValueError(f"weights must have one entry for each of the {num_users} users, got {len(self.weights)}")
        return np.array(self.weights)

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
        weights = self.weights_of(tokens.shape[-1])
        if self.name == "sum":
            return np.asarray((weights * tokens).sum(axis=-1) / latency)
        with np.errstate(divide="ignore"):
            return np.asarray((weights * np.log(tokens / latency[..., None])).sum(axis=-1))
