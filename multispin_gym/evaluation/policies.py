"""Policies by name: controllers, trained agents, and any callable of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from multispin_gym._toml import prefixed
from multispin_gym._validation import nearest, shown
from multispin_gym.baselines.controller import Controller
from multispin_gym.baselines.estimating import list_estimators, make_estimator
from multispin_gym.baselines.present_users import decide_present
from multispin_gym.baselines.protocols import Estimating, Preparable, Rule
from multispin_gym.baselines.registry import list_controllers, make_controller
from multispin_gym.envs.variants import Variant
from multispin_gym.evaluation.named_functions import is_named_function, load_named_function
from multispin_gym.evaluation.predicting import Model, ModelPolicy
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision, RoundOutcome, play_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

PRETRAINED = "pretrained:"
SB3 = "sb3:"


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
        A controller, any callable of users and cell, or an agent.
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
            self._ready = self.policy.prepare(mean_users, scenario)

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
            with prefixed(f"policy {shown(self.name)}: "):
                return decode(self._ready.act(observation))
        with prefixed(f"policy {shown(self.name)}: "):
            assert not isinstance(self._ready, Estimating)
            absent = users.present is not None and not isinstance(self._ready, Controller)
            decision = decide_present(self._ready, users, cell) if absent else self._ready(users, cell)
        if not isinstance(decision, Decision):
            raise TypeError(f"policy {shown(self.name)} must return a Decision, got {type(decision).__name__}")
        return decision

    def action(self, observation: Mapping[str, NDArray[np.float32]]) -> NDArray[Any]:
        """Return an agent's actions, (N, A).

        Raises
        ------
        TypeError
            If they are not made of numbers.
        ValueError
            If they are not of one row for each of the observation's.
        """
        assert isinstance(self._ready, Agent)
        with prefixed(f"policy {shown(self.name)}: "):
            actions = np.asarray(self._ready.act(observation))
            rows = len(next(iter(observation.values())))
            if actions.dtype.kind not in "fiu":
                raise TypeError(f"actions must be an array of numbers, got {shown(actions)}")
            if actions.ndim != 2 or len(actions) != rows:
                raise ValueError(f"actions must have shape ({rows}, entries), got {actions.shape}")
        return actions

    def expect(self, users: Users, cell: Cell, decision: Decision) -> RoundOutcome:
        """Return what is to be expected of a decision of this policy's, refusing one that does not fit the rounds."""
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


def name_policies(policies: Iterable[str] | Mapping[str, str | Policy]) -> dict[str, str | Policy]:
    """Give every policy its name, refusing what is none.

    Raises
    ------
    ValueError
        If there is no policy, or one is named twice.
    TypeError
        If a policy without a name of its own is not a name.
    """
    if isinstance(policies, str):
        policies = [policies]
    if not isinstance(policies, Mapping):
        names = list(policies)
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"policies must be names, or a mapping from names to policies; got {shown(name)}")
            if names.count(name) > 1:
                raise ValueError(f"policies must each be named once, got {shown(name)} {names.count(name)} times")
        policies = {name: name for name in names}
    if not policies:
        raise ValueError("policies must name at least one policy, got none")
    return dict(policies)


def make_policies(
    policies: Mapping[str, str | Policy], variant: Variant, scenario: Scenario, seed: int, *, allow_pickle: bool = False
) -> dict[str, Player]:
    """Turn names into policies, refusing all bad ones before anything is played.

    Names are those of controllers, run directories of trained agents, ``pretrained:NAME``, ``module:function``,
    ``file.py:function`` and, where ``allow_pickle`` lets the code in the file be run, ``sb3:FILE.zip``; ``variant`` and
    ``scenario`` are what they will be played in, ``seed`` is that of the policies that draw at random.

    Raises
    ------
    ValueError
        If a name is unknown.
    TypeError
        If a policy is neither a name, nor callable, nor an agent.
    ImportError
        If an agent is asked for and the libraries that it needs are not installed.
    """
    return {
        name: make_player(name, policy, variant, scenario, seed, allow_pickle=allow_pickle)
        for name, policy in policies.items()
    }


