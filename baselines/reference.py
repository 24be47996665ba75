"""What a ratio is taken to: the one place that computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from multispin_gym._validation import BoolArray, FloatArray, IntArray, check_choice, check_number
from multispin_gym.baselines.certificate import certify
from multispin_gym.baselines.homogeneous import homogeneous
from multispin_gym.baselines.present_users import solve_present
from multispin_gym.baselines.relaxation import relax
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.objectives import Objective
from multispin_gym.physics.rounds import compute_round
from multispin_gym.physics.users import Users

REFERENCES = ("relaxation", "certificate", "homogeneous")
# Beyond, certificates can take longer than everything else together: the relaxation is the default there.
MOST_USERS_CERTIFIED = 12
# Gaps to which certificates are closed: for results that are published, and while learning, where thousands are needed.
GAP, ROUGH_GAP = 1e-6, 1e-4

ActionSet = Literal["own_lengths", "common_length"]


@dataclass(frozen=True)
class Reference:
    """A goodput, round by round, that ratios are taken to.

    Parameters
    ----------
    name
        ``"certificate"``, the certified optimum's upper bound, within ``gap`` of it; ``"relaxation"``, the upper bound
        of the relaxation, out of reach of whole lengths; or ``"homogeneous"``, the exact optimum over common lengths.
    gap
        Relative gap to which certificates are closed.

    Raises
    ------
    ValueError
        If the name is unknown or the gap negative.

    Examples
    --------
    >>> Reference.of_actions("own_lengths", num_users=8).name
    'certificate'
    >>> Reference.of_actions("own_lengths", num_users=20).name
    'relaxation'
    """

    name: str
    gap: float = GAP

    def __post_init__(self) -> None:
        check_choice("reference", self.name, REFERENCES)
        check_number("gap", self.gap, low=0.0)

    @classmethod
    def of_actions(cls, actions: ActionSet, num_users: int, gap: float = GAP) -> Reference:
        """Return the reference that fits a set of actions and a number of users.

        Parameters
        ----------
        actions
            ``"own_lengths"``, a draft length for each user, or ``"common_length"``, one for all.
        num_users
            Number of users K.
        gap
            Relative gap to which certificates are closed.

        Returns
        -------
        Reference
            The best common length where there is one length for all; otherwise the certificate for up to
            :data:`MOST_USERS_CERTIFIED` users and the relaxation for more.
        """
        if actions == "common_length":
            return cls("homogeneous", gap)
        return cls("certificate" if num_users <= MOST_USERS_CERTIFIED else "relaxation", gap)

    @property
    def description(self) -> str:
        """The reference in words, for cards and tables."""
        return {
            "certificate": f"certified optimum's upper bound, within {self.gap:.0e} of it".replace("e-0", "e-"),
            "relaxation": "relaxation's upper bound, out of reach of whole lengths",
            "homogeneous": "best common draft length, exact",
        }[self.name]

    def goodput(self, users: Users, cell: Cell, objective: Objective | None = None) -> FloatArray:
        """Goodput of the reference in each round.

        Parameters
        ----------
        users
            The users. Shape (..., K).
        cell
            The shared system.
        objective
            A (weighted) sum; by default the sum goodput.

        Returns
        -------
        numpy.ndarray
            Token/s, weighted where the objective is; 0 where nobody is present. Shape (...,).
        """
        if users.present is not None:
            found = {"goodput": np.zeros(users.batch_shape)}
            solve_present(users, objective, lambda some, part: {"goodput": self.goodput(some, cell, part)}, found)
            return found["goodput"]
        if self.name == "relaxation":
            return relax(users, cell, objective).upper_bound
        if self.name == "certificate":
            return certify(users, cell, self.gap, objective=objective).upper_bound
        outcome = compute_round(users, cell, homogeneous(users, cell, objective))
        return outcome.goodput if objective is None else objective.value(outcome.tokens, outcome.latency)

    def bounds(self, draft_lengths: IntArray, cell: Cell, present: BoolArray | None = None) -> np.ndarray:
        """Say of which decisions no goodput can pass the reference.

        Parameters
        ----------
        draft_lengths
            Draft lengths. Shape (..., K).
        cell
            The shared system.
        present
            Whose lengths count; by default everybody's. Shape (..., K).

        Returns
        -------
        numpy.ndarray
            True where the lengths are in the set that the reference is the optimum of. Shape (...,).
        """
        absent = False if present is None else ~present
        longest = np.where(absent, -1, draft_lengths).max(axis=-1, keepdims=True)
        bound = (absent | (draft_lengths >= cell.min_draft_length)).all(axis=-1)
        if self.name == "homogeneous":
            bound &= (absent | (draft_lengths == longest)).all(axis=-1)
        return np.asarray(bound)
