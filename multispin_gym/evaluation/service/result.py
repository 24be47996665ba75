"""What an evaluation of service found: measures per policy, their aggregates, and what they say in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from multispin_gym._text_tables import number_text, text_table
from multispin_gym.evaluation import words
from multispin_gym.evaluation.measures import Alarm
from multispin_gym.evaluation.service.measures import ServiceMeasures
from multispin_gym.statistics import Estimate, gain_estimate, regret_estimate

# What a table's caption says, and the measure where it is said; None: everywhere.
_CAPTION = (
    ("return: mean over episodes of what the task pays", None),
    ("requests: shares of all that ended, left or were refused", "on_time"),
    ("times: quantiles over all requests that ended", "time_to_first_token_p50"),
    ("in brackets: 95 % bootstrap intervals over episodes", None),
)
# Measures without a column where they are 0 for everybody.
_RARE = ("lost", "refused")
# Measure -> (heading, unit, form of its numbers, whether its interval is shown).
COLUMNS: dict[str, tuple[str, str, str, bool]] = {
    "return": ("return", "{reward}", "{:.4g}", True),
    "gain_over_baseline": ("gain over", "{baseline}", "{:+.1%}", False),
    "goodput": ("goodput", "token/s", "{:.4g}", True),
    "on_time": ("requests", "on time", "{:.1%}", False),
    "dropped": ("requests", "dropped", "{:.1%}", False),
    "refused": ("requests", "refused", "{:.1%}", False),
    "time_to_first_token_p50": ("first token", "p50, s", "{:.3g}", False),
    "time_to_first_token_p95": ("first token", "p95, s", "{:.3g}", False),
    "time_per_token_p50": ("per token", "p50, s", "{:.3g}", False),
    "time_per_token_p95": ("per token", "p95, s", "{:.3g}", False),
    "lost": ("drafts", "lost", "{:.1%}", False),
    "worst_user_rate": ("worst", "token/s", "{:.3g}", False),
    "jain_index": ("Jain's", "index", "{:.3f}", False),
}


@dataclass(frozen=True, eq=False)
class ServiceResult:
    """Every policy in its own episodes of a task in which time passes, from the same seeds.

    Parameters
    ----------
    scenario, env_id
        The scenario's name, and the environment.
    num_users, episodes, seed
        Slots of the cell, and the number of episodes; episode i is seeded with ``seed + i``.
    rounds, max_time
        What ends an episode: rounds, or seconds with the round that reaches them; None where it does not.
    reward
        What the task pays.
    sampled
        Whether tokens were sampled; otherwise they are expectations.
    policies
        The measures by policy, in the order asked for.
    server_only
        Plain decoding from the same seeds, whether asked for or not.
    nested_polished
        The controller of this name from the same seeds, or None for more than 1,000 users.
    clairvoyant
        Names of policies that were shown what the task hides: true channels or acceptance rates.
    baseline
        Name of the policy that the others are compared with, or None.
    reference
        ``"none"``: no decision's optimum over an episode is known.
    alarms
        None can be raised where there is no reference.
    """

    scenario: str
    env_id: str
    num_users: int
    episodes: int
    seed: int
    rounds: int | None
    max_time: float | None
    reward: str
    sampled: bool
    policies: Mapping[str, ServiceMeasures]
    server_only: ServiceMeasures
    nested_polished: ServiceMeasures | None = None
    clairvoyant: tuple[str, ...] = ()
    baseline: str | None = None
    reference: str = "none"
    alarms: Mapping[str, Alarm] = field(default_factory=dict)

    @property
    def length(self) -> str:
        """How long an episode is, in words."""
        limits = [] if self.rounds is None else [f"{self.rounds} rounds"]
        limits += [] if self.max_time is None else [f"{self.max_time:g} s"]
        return " or ".join(limits)

    @cached_property
    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """Aggregates by policy and measure; resampling is seeded, so they do not depend on the other policies."""
        return {name: self._aggregate(measures) for name, measures in self.policies.items()}

    @cached_property
    def server_only_estimates(self) -> dict[str, Estimate]:
        """Aggregates of plain server-side decoding."""
        return self._aggregate(self.server_only)

    def _aggregate(self, measures: ServiceMeasures) -> dict[str, Estimate]:
        found = measures.estimates(self.seed)
        found["gain_over_server_only"] = gain_estimate(measures.goodput, self.server_only.goodput, self.seed)
        if self.nested_polished is not None:
            rule = self.nested_polished
            found["regret_to_nested_polished"] = regret_estimate(measures.goodput, rule.goodput, self.seed)
        if self.baseline is not None:
            rival = self.policies[self.baseline]
            found["gain_over_baseline"] = gain_estimate(measures.returns, rival.returns, self.seed)
        return found

    @property
    def columns(self) -> dict[str, tuple[str, str, str, bool]]:
        """The columns of a table: measures that some policy has, with their headings and forms.

        Where no draft was lost there is no column of losses, nor one of requests refused where none was.
        """
        had = {
            name
            for found in self.estimates.values()
            for name, estimate in found.items()
            if name not in _RARE or estimate.mean > 0.0
        }
        return {
            name: (first, second.format(reward=self._pays, baseline=self.baseline), form, interval)
            for name, (first, second, form, interval) in COLUMNS.items()
            if name in had
        }

    @property
    def _pays(self) -> str:
        return self.reward.replace("_", " ")

    def label(self, name: str, gap: str = " ") -> str:
        """Name of a policy, marked where it is clairvoyant.

        Parameters
        ----------
        name
            A policy.
        gap
            What stands between the name and the mark.

        Returns
        -------
        str
            What tables call it.
        """
        return f"{name}{gap}(clairvoyant)" if name in self.clairvoyant else name

    @property
    def title(self) -> str:
        """What was played, in a line."""
        tokens = "sampled" if self.sampled else "expected"
        return (
            f"{self.scenario}: {self.num_users} users, {self.episodes} episodes of {self.length}, {tokens} tokens, "
            f"seed {self.seed}"
        )

    def speculation(self) -> str:
        """Say which policy has the largest return, and where plain decoding stands.

        Returns
        -------
        str
            One sentence.
        """
        returns = {name: found["return"].mean for name, found in self.estimates.items()}
        best = max(returns, key=lambda name: returns[name])
        plain = self.server_only_estimates["return"].mean
        if not returns[best] > plain:
            return f"No policy has a larger return here than plain decoding, {_short(plain)} ({self._pays})."
        leading = [self.label(name) for name, value in returns.items() if value == returns[best]]
        have = "has" if len(leading) == 1 else "have"
        sentence = f"{' and '.join(leading)} {have} the largest return here, {_short(returns[best])} ({self._pays}); "
        if best in self.clairvoyant:
            fair = max(returns.keys() - set(self.clairvoyant), key=lambda name: returns[name], default=None)
            if fair is not None:
                sentence += f"of those that see only what the task shows {fair} has {_short(returns[fair])}; "
        return f"{sentence}plain decoding has {_short(plain)}."

    def summary(self) -> str:
        """Say in a line which policy has the largest return.

        Returns
        -------
        str
            One line.
        """
        return f"K = {self.num_users}: {self.speculation()}"

    def table(self) -> str:
        """Lay the measures of all policies out, as plain text; what ``print`` shows.

        Returns
        -------
        str
            Plain text.
        """
        columns = self.columns
        rows = [["policy", *(first for first, *_ in columns.values())], ["", *(head[1] for head in columns.values())]]
        for name, found in self.estimates.items():
            cells = [
                words.cell(found.get(measure), form, interval) for measure, (_, _, form, interval) in columns.items()
            ]
            rows.append([self.label(name), *cells])
        return "\n".join(
            [self.title, "", *text_table(rows, right=[False, *(True for _ in columns)]), "", caption(columns)]
        )

    __str__ = table

    def __repr__(self) -> str:
        return f"<ServiceResult of {', '.join(self.policies)} in {self.title}>"

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
        names = ("scenario", "env_id", "reference", "num_users", "rounds", "max_time", "length", "episodes", "seed")
        data: dict[str, Any] = {name: getattr(self, name) for name in (*names, "sampled", "reward", "baseline")}
        data["loop"] = "closed"
        data["clairvoyant"] = list(self.clairvoyant)
        data["policies"] = {name: words.to_dict(found) for name, found in self.estimates.items()}
        data["server_only"] = words.to_dict(self.server_only_estimates)
        data["speculation"] = self.speculation()
        data["alarms"] = {}
        return data


def caption(measures: Collection[str]) -> str:
    """Say what the columns of a table of some measures mean."""
    return "; ".join(text for text, measure in _CAPTION if measure is None or measure in measures)


def _short(value: float) -> str:
    return number_text("{:.4g}", value)
