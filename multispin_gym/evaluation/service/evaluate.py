"""Evaluation of policies in tasks in which time passes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multispin_gym._validation import shown
from multispin_gym.baselines.controller import Controller
from multispin_gym.baselines.protocols import Estimating, Preparable
from multispin_gym.evaluation.pieces import known_to_workers, name_of_piece, plan_key, policy_key
from multispin_gym.evaluation.plan import Plan
from multispin_gym.evaluation.player import Agent, Player, Policy
from multispin_gym.evaluation.policies import make_player
from multispin_gym.evaluation.service.loop import play_service
from multispin_gym.evaluation.service.measures import ServiceMeasures
from multispin_gym.evaluation.service.result import ServiceResult
from multispin_gym.runner import Task, run_tasks

Progress = Callable[[int, int], Any]
# Controllers that decide alike whoever the users are.
_BLIND = ("server_only", "random", "uniform_fixed", "fixed_bw_l")


def clocked(plan: Plan, rounds: int | None) -> Plan:
    """Return a plan whose scenario's clock has the limits of the plan's episodes, and the plan that clock's.

    ``rounds`` are those asked for: without a word on either limit episodes last what the scenario says.

    Raises
    ------
    ValueError
        If the scenario has no clock.
    """
    scenario, clock = plan.scenario, plan.scenario.clock
    if clock is None:
        raise ValueError(f"scenario must have a clock for {plan.variant.id}, got {scenario.name!r}, which has none")
    seconds = clock.episode_seconds if plan.max_time is None and rounds is None else plan.max_time
    sampled = clock.sampled or plan.sampled
    return dataclasses.replace(
        plan,
        scenario=dataclasses.replace(
            scenario, clock=dataclasses.replace(clock, episode_seconds=seconds, sampled=sampled)
        ),
        rounds=scenario.num_rounds if rounds is None and seconds is None else rounds,
        max_time=seconds,
        sampled=sampled,
    )


def check_stays(plan: Plan, players: Mapping[str, Player]) -> None:
    """Refuse policies that plan for the users of an episode where users come and go, before anything is played."""
    clock = plan.scenario.clock
    if clock is None or clock.requests is None or clock.requests.arrivals == "replaced":
        return
    for name, player in players.items():
        rule = player.policy.rule if isinstance(player.policy, Controller) else player.policy
        if isinstance(rule, Preparable):
            raise ValueError(
                f"policy {shown(name)} plans for users who stay, and in {plan.variant.id} they come and go: it is none "
                f"for it"
            )


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
    named = known_to_workers(named)
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
    return play_service(player, plan.variant, plan.scenario, plan.episodes, plan.seed, rounds=plan.rounds).to_dict()


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
    hides = clock.hidden or clock.report_age > 0.0 or clock.report_noise_db > 0.0
    return ServiceResult(
        scenario=plan.scenario.name,
        env_id=plan.variant.id,
        num_users=plan.scenario.num_users,
        episodes=plan.episodes,
        seed=plan.seed,
        rounds=plan.rounds,
        max_time=plan.max_time,
        reward=clock.reward,
        sampled=clock.sampled,
        policies=found,
        server_only=rivals["server_only"],
        nested_polished=rivals.get("nested_polished"),
        clairvoyant=tuple(name for name, player in players.items() if hides and _looks(player)),
        baseline=baseline,
    )


def _looks(player: Player) -> bool:
    """Whether a policy is shown the users themselves, and is not known to take no notice of them."""
    policy = player.policy
    ignores = isinstance(policy, Controller) and policy.name in _BLIND
    return not (ignores or isinstance(policy, Agent | Estimating))
