"""What a rule is, and what more it may be able to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import FloatArray
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

Rule = Callable[[Users, Cell], Decision]
"""Decides rounds: users of shape (..., K) and the system that they share in, a decision of shape (..., K) out."""


@runtime_checkable
class TakesAbsent(Protocol):
    """A rule that knows itself what to do where users are absent; all others are asked for those present only."""

    takes_absent: bool


@runtime_checkable
class Estimating(Protocol):
    """A controller that decides by what is seen, and estimates the rest."""

    def reset(
        self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any], rows: NDArray[np.bool_] | None = None
    ) -> None:
        """Begin new episodes, in all rows of the batch or in some. Shapes: entries (N, K), ``rows`` (N,)."""

    def decide(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Decision:
        """Decide a round by what is seen, and by what info says of the round before. Shape (N, K)."""


@runtime_checkable
class Preparable(Protocol):
    """A rule, or another policy, that plans ahead once it knows whom it serves."""

    def prepare(self, users: Users, scenario: Scenario) -> Rule:
        """Return a rule for rounds of these users, who have their mean channel gains. Shape (..., K)."""


@runtime_checkable
class Detailed(Protocol):
    """A rule that says what it found when it was prepared."""

    @property
    def details(self) -> Mapping[str, FloatArray]:
        """What was found, by name; arrays of the batch shape of the users prepared for."""
