"""A policy in a study of a task with a clock, and the options among which it is tuned."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from multispin_gym import Scenario
from multispin_gym.baselines import list_estimators, make_controller, make_estimator
from multispin_gym.evaluation.player import Player


@dataclass(frozen=True, kw_only=True)
class Opponent:
    """A rule with its options.

    Parameters
    ----------
    label
        Its name in tables.
    name
        An estimating controller, or a controller, which is shown the truth.
    knows
        What it decides by: the mean rates and the reports as they are, all that it sees, or the truth.
    fixed
        Options with given values.
    grid
        Options that are tuned, and the values that they are tuned among.
    clock
        What is different in the scenario's clock, such as ``{"admission": True}``.
    """

    label: str
    name: str
    knows: Literal["nothing", "means", "what it sees", "truth"]
    fixed: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    clock: Mapping[str, Any] = field(default_factory=dict)

    def trials(self, most: int, seed: int) -> list[dict[str, Any]]:
        """Options to be tried: every combination, or as many as are allowed, drawn at random without repetition."""
        choices = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        if len(choices) > most:
            chosen = np.random.default_rng(seed).choice(len(choices), most, replace=False)
            choices = [choices[index] for index in sorted(chosen.tolist())]
        return choices

    def scenario(self, scenario: Scenario) -> Scenario:
        """The scenario as it is for this rule."""
        if not self.clock:
            return scenario
        assert scenario.clock is not None
        return dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, **self.clock))

    def player(self, scenario: Scenario, options: Mapping[str, Any]) -> Player:
        """The rule with some options, to be played in its scenario."""
        options = {**self.fixed, **options}
        if self.name in list_estimators():
            return Player(self.label, make_estimator(self.name, self.scenario(scenario), **options))
        return Player(self.label, make_controller(self.name, **options))


# As the paper has them, for who takes means for everybody's own rates, and reports for the channels.
PAPERS_CONTROLLERS = tuple(
    Opponent(label=name, name=name, knows="means") for name in ("mean_homogeneous", "mean_uni_bw", "mean_multi_spin")
)
