"""What an evaluation found: numbers per policy and episode, their aggregates, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from multispin_gym._validation import FloatArray
from multispin_gym.evaluation import words
from multispin_gym.evaluation.measures import Alarm, PolicyResult
from multispin_gym.statistics import (
    Estimate,
    gain_estimate,
    iqm_estimate,
    lowest_decile_estimate,
    mean_estimate,
    ratio_estimate,
    regret_estimate,
)

__all__ = ["Alarm", "EvaluationResult", "PolicyResult"]


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
    nested_polished
        The controller of this name on the same rounds, whether asked for or not: the rule that a good engineer writes
        first, which an agent has to beat. None for more than 1,000 users, and in environments of which its decisions
        are none.
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
    nested_polished: PolicyResult | None = None

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
        measures["ratio_to_optimum"] = ratio_estimate(result.goodput, result.reference_goodput, self.seed)
        measures["lowest_decile_ratio_to_optimum"] = lowest_decile_estimate(result.ratio_to_optimum, self.seed)
        measures["iqm_ratio_to_optimum"] = iqm_estimate(result.ratio_to_optimum, self.seed)
        if self.nested_polished is not None:
            rule = self.nested_polished
            measures["regret_to_nested_polished"] = regret_estimate(result.goodput, rule.goodput, self.seed)
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
        return words.speculation(self)

    def summary(self) -> str:
        """Say in a line which policy has the most goodput.

        Returns
        -------
        str
            One line.
        """
        return words.summary(self)

    def table(self) -> str:
        """Lay the measures of all policies out, means over the episodes; what ``print`` shows.

        Returns
        -------
        str
            Plain text.
        """
        return words.table(self)

    __str__ = table

    def __repr__(self) -> str:
        return f"<EvaluationResult of {', '.join(self.policies)} in {words.title(self)}>"

    def to_dataframe(self) -> Any:
        """Return the measures of every policy and episode as a pandas DataFrame.

        Returns
        -------
        pandas.DataFrame
            One row for each policy and episode: its names and seed, and the measures.

        Raises
        ------
        ImportError
            If pandas is not installed; this library does without.
        """
        return words.to_dataframe(self)

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
        data["policies"] = {name: words.to_dict(estimates) for name, estimates in self.estimates.items()}
        data["server_only"] = words.to_dict(self.server_only_estimates)
        data["speculation"] = self.speculation()
        data["alarms"] = {name: str(alarm) for name, alarm in self.alarms.items()}
        return data