def make_player(
    name: str, policy: str | Policy, variant: Variant, scenario: Scenario, seed: int, *, allow_pickle: bool = False
) -> Player:
    """Make one policy for what it will be played in; see :func:`make_policies`."""
    made: Any = _load(policy, variant, scenario, seed, allow_pickle) if isinstance(policy, str) else policy
    if isinstance(made, Estimating) and not variant.clock:
        raise ValueError(
            f"policy {shown(name)} estimates what environments with a clock hide: it is none for {variant.id}"
        )
    if not isinstance(made, Agent) and isinstance(made, Model):
        try:
            made = ModelPolicy(made, variant, scenario, _statistics_beside(policy))
        except ValueError as error:
            raise ValueError(f"policy {shown(name)}: {error}") from error
    if not isinstance(made, Agent | Estimating) and not callable(made):
        raise TypeError(f"policy {shown(name)} must be a name, a callable of users and cell, or an agent; got {made!r}")
    if isinstance(made, CellSpecific):
        try:
            made = made.in_cell(variant.cell(scenario), scenario.reference_power)
        except ValueError as error:
            raise ValueError(f"policy {shown(name)}: {error}") from error
    return Player(name, made)


def _load(name: str, variant: Variant, scenario: Scenario, seed: int, allow_pickle: bool) -> Policy:
    known = list_controllers()
    if variant.clock:
        known += list_estimators()
    if name in list_estimators():
        return make_estimator(name, scenario)
    if name in known:
        return make_controller(name, **({"seed": seed} if name == "random" else {}))
    if name.startswith(SB3):
        return _load_sb3(name, Path(name.removeprefix(SB3)), allow_pickle)
    if is_named_function(name) and not name.startswith(PRETRAINED) and not Path(name).exists():
        found: Policy = load_named_function(name)
        return found
    if name.endswith(".zip") and Path(name).is_file():
        raise ValueError(f"policy {shown(name)} is a file: if Stable-Baselines3 wrote it, its name is {SB3}{name}")
    if not name.startswith(PRETRAINED) and "/" not in name and not (name and Path(name).exists()):
        raise ValueError(
            f"policies must be among {', '.join(known)}, the run directory of a trained agent, {PRETRAINED}NAME, "
            f"module:function, or {SB3}FILE.zip; got {shown(name)}.{nearest(name, known)}"
        )
    with _needing_agents(name), prefixed(f"policy {shown(name)}: "):
        from multispin_gym.agents import load_agent

        agent: Agent = load_agent(name)
    return agent


def _load_sb3(name: str, path: Path, allow_pickle: bool) -> Model:
    if not path.is_file():
        raise FileNotFoundError(f"policy {shown(name)}: there is no file {shown(str(path))}")
    if not allow_pickle:
        raise ValueError(
            f"policy {shown(name)}: loading a file of Stable-Baselines3 runs the code that is pickled in it; if you "
            f"trust where it comes from, say so with --allow-pickle, or allow_pickle=True"
        )
    with _needing_agents(name):
        from multispin_gym.agents.sb3_files import load_sb3_policy

        model: Model = load_sb3_policy(path)
    return model


@contextmanager
def _needing_agents(name: str) -> Iterator[None]:
    """Say what to install where the libraries of agents are missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise ImportError(
            f"policy {shown(name)} is a trained agent and needs {error.name}: pip install 'multispin-gym[train]'"
        ) from error


def _statistics_beside(policy: Any) -> Path | None:
    """Return a file of VecNormalize's statistics in the folder of a policy's file, or None."""
    if not isinstance(policy, str):
        return None
    return next(iter(sorted(Path(policy.removeprefix(SB3)).parent.glob("*normalize*.pkl"))), None)
