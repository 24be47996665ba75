"""Policies by name: controllers, trained agents, and any callable of one's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from multispin_gym._toml import prefixed
from multispin_gym._validation import nearest, shown
from multispin_gym.baselines.estimators import list_estimators, make_estimator
from multispin_gym.baselines.protocols import Estimating
from multispin_gym.baselines.registry import list_controllers, make_controller
from multispin_gym.envs.variants import Variant
from multispin_gym.evaluation.named_functions import is_named_function, load_named_function
from multispin_gym.evaluation.player import Agent, CellSpecific, Player, Policy
from multispin_gym.evaluation.predicting import Model, ModelPolicy
from multispin_gym.scenarios.scenario import Scenario

__all__ = ["PRETRAINED", "SB3", "Agent", "Policy", "make_player", "make_policies", "name_policies"]

PRETRAINED = "pretrained:"
SB3 = "sb3:"


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
