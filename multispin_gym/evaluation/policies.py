"""Policies by name: closed-form controllers, trained agents, and any callable of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from multispin_gym._validation import nearest
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import Decision
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

PRETRAINED = "pretrained:"

if TYPE_CHECKING:

    class Agent(Protocol):
        """Anything that maps observations, (episodes, K) each, to a batch of the environment's canonical actions."""

        def act(self, observation: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
            """Return the actions for a batch of observations."""

    Controller = Callable[[Users, Cell], Decision]
    Policy = Controller | Agent


def make_policies(
    policies: Iterable[str] | Mapping[str, str | Policy], scenario: Scenario, seed: int
) -> dict[str, Policy]:
    """Turn names into policies, refusing all bad ones before anything is played.

    Parameters
    ----------
    policies
        Names of controllers, run directories of trained agents, ``pretrained:NAME``; or a mapping from names of
        one's own to any of these, to controllers (batched callables of users and cell) or to agents.
    scenario
        What they will be played in.
    seed
        Seed of the policies that draw at random.

    Returns
    -------
    dict
        Policies by name, in the order given.

    Raises
    ------
    ValueError
        If there is no policy, one is named twice, or a name is unknown.
    TypeError
        If a policy is neither a name, nor callable, nor an agent.
    ImportError
        If an agent is asked for and the libraries that it needs are not installed.
    """
    if isinstance(policies, str):
        policies = [policies]
    if not isinstance(policies, Mapping):
        names = list(policies)
        for name in names:
            if not isinstance(name, str):
                raise TypeError(f"policies must be names, or a mapping from names to policies; got {name!r}")
            if names.count(name) > 1:
                raise ValueError(f"policies must each be named once, got {name!r} {names.count(name)} times")
        policies = {name: name for name in names}
    if not policies:
        raise ValueError("policies must name at least one policy, got none")
    return {name: _make_policy(name, policy, scenario, seed) for name, policy in policies.items()}


def _make_policy(name: str, policy: Any, scenario: Scenario, seed: int) -> Policy:
    if isinstance(policy, str):
        policy = _load(policy, seed)
    if not hasattr(policy, "act") and not callable(policy):
        raise TypeError(f"policy {name!r} must be a name, a callable of users and cell, or an agent; got {policy!r}")
    if hasattr(policy, "in_cell"):
        try:
            policy = policy.in_cell(scenario.cell, scenario.reference_power)
        except ValueError as error:
            raise ValueError(f"policy {name!r}: {error}") from error
    made: Policy = policy
    return made


def _load(name: str, seed: int) -> Policy:
    from multispin_gym.baselines import list_controllers, make_controller

    known = list_controllers()
    if name in known:
        return make_controller(name, **({"seed": seed} if name == "random" else {}))
    if not name.startswith(PRETRAINED) and "/" not in name and not Path(name).exists():
        raise ValueError(
            f"policies must be among {', '.join(known)}, or the run directory of a trained agent; "
            f"got {name!r}.{nearest(name, known)}"
        )
    try:
        from multispin_gym.agents import load_agent

        agent: Agent = load_agent(name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f"policy {name!r} is a trained agent and needs {error.name}: pip install 'multispin-gym[train]'"
        ) from error
    return agent
