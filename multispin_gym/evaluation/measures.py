"""One policy's measures: a number for each episode, and the alarm that a bound was passed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray

_MEASURES = ("goodput", "ratio_to_optimum", "long_run_goodput", "jain_index", "worst_user_rate")


@dataclass(frozen=True)
class Alarm:
    """A policy stood above a bound that no decision can pass: the bound, the round or the policy is wrong.

    Parameters
    ----------
    rounds
        Number of rounds above the bound.
    episode, round
        Where the excess was largest, counted from 0.
    goodput, bound
        The expected goodput there and the bound it passed, token/s.
    """

    rounds: int
    episode: int
    round: int
    goodput: float
    bound: float

    def __str__(self) -> str:
        return (
            f"{self.rounds} round(s) above the reference, worst in episode {self.episode}, round {self.round}: "
            f"{self.goodput!r} token/s against a bound of {self.bound!r}"
        )


@dataclass(frozen=True, eq=False)
class PolicyResult:
    """One policy's measures, one number per episode.

    Parameters
    ----------
    goodput
        Mean over the rounds of the round's sum goodput, token/s. Shape (episodes,).
    ratio_to_optimum
        The goodput over the reference's mean goodput on the same rounds. Shape (episodes,).
    long_run_goodput
        All tokens over all time of the episode, token/s (model, section 6). Shape (episodes,).
    jain_index
        Jain's index of the users' tokens over the episode, in [1/K, 1]. Shape (episodes,).
    worst_user_rate
        Tokens over time of the user with the fewest tokens in the episode, token/s. Shape (episodes,).
    reference_goodput
        Mean over the rounds of the reference's goodput, token/s. Shape (episodes,).
    alarm
        Set where a feasible decision had more expected goodput than the reference allows.
    """

    goodput: FloatArray
    ratio_to_optimum: FloatArray
    long_run_goodput: FloatArray
    jain_index: FloatArray
    worst_user_rate: FloatArray
    reference_goodput: FloatArray
    alarm: Alarm | None = None

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {values.mean():.4g}" for name, values in self.per_episode().items())
        return f"<PolicyResult of {len(self.goodput)} episodes, means: {means}>"

    def per_episode(self) -> dict[str, FloatArray]:
        """Return the measures by name.

        Returns
        -------
        dict
            Arrays of shape (episodes,).
        """
        return {name: getattr(self, name) for name in _MEASURES}

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able data.

        Returns
        -------
        dict
            What :meth:`from_dict` takes.
        """
        arrays = {name: getattr(self, name).tolist() for name in (*_MEASURES, "reference_goodput")}
        return {**arrays, "alarm": None if self.alarm is None else asdict(self.alarm)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PolicyResult:
        """Rebuild a result.

        Parameters
        ----------
        data
            What :meth:`to_dict` returned.

        Returns
        -------
        PolicyResult
            An equal result.
        """
        arrays = {name: np.array(data[name], dtype=np.float64) for name in (*_MEASURES, "reference_goodput")}
        return cls(**arrays, alarm=None if data["alarm"] is None else Alarm(**data["alarm"]))
