"""What an evaluation found: numbers per policy and episode, their aggregates, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.statistics import Estimate, gain_estimate, iqm_estimate, mean_estimate


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


_MEASURES = ("goodput", "ratio_to_optimum", "long_run_goodput", "jain_index", "worst_user_rate")


@dataclass(frozen=True, eq=False)
class EvaluationResult:
    """Every policy on the same users, channels and acceptance draws.

    Parameters
    ----------
    scenario
        The scenario's name.
    env_id
        The environment whose set of actions the reference belongs to.
    reference
        ``"certificate"``, ``"relaxation"`` or ``"homogeneous"``: what the ratios are taken to.
    num_users, rounds, episodes, seed
        Users in the cell, rounds per episode, number of episodes; episode i is seeded with ``seed + i``.
    sampled
        Whether tokens were sampled; otherwise they are expectations.
    policies
        The measures by policy, in the order asked for.
    server_only
        Plain server-side decoding on the same rounds, whether asked for or not.
    baseline
        Name of the policy that the others are compared with, or None.
    loop
        ``"open"``: all policies decided on one tape of rounds; ``"closed"``: the game was played for each of them.
    max_time
        Seconds of play after which an episode ended, or None; ``rounds`` is then None where it was not given.
    """

    scenario: str
    env_id: str
    reference: str
    num_users: int
    rounds: int | None
    episodes: int
    seed: int
    sampled: bool
    policies: Mapping[str, PolicyResult]
    server_only: PolicyResult
    baseline: str | None = None
    loop: str = "open"
    max_time: float | None = None

    @cached_property
    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """Aggregates by policy and measure; resampling is seeded, so they do not depend on the other policies."""
        return {name: self._aggregate(name, result) for name, result in self.policies.items()}

    @cached_property
    def server_only_estimates(self) -> dict[str, Estimate]:
        """Aggregates of plain server-side decoding."""
        return self._aggregate(None, self.server_only)

    @property
    def reference_goodput(self) -> FloatArray:
        """Mean over the rounds of the reference's goodput, on the rounds of plain decoding, token/s."""
        return self.server_only.reference_goodput

    @property
    def length(self) -> str:
        """How long an episode is, in words."""
        limits = [] if self.rounds is None else [f"{self.rounds} rounds"]
        limits += [] if self.max_time is None else [f"{self.max_time:g} s"]
        return " or ".join(limits)

    @property
    def alarms(self) -> dict[str, Alarm]:
        """The alarms by policy; empty when all is well."""
        return {name: result.alarm for name, result in self.policies.items() if result.alarm is not None}

    def _aggregate(self, name: str | None, result: PolicyResult) -> dict[str, Estimate]:
        measures = {key: mean_estimate(values, self.seed) for key, values in result.per_episode().items()}
        measures["iqm_ratio_to_optimum"] = iqm_estimate(result.ratio_to_optimum, self.seed)
        if name is not None:
            plain = self.server_only
            measures["gain_over_server_only"] = gain_estimate(result.goodput, plain.goodput, self.seed)
            if self.baseline is not None:
                rival = self.policies[self.baseline]
                measures["gain_over_baseline"] = gain_estimate(result.goodput, rival.goodput, self.seed)
        return measures

    def speculation(self) -> str:
        """Say whether speculation pays: where the best policy stands against plain server-side decoding.

        Returns
        -------
        str
            One sentence or two.
        """
        rivals = {name: e["goodput"].mean for name, e in self.estimates.items() if name != "server_only"}
        if not rivals:
            return "Only server_only was played: nothing says whether speculation pays."
        best = max(rivals, key=lambda name: rivals[name])
        gain = self.estimates[best]["gain_over_server_only"]
        assert gain.mean == gain.mean, "plain decoding always has a positive goodput"
        if gain.ci95 is None:
            verdict, interval = ("seems to pay" if gain.mean > 0.0 else "does not seem to pay"), "one episode only"
        else:
            low, high = gain.ci95
            interval = f"95 % interval {low:+.1%} to {high:+.1%}"
            verdict = "pays" if low > 0.0 else "does not pay" if high <= 0.0 else "is on a par with plain decoding"
        sentence = f"Speculation {verdict} here: {best} has {gain.mean:+.1%} goodput over server_only ({interval})."
        if self.server_only_estimates["ratio_to_optimum"].mean > 1.0:
            sentence += (
                " server_only has more goodput than the reference: no drafts that the cell allows reach it,"
                " since its least draft length keeps users from opting out."
            )
        return sentence

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able data, without versions and command.

        Returns
        -------
        dict
            The keys of ``results.json``.
        """
        data: dict[str, Any] = {
            name: getattr(self, name)
            for name in ("scenario", "env_id", "reference", "num_users", "rounds", "episodes", "seed", "sampled")
        }
        if self.loop == "closed":
            data["loop"], data["max_time"] = self.loop, self.max_time
        data["baseline"] = self.baseline
        data["reference_goodput"] = mean_estimate(self.reference_goodput, self.seed).to_dict()
        data["policies"] = {name: _to_dict(estimates) for name, estimates in self.estimates.items()}
        data["server_only"] = _to_dict(self.server_only_estimates)
        data["speculation"] = self.speculation()
        data["alarms"] = {name: str(alarm) for name, alarm in self.alarms.items()}
        return data


def _to_dict(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    return {name: estimate.to_dict() for name, estimate in estimates.items()}
