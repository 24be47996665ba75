"""A policy under its name: what decides, what it is shown, and one clear error for whatever it gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from multispin_gym._toml import prefixed
from multispin_gym._validation import shown
from multispin_gym.baselines.controller import Controller
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.baselines.protocols import Estimating, Preparable, Rule
from multispin_gym.evaluation.predicting import Model
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision, RoundOutcome, play_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario


@runtime_checkable
class Agent(Protocol):
    """Anything that maps observations to actions of the environment."""

    def act(self, observation: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Return the actions for a batch of observations, each of shape (N, K)."""


@runtime_checkable
class CellSpecific(Protocol):
    """A policy that is made anew for the cell in which it is to act."""

    def in_cell(self, cell: Cell, reference_power: float) -> Policy:
        """Return the policy for a cell, whose observed gains are relative to a transmit power, W."""


Playable = Rule | Agent | Estimating
Policy = Playable | Model


class Player:
    """A policy under its name: what decides, whether it sees users or observations.

    Parameters
    ----------
    name
        Its name, for errors.
    policy
        A controller, any callable of users and cell, an agent, or an estimating controller.
    """

    def __init__(self, name: str, policy: Playable) -> None:
        self.name = name
        self.policy = policy
        self._ready: Playable = policy

    def begin(self, mean_users: Users, scenario: Scenario) -> None:
        """Let a policy that wants to know the law of the rounds to come prepare for the next episodes.

        ``mean_users`` are the users of the episodes with their mean channel gains, of shape (episodes, K).
        """
        if isinstance(self.policy, Preparable):
            with prefixed(f"policy {shown(self.name)}: "):
                self._ready = self.policy.prepare(mean_users, scenario)

    def reset(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> None:
        """Let an estimating controller begin new episodes."""
        if isinstance(self._ready, Estimating):
            with self._shown(observation, info):
                self._ready.reset(observation, info)

    @property
    def sees_rounds_one_by_one(self) -> bool:
        """Whether it decides on one round at a time, as in the environment; controllers take many."""
        return isinstance(self._ready, Agent)

    def decide(
        self,
        users: Users,
        cell: Cell,
        observation: Mapping[str, NDArray[np.float32]],
        decode: Callable[[NDArray[Any]], Decision],
    ) -> Decision:
        """Decide rounds, (..., K); agents see the observation only, and their actions are decoded.

        Raises
        ------
        TypeError
            If the policy returns something other than a decision, or an action that is not made of numbers.
        ValueError
            If its action stands for no decision, or its decision is for other rounds.
        """
        if isinstance(self._ready, Agent):
            with self._shown(observation):
                return decode(self._ready.act(observation))
        if users.present is None or isinstance(self._ready, Controller):
            return self._asked(users, cell)
        return decide_present(self._asked_for_some, users, cell)

    def _asked(self, users: Users, cell: Cell) -> Decision:
        """Ask a rule, which decides by the users."""
        assert not isinstance(self._ready, Agent | Estimating)
        with prefixed(f"policy {shown(self.name)}: "):
            decision = self._ready(users, cell)
        return self._checked(decision)

    def _asked_for_some(self, users: Users, cell: Cell) -> Decision:
        """Ask a rule that knows nothing of absent users for those who are present."""
        decision, shape = self._asked(users, cell), users.acceptance_rate.shape
        if decision.draft_lengths.shape[-1] != shape[-1]:
            raise ValueError(
                f"policy {shown(self.name)}: the decision is for {decision.draft_lengths.shape[-1]} users, "
                f"{shape[-1]} are present"
            )
        self.expect(users, cell, decision)
        return decision

    def estimate(self, observation: Mapping[str, NDArray[Any]], info: Mapping[str, Any]) -> Decision:
        """Return an estimating controller's decision, (N, K), by what it sees and what it knows of the round before.

        Raises
        ------
        TypeError
            If it returns something other than a decision.
        ValueError
            If it looks for something that is not seen.
        """
        assert isinstance(self._ready, Estimating)
        with self._shown(observation, info):
            decision = self._ready.decide(observation, info)
        return self._checked(decision)

    def action(self, observation: Mapping[str, NDArray[np.float32]], entries: int) -> NDArray[Any]:
        """Return an agent's actions of so many entries, (N, entries).

        Raises
        ------
        TypeError
            If they are not made of numbers.
        ValueError
            If they are of another shape, or an entry is NaN.
        """
        assert isinstance(self._ready, Agent)
        with self._shown(observation):
            actions = np.asarray(self._ready.act(observation))
            shape = (len(next(iter(observation.values()))), entries)
            if actions.dtype.kind not in "fiu":
                raise TypeError(f"actions must be an array of numbers, got {shown(actions)}")
            if actions.shape != shape:
                raise ValueError(f"actions must have shape {shape}, got {actions.shape}")
            if np.isnan(actions).any():
                index = tuple(np.argwhere(np.isnan(actions))[0].tolist())
                raise ValueError(f"actions must lie in [-1, 1], got nan at index {index}")
        return actions

    @contextmanager
    def _shown(self, *parts: Mapping[str, Any]) -> Iterator[None]:
        """Name the policy in errors, and say what is seen where it looks for something else."""
        with prefixed(f"policy {shown(self.name)}: "):
            try:
                yield
            except KeyError as error:
                names = sorted({name for part in parts for name in part})
                if not error.args or error.args[0] in names:
                    raise
                raise ValueError(f"{shown(error.args[0])} is not seen here; seen are {', '.join(names)}") from error

    def _checked(self, decision: Any) -> Decision:
        if not isinstance(decision, Decision):
            raise TypeError(f"policy {shown(self.name)} must return a Decision, got {type(decision).__name__}")
        return decision

    def expect(self, users: Users, cell: Cell, decision: Decision, *, admits: bool = False) -> RoundOutcome:
        """Return what is to be expected of a decision of this policy's, refusing one that does not fit the rounds.

        ``admits`` says whether a decision may give requests up.
        """
        if decision.give_up is not None and decision.give_up.any() and not admits:
            raise ValueError(
                f"policy {shown(self.name)} gives requests up, which only tasks with admission = true leave to policies"
            )
        try:
            expected = play_round(users, cell, decision)
        except ValueError as error:
            raise ValueError(f"policy {shown(self.name)}: {error}") from error
        if expected.goodput.shape != users.batch_shape:
            raise ValueError(
                f"policy {shown(self.name)} decided for a batch of shape {expected.goodput.shape}, "
                f"the rounds have the shape {users.batch_shape}"
            )
        return expected
