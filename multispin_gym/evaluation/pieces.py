"""An evaluation in pieces that a runner can spread and continue: blocks of the reference, then one policy each."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from multispin_gym._validation import FloatArray
from multispin_gym.baselines.registry import BUILT_IN, list_controllers, make_controller
from multispin_gym.evaluation.named_functions import is_named_function
from multispin_gym.evaluation.open_loop import groups
from multispin_gym.evaluation.plan import Plan, play, play_block, tape
from multispin_gym.evaluation.player import Policy
from multispin_gym.evaluation.policies import PRETRAINED, SB3, make_player
from multispin_gym.evaluation.results import PolicyResult
from multispin_gym.evaluation.tally import Tally
from multispin_gym.runner import Task, run_tasks


def play_in_pieces(
    policies: Mapping[str, str | Policy],
    plan: Plan,
    *,
    runner: str,
    jobs: int,
    folder: Path | None,
    resume: bool,
    progress: Callable[[int, int], Any] | None,
) -> list[PolicyResult]:
    """Play policies by a plan on a runner; their measures, in order, are those of :func:`play`.

    In an open loop all policies are measured against one reference, which is computed first. What is finished stays in
    ``folder``; ``progress`` is told the number of pieces done and of all.
    """
    count = _num_blocks(plan) if plan.loop == "open" else 0
    total = count + len(policies)

    def report(before: int) -> Callable[[int, int], Any]:
        return lambda done, _: None if progress is None else progress(before + done, total)

    def run(tasks: Sequence[Task], before: int) -> list[Any]:
        return run_tasks(tasks, runner=runner, jobs=jobs, folder=folder, resume=resume, progress=report(before))

    policies = known_to_workers(policies)
    key = plan_key(plan)
    blocks = [Task(f"reference-{number}", reference_piece, (plan, number), key) for number in range(count)]
    bounds = run(blocks, 0)
    tasks = [
        Task(name_of_piece(name), policy_piece, (plan, name, policy, bounds), f"{key}{policy_key(name, policy)}")
        for name, policy in policies.items()
    ]
    return [PolicyResult.from_dict(found) for found in run(tasks, count)]


def reference_piece(plan: Plan, number: int) -> list[list[float]]:
    """Return the reference's goodput in one block of the tape, token/s: a list of episodes for each round."""
    block = next(itertools.islice(tape(plan), number, None))
    bound: list[list[float]] = plan.reference.goodput(block.users, block.cell).tolist()
    return bound


def policy_piece(plan: Plan, name: str, policy: str | Policy, bounds: Sequence[Any]) -> dict[str, Any]:
    """Play one policy, against the reference's goodput in each block where the loop is open."""
    player = make_player(name, policy, plan.variant, plan.scenario, plan.seed, allow_pickle=plan.allow_pickle)
    if plan.loop == "closed":
        return play([player], plan)[0].to_dict()
    tally = Tally(plan.episodes, plan.scenario.num_users)
    for block, bound in zip(tape(plan), bounds, strict=True):
        if block.start == 0:
            player.begin(block.mean_users, plan.scenario)
        reached: FloatArray = np.array(bound, dtype=np.float64)
        play_block(player, tally, block, reached, plan.reference)
    return tally.result().to_dict()


def known_to_workers(policies: Mapping[str, str | Policy]) -> dict[str, str | Policy]:
    """Put controllers for the names given in this process, which workers, new processes, do not know."""
    return {
        name: make_controller(policy) if isinstance(policy, str) and _is_registered(policy) else policy
        for name, policy in policies.items()
    }


def _is_registered(name: str) -> bool:
    return name in list_controllers() and name not in BUILT_IN


def _num_blocks(plan: Plan) -> int:
    rounds = plan.scenario.num_rounds
    return sum(-(-rounds // length) for _, length in groups(plan.episodes, plan.scenario.num_users))


def plan_key(plan: Plan) -> str:
    """Everything that a plan's numbers depend on, as text."""
    fields = (plan.episodes, plan.seed, plan.sampled, plan.rounds, plan.max_time)
    return json.dumps([plan.variant.id, plan.scenario.to_toml(), plan.reference.name, plan.reference.gap, *fields])


def policy_key(name: str, policy: str | Policy) -> str:
    """What tells policies apart: the name, and its files; an object or a function is never taken for another."""
    if not isinstance(policy, str) or (is_named_function(policy) and not policy.startswith(PRETRAINED)):
        return uuid.uuid4().hex
    files = sorted(path for path in Path(policy).glob("*") if path.suffix in (".json", ".safetensors"))
    if policy.startswith(SB3):
        files = [Path(policy.removeprefix(SB3))]
    return json.dumps([name, policy, [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]])


def name_of_piece(name: str) -> str:
    """Name of the piece in which a policy is played: any policy's name makes a file's."""
    return f"policy-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
