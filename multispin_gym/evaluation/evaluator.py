"""Evaluation: every policy on the same users, channels and acceptance draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from pathlib import Path

from multispin_gym._validation import check_choice, check_integer
from multispin_gym.baselines.reference import MOST_USERS_CERTIFIED, REFERENCES
from multispin_gym.envs.variants import MULTI_SPIN
from multispin_gym.evaluation.pieces import play_in_pieces
from multispin_gym.evaluation.plan import Plan, Progress, make_plan, play
from multispin_gym.evaluation.player import Player, Policy
from multispin_gym.evaluation.policies import make_player, make_policies, name_policies
from multispin_gym.evaluation.results import EvaluationResult, PolicyResult
from multispin_gym.evaluation.service.evaluate import check_stays, clocked, play_services, service_result
from multispin_gym.evaluation.service.result import ServiceResult
from multispin_gym.runner import MOST_JOBS, RUNNERS
from multispin_gym.scenarios.scenario import Scenario

__all__ = ["MOST_USERS_CERTIFIED", "REFERENCES", "ReferenceExceededError", "evaluate"]

# Plain decoding is played whether asked for or not, and so is the rule that a good engineer writes first.
PLAIN, RULE = "server_only", "nested_polished"
# The rule is left out where it takes long, and where its decisions are none of the environment's.
MOST_USERS_OF_THE_RULE = 1_000


class ReferenceExceededError(RuntimeError):
    """A policy's feasible decisions stood above a bound that none can pass: some number is wrong.

    Parameters
    ----------
    result
        The evaluation in which it happened, complete.
    """

    def __init__(self, result: EvaluationResult) -> None:
        self.result = result
        what = "; ".join(f"{name}: {alarm}" for name, alarm in result.alarms.items())
        super().__init__(
            f"a policy is above the {result.reference} reference, which no allowed decision can be. {what}"
        )


def evaluate(
    policies: Iterable[str] | Mapping[str, str | Policy],
    scenario: str | PathLike[str] | Scenario | None = None,
    num_users: int | None = None,
    episodes: int = 50,
    seed: int = 1000,
    *,
    rounds: int | None = None,
    sampled: bool = False,
    env_id: str = MULTI_SPIN.id,
    reference: str | None = None,
    baseline: str | None = None,
    loop: str | None = None,
    max_time: float | None = None,
    runner: str = "local",
    jobs: int = 0,
    folder: Path | None = None,
    resume: bool = False,
    allow_pickle: bool = False,
    progress: Progress | None = None,
) -> EvaluationResult | ServiceResult:
    """Play every policy on the same episodes.

    Where users, channels and acceptance draws do not depend on what is decided, the environment is run once and all
    policies decide on its rounds (open loop). Elsewhere, and where asked for, the game is played for each policy, from
    the same seeds (closed loop). Either way a policy's numbers do not depend on which others are played, agents'
    actions are decoded as the environment does, and controllers' decisions are played as they are.

    Parameters
    ----------
    policies
        Names of controllers (:func:`multispin_gym.baselines.list_controllers`), run directories of trained agents,
        ``module:function`` or ``file.py:function``, ``sb3:FILE.zip``; or a mapping from names of one's own to these, to
        callables ``(users, cell) -> Decision`` over batches of shape (..., K), to functions of observations
        (:func:`as_policy`), or to models of Stable-Baselines3.
    scenario
        A scenario, its name, or the path of its TOML file; by default the environment's own.
    num_users
        Number of users K; by default the scenario's.
    episodes
        Number of episodes.
    seed
        Episode i is seeded with ``seed + i``; resampling and policies that draw at random use ``seed``.
    rounds
        Rounds per episode; by default the scenario's, or without limit where there is a ``max_time`` or the scenario's
        episodes last a time.
    sampled
        Sample the tokens, from the acceptance draws that all policies share; otherwise they are expectations.
    env_id
        The environment: with ``multispin_gym/MultiSpinHomogeneous-v0`` ratios are taken to the best common length.
    reference
        What ratios are taken to: ``"certificate"``, the certified optimum's upper bound (within 1e-6 of it);
        ``"relaxation"``, the upper bound of the relaxation; or ``"homogeneous"``, the exact optimum over common
        lengths. By default the last in the homogeneous environment, otherwise the certificate for up to 12 users and
        the relaxation for more. Where time passes there is none.
    baseline
        One of the policies, with which the others are compared episode by episode.
    loop
        ``"open"`` or ``"closed"``; by default open where that is possible, which it is not where time passes.
    max_time
        Seconds of play after which an episode ends, with the round that reaches them; where time passes, by default
        the scenario's. How many rounds that takes depends on the policy, so the loop is closed.
    runner
        Where the work is done: ``"local"``, ``"processes"`` or ``"ray"``; see :func:`multispin_gym.runner.run_tasks`.
        The result is the same.
    jobs
        How many pieces of the work are done at a time; 0 means one per core.
    folder
        Where finished pieces are kept until all are; by default they are not.
    resume
        Go on from the pieces in the folder. Policies that are objects are played anew.
    allow_pickle
        Load policies ``sb3:FILE.zip``, which runs the code that is pickled in the file.
    progress
        Called now and then with the amount of work done and that of all: rounds over all policies, or pieces.

    Returns
    -------
    EvaluationResult or ServiceResult
        The measures of every policy and episode; the second where time passes.

    Raises
    ------
    ValueError
        If an argument is out of range or a name is unknown, or the loop cannot be open.
    TypeError
        If an argument or a policy's decision is of the wrong type.
    ReferenceExceededError
        If feasible decisions of a policy have more expected goodput than the reference allows.
    """
    check_choice("runner", runner, RUNNERS)
    check_integer("jobs", jobs, low=0, high=MOST_JOBS)
    plan = make_plan(scenario, num_users, episodes, seed, rounds, sampled, env_id, reference, loop, max_time)
    plan = dataclasses.replace(plan, allow_pickle=allow_pickle)
    if plan.variant.clock:
        plan = clocked(plan, rounds)
    named = name_policies(policies)
    players = make_policies(named, plan.variant, plan.scenario, plan.seed, allow_pickle=plan.allow_pickle)
    if baseline is not None:
        check_choice("baseline", baseline, players)
    if plan.variant.clock:
        check_stays(plan, players)
        # A rival that is asked for under its own name is played once.
        besides = {f" {name}": name for name in _rivals(plan) if named.get(name) != name}
        served = play_services(
            {**besides, **named}, plan, runner=runner, jobs=jobs, folder=folder, resume=resume, progress=progress
        )
        rivals = {name: served[f" {name}" if f" {name}" in besides else name] for name in _rivals(plan)}
        return service_result(plan, players, {name: served[name] for name in named}, rivals, baseline)
    if runner == "local" and folder is None:
        return compare(plan, players, baseline, progress)
    # Two policies may have one name, one of them a rival's own.
    every = {**{f" {name}": name for name in _rivals(plan)}, **named}
    found = play_in_pieces(every, plan, runner=runner, jobs=jobs, folder=folder, resume=resume, progress=progress)
    return _finish(plan, found, list(players), baseline)


def compare(
    plan: Plan, players: Mapping[str, Player], baseline: str | None, progress: Progress | None = None
) -> EvaluationResult:
    """Play policies by a plan, and the rivals beside them; :func:`evaluate` says what is raised."""
    rivals = [make_player(name, name, plan.variant, plan.scenario, plan.seed) for name in _rivals(plan)]
    return _finish(plan, play((*rivals, *players.values()), plan, progress), list(players), baseline)


def _rivals(plan: Plan) -> list[str]:
    """Names of the controllers that are played beside all policies: plain decoding first."""
    fits = plan.variant.action_set == "own_lengths" and plan.scenario.num_users <= MOST_USERS_OF_THE_RULE
    return [PLAIN, RULE] if fits else [PLAIN]


def _finish(plan: Plan, found: Sequence[PolicyResult], names: Sequence[str], baseline: str | None) -> EvaluationResult:
    """Put the measures of the rivals and the policies, in this order, together, and raise the alarm."""
    rivals = dict(zip(_rivals(plan), found, strict=False))
    result = EvaluationResult(
        scenario=plan.scenario.name,
        env_id=plan.variant.id,
        reference=plan.reference.name,
        num_users=plan.scenario.num_users,
        rounds=plan.rounds,
        episodes=plan.episodes,
        seed=plan.seed,
        sampled=plan.sampled,
        policies=dict(zip(names, found[len(rivals) :], strict=True)),
        server_only=rivals[PLAIN],
        nested_polished=rivals.get(RULE),
        baseline=baseline,
        loop=plan.loop,
        max_time=plan.max_time,
    )
    if result.alarms:
        raise ReferenceExceededError(result)
    return result
