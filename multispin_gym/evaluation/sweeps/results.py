"""What a sweep found: the evaluation at every point, as JSON and CSV and in words."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multispin_gym.evaluation.report import versions
from multispin_gym.evaluation.sweeps.axes import Axis
from multispin_gym.evaluation.sweeps.grid import USERS, title


@dataclass(frozen=True, eq=False)
class SweepResult:
    """The same policies at every point of a grid.

    Parameters
    ----------
    scenario
        Name of the scenario that the sweep starts from.
    axes
        What was varied.
    policies
        The policies, in the order asked for.
    baseline
        The one that gains are taken over.
    points
        For each point, the last axis running fastest, the varied keys' ``values`` and all that the evaluation there
        says of itself.
    """

    scenario: str
    axes: Sequence[Axis]
    policies: Sequence[str]
    baseline: str
    points: Sequence[Mapping[str, Any]]

    @property
    def alarms(self) -> dict[str, str]:
        """What the alarms say, by point; empty when all is well."""
        return {
            title(point["values"]): "; ".join(f"{name}: {alarm}" for name, alarm in point["alarms"].items())
            for point in self.points
            if point["alarms"]
        }

    @property
    def references(self) -> list[str]:
        """What ratios are taken to, at one point or another."""
        return list(dict.fromkeys(point["reference"] for point in self.points))

    def line(self, policy: str, measure: str, points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return mean and interval of one policy's measure at some points."""
        return [point["policies"][policy][measure] for point in points]

    def best(self, point: Mapping[str, Any]) -> str:
        """Return the policy that has the most goodput at a point."""
        return max(self.policies, key=lambda name: float(point["policies"][name]["goodput"]["mean"]))

    def about(self) -> str:
        """Say in a line what was played."""
        first = self.points[0]
        rounds = {point["rounds"] for point in self.points}
        limits = [f"{first['rounds']} rounds"] if rounds == {first["rounds"]} and first["rounds"] is not None else []
        limits += [] if first.get("max_time") is None else [f"{first['max_time']:g} s"]
        length = f" of {' or '.join(limits)}" if limits else ""
        tokens = "sampled" if first["sampled"] else "expected"
        points = "points" if len(self.points) > 1 else "point"
        users = "" if any(axis.key == USERS for axis in self.axes) else f"{first['num_users']} users, "
        return (
            f"{self.scenario}: {users}{len(self.points)} {points}, {first['episodes']} episodes{length} at each, "
            f"{tokens} tokens, seed {first['seed']}"
        )

    def verdict(self) -> str:
        """Say where which policy has the most goodput, and what that is worth."""
        wins = Counter(self.best(point) for point in self.points)
        (first, most), *others = wins.most_common()
        total = f"{most} of {len(self.points)} points" if others else f"all {most} points" if most > 1 else "this point"
        also = "".join(f", {name} at {count}" for name, count in others)
        sentence = f"{first} has the most goodput at {total}{also}."
        gains = self.line(first, "gain_over_baseline", self.points)
        if first == self.baseline or any(gain["mean"] is None for gain in gains):
            return sentence
        ends = sorted(range(len(gains)), key=lambda number: float(gains[number]["mean"]))
        low, high = (f"{gains[n]['mean']:+.1%} (at {title(self.points[n]['values'])})" for n in (ends[0], ends[-1]))
        return f"{sentence} Its gain over {self.baseline} is {low if len(ends) == 1 else f'between {low} and {high}'}."

    def to_json(self, command: str) -> str:
        """Return the text of ``sweep.json``, with versions and the command that made the sweep."""
        # It made the intervals, though perhaps in a worker, or before an interrupt: the versions name what is loaded.
        import scipy  # noqa: F401

        data = {
            "scenario": self.scenario,
            "varied": [axis.to_dict() for axis in self.axes],
            "policies": list(self.policies),
            "baseline": self.baseline,
            "points": [dict(point) for point in self.points],
            "versions": versions(),
            "command": command,
        }
        return json.dumps(data, indent=2, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """Return one line for each point and policy: means, and the ends of their intervals."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(self.columns())
        writer.writerows(self._rows())
        return buffer.getvalue()

    def columns(self) -> list[str]:
        """Return the names of the CSV's columns."""
        measures = self.points[0]["policies"][self.policies[0]]
        keys = [axis.key for axis in self.axes]
        users = [] if USERS in keys else [USERS]
        ends = [f"{name}{end}" for name in measures for end in ("", "_low", "_high")]
        return [*keys, *users, "policy", "reference", "reference_goodput", *ends]

    def _rows(self) -> Iterator[list[str]]:
        for point in self.points:
            values = {USERS: point["num_users"], **point["values"]}
            named = [_cell(values[axis.key]) for axis in self.axes]
            named += [] if USERS in point["values"] else [_cell(values[USERS])]
            for name in self.policies:
                measures = point["policies"][name].values()
                ends = [end for each in measures for end in (each["mean"], *(each["ci95"] or (None, None)))]
                reached = point["reference_goodput"]["mean"]
                yield [*named, name, point["reference"], *(_cell(end) for end in (reached, *ends))]


def _cell(value: Any) -> str:
    """Write a value so that reading it gives it back; nothing for what is not a finite number."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)
