"""The grid of a sweep: what is changed at every point, and the plan by which it is played."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from multispin_gym._toml import prefixed
from multispin_gym._validation import shown_name
from multispin_gym.envs.variants import variant_of
from multispin_gym.evaluation.plan import Plan, make_plan
from multispin_gym.evaluation.sweeps.axes import Axis, lies_within, value_word
from multispin_gym.scenarios.changes import change_scenario
from multispin_gym.scenarios.scenario import Scenario

USERS = "num_users"


@dataclass(frozen=True, eq=False)
class Point:
    """One point of the grid.

    Parameters
    ----------
    values
        The varied keys' values here.
    plan
        What is played here: that of an evaluation of the changed scenario.
    """

    values: Mapping[str, Any]
    plan: Plan

    @property
    def title(self) -> str:
        """What messages call it."""
        return title(self.values)


def title(values: Mapping[str, Any]) -> str:
    """Return how messages name the point at which the varied keys have some values."""
    return ", ".join(f"{shown_name(key)}={shown_name(value_word(value))}" for key, value in values.items())


def make_points(
    scenario: Scenario, changes: Mapping[str, Any], axes: Sequence[Axis], num_users: int | None, **settings: Any
) -> list[Point]:
    """Return the points of the grid, the last axis running fastest, all of them checked.

    Parameters
    ----------
    scenario
        The scenario to start from.
    changes
        What is changed at every point, by dotted key.
    axes
        What is varied.
    num_users
        Number of users where they are not varied; by default the scenario's.
    settings
        What else :func:`make_plan` takes.
    """
    variant = variant_of(settings["env_id"])
    if variant.clock:
        raise ValueError(
            f"env_id must be one of those in which no time passes, got {variant.id!r}: sweeps compare single rounds"
        )
    _check_apart(changes, axes)
    points = []
    for combination in itertools.product(*(axis.values for axis in axes)):
        values = dict(zip((axis.key for axis in axes), combination, strict=True))
        # Setting a key within a table that is a value changes that table.
        here = copy.deepcopy({**changes, **values})
        users = here.pop(USERS, None) if USERS in values else num_users
        with prefixed(f"at {title(values)}: "):
            points.append(Point(values, make_plan(change_scenario(scenario, here), users, **settings)))
    return points


def _check_apart(changes: Mapping[str, Any], axes: Sequence[Axis]) -> None:
    """Refuse keys that are set and varied at once, since one of the two would be lost."""
    for axis in axes:
        for key in changes:
            if key == axis.key or lies_within(key, axis.key):
                raise ValueError(f"{shown_name(key)} is set, and {shown_name(axis.key)} is varied: choose one of them")
