"""What a policy's service was like: numbers for each episode, and the times that requests took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.statistics import Estimate, mean_estimate, pooled_quantile_estimate, ratio_estimate

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
TIMES = ("time_to_first_token", "time_per_token")
_COUNTS = ("finished", "on_time", "expired", "given_up", "refused")


@dataclass(frozen=True, eq=False)
class ServiceMeasures:
    """One policy's service, one number per episode.

    Parameters
    ----------
    returns
        Sum of the rewards. Shape (episodes,).
    seconds
        Time that passed. Shape (episodes,).
    tokens
        Tokens delivered. Shape (episodes,).
    drafted, lost
        Drafted tokens, and those of them that were not in by the cut-off. Shape (episodes,).
    finished, on_time, expired, given_up, refused
        Requests that ended; those of them before their deadline; and requests that left because their deadline was
        past, that the policy gave up, and that found the queue full. Shape (episodes,).
    worst_user_rate, jain_index
        Least token rate, token/s, and Jain's index of the rates: of the users where they stay, of the requests that
        ended, from their arrival, where they come and go. Shape (episodes,).
    times
        :data:`TIMES` of the requests that ended in each episode, s. A list of ``episodes`` arrays each.
    """

    returns: FloatArray
    seconds: FloatArray
    tokens: FloatArray
    drafted: FloatArray
    lost: FloatArray
    finished: FloatArray
    on_time: FloatArray
    expired: FloatArray
    given_up: FloatArray
    refused: FloatArray
    worst_user_rate: FloatArray
    jain_index: FloatArray
    times: Mapping[str, Sequence[FloatArray]] = field(default_factory=dict)

    def __repr__(self) -> str:
        means = ", ".join(f"{name} {values.mean():.4g}" for name, values in self.per_episode().items())
        return f"<ServiceMeasures of {len(self.returns)} episodes, means: {means}>"

    @property
    def goodput(self) -> FloatArray:
        """Tokens delivered over the time that passed, token/s. Shape (episodes,)."""
        return self.tokens / self.seconds

    def per_episode(self) -> dict[str, FloatArray]:
        """Return the numbers by name.

        Returns
        -------
        dict
            Arrays of shape (episodes,).
        """
        own = {name: value for name, value in vars(self).items() if name not in ("returns", "times")}
        return {"return": self.returns, "goodput": self.goodput, **own}

    def estimates(self, seed: int) -> dict[str, Estimate]:
        """Aggregate over episodes: means, shares of all requests or drafts, quantiles of all requests' times.

        Parameters
        ----------
        seed
            Seed of the resampling.

        Returns
        -------
        dict
            Estimates by measure. Without requests there are no shares of them and no times.
        """
        found = {name: mean_estimate(self.per_episode()[name], seed) for name in ("return", "goodput")}
        found["long_run_goodput"] = found["goodput"]
        found["lost"] = ratio_estimate(self.lost, self.drafted, seed)
        for name in ("worst_user_rate", "jain_index"):
            found[name] = mean_estimate(getattr(self, name), seed)
        ended = self.finished + self.expired + self.given_up + self.refused
        if not ended.any():
            return found
        dropped = self.expired + self.given_up
        for name, count in (("on_time", self.on_time), ("dropped", dropped), ("refused", self.refused)):
            found[name] = ratio_estimate(count, ended, seed)
        for name, values in self.times.items():
            for suffix, level in QUANTILES.items():
                found[f"{name}_{suffix}"] = pooled_quantile_estimate(values, level, seed)
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the measures as JSON-able data.

        Returns
        -------
        dict
            What :meth:`from_dict` takes.
        """
        data: dict[str, Any] = {name: value.tolist() for name, value in vars(self).items() if name != "times"}
        return {**data, "times": {name: [part.tolist() for part in parts] for name, parts in self.times.items()}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ServiceMeasures:
        """Rebuild measures.

        Parameters
        ----------
        data
            What :meth:`to_dict` returned.

        Returns
        -------
        ServiceMeasures
            Equal measures.
        """
        arrays = {name: np.array(value, dtype=np.float64) for name, value in data.items() if name != "times"}
        times = {name: [np.array(part, np.float64) for part in parts] for name, parts in data["times"].items()}
        return cls(**arrays, times=times)
