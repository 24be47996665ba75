"""What a rule is, and what some rules offer besides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

Rule = Callable[[Users, Cell], Decision]
"""Decides rounds, (..., K), from what the environment shows of users and cell."""


@runtime_checkable
class Preparable(Protocol):
    """A rule that wants to know the law of the rounds to come."""

    def prepare(self, users: Users, scenario: Scenario) -> Rule:
        """Get ready for episodes with given users, who have their mean channel gains. Shape (..., K)."""
