"""A rule with a name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from multispin_gym._validation import FloatArray, check_kind
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.baselines.protocols import Detailed, Preparable, Rule, TakesAbsent
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario


@dataclass(frozen=True)
class Controller:
    """A named rule that decides a round from what the environment shows.

    Parameters
    ----------
    name
        The name in the registry.
    summary
        One line on what the controller does.
    rule
        The function behind it, which may be :class:`~multispin_gym.baselines.protocols.Preparable` too.
    """

    name: str
    summary: str
    rule: Rule

    @property
    def details(self) -> Mapping[str, FloatArray]:
        """What the preparation found, by name; arrays of the episodes' batch shape, none without a preparation."""
        return self.rule.details if isinstance(self.rule, Detailed) else {}

    def prepare(self, users: Users, scenario: Scenario) -> Controller:
        """Get ready for episodes with given users; most controllers decide each round by itself and return themselves.

        Parameters
        ----------
        users
            The users of each episode with their mean channel gains. Shape (..., K).
        scenario
            The scenario that they come from.

        Returns
        -------
        Controller
            A controller for rounds of these users, of shape (..., K) or with further batch axes in front.
        """
        return replace(self, rule=self.rule.prepare(users, scenario)) if isinstance(self.rule, Preparable) else self

    def __call__(self, users: Users, cell: Cell) -> Decision:
        """Decide one round, or a batch of rounds.

        Parameters
        ----------
        users
            The users; who is absent gets nothing and counts for nothing. Shape (..., K).
        cell
            The shared system.

        Returns
        -------
        Decision
            Draft lengths and bandwidth shares. Shape (..., K).

        Raises
        ------
        TypeError
            If users or cell are something else.
        """
        check_kind("users", users, Users)
        check_kind("cell", cell, Cell)
        if users.present is None or isinstance(self.rule, TakesAbsent):
            return self.rule(users, cell)
        return decide_present(self.rule, users, cell)
