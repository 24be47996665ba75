"""Evaluation of policies in tasks in which time passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multispin_gym.baselines.protocols import Estimating
from multispin_gym.evaluation.pieces import name_of_piece, plan_key, policy_key
from multispin_gym.evaluation.plan import Plan
from multispin_gym.evaluation.policies import Agent, Player, Policy, make_player
from multispin_gym.evaluation.service.loop import play_service
from multispin_gym.evaluation.service.measures import ServiceMeasures
from multispin_gym.evaluation.service.result import ServiceResult
from multispin_gym.runner import Task, run_tasks
from multispin_gym.scenarios.scenario import Scenario

Progress = Callable[[int, int], Any]


def clocked(scenario: Scenario, env_id: str, rounds: int | None, max_time: float | None, sampled: bool) -> Scenario:
    """Return a scenario with the limits of its episodes put into its clock.

    Raises
    ------
    ValueError
        If the scenario has no clock.
    """
    if scenario.clock is None:
        raise ValueError(f"scenario must have a clock for {env_id}, got {scenario.name!r}, which has none")
    changes: dict[str, Any] = {}
    if max_time is not None:
        changes["episode_seconds"] = max_time
    elif rounds is not None:
        changes["episode_seconds"] = None
    if sampled:
        changes["sampled"] = True
    return dataclasses.replace(scenario, clock=dataclasses.replace(scenario.clock, **changes))


def play_services(
    named: Mapping[str, str | Policy],
    plan: Plan,
    *,
    runner: str,
    jobs: int,
    folder: Path | None,
    resume: bool,
    progress: Progress | None,
) -> dict[str, ServiceMeasures]:
    """Play policies by a plan; each is a piece that a runner can spread and continue."""
    if runner == "local" and folder is None:
        found = {}
        for number, (name, policy) in enumerate(named.items(), start=1):
            found[name] = ServiceMeasures.from_dict(service_piece(plan, name, policy))
            if progress is not None:
                progress(number, len(named))
        return found
    key = plan_key(plan)
    tasks = [
        Task(name_of_piece(name), service_piece, (plan, name, policy), f"{key}{policy_key(name, policy)}")
        for name, policy in named.items()
    ]
    results = run_tasks(tasks, runner=runner, jobs=jobs, folder=folder, resume=resume, progress=progress)
    return {name: ServiceMeasures.from_dict(data) for name, data in zip(named, results, strict=True)}


def service_piece(plan: Plan, name: str, policy: str | Policy) -> dict[str, Any]:
    """Play one policy; return its measures as JSON-able data."""
    player = make_player(name, policy, plan.variant, plan.scenario, plan.seed, allow_pickle=plan.allow_pickle)
    return play_service(player, plan.variant, plan.scenario, plan.episodes, plan.seed).to_dict()


def service_result(
    plan: Plan,
    players: Mapping[str, Player],
    found: Mapping[str, ServiceMeasures],
    rivals: Mapping[str, ServiceMeasures],
    baseline: str | None,
) -> ServiceResult:
    """Put the measures of the policies and of the rivals beside them together."""
    clock = plan.scenario.clock
    assert clock is not None
    seconds = clock.episode_seconds
    hides = clock.hidden or clock.report_age > 0.0 or clock.report_noise_db > 0.0
    seeing = [name for name, player in players.items() if not isinstance(player.policy, Agent | Estimating)]
    blind = ("server_only", "random", "uniform_fixed", "fixed_bw_l")
    return ServiceResult(
        scenario=plan.scenario.name,
        env_id=plan.variant.id,
        num_users=plan.scenario.num_users,
        episodes=plan.episodes,
        seed=plan.seed,
        length=f"{plan.scenario.num_rounds} rounds" if seconds is None else f"{seconds:g} s",
        reward=clock.reward,
        sampled=clock.sampled,
        policies=found,
        server_only=rivals["server_only"],
        nested_polished=rivals.get("nested_polished"),
        clairvoyant=tuple(name for name in seeing if hides and name not in blind),
        baseline=baseline,
    )
