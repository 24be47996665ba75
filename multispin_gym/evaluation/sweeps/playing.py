"""A sweep's points as pieces that a runner can spread and continue."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from multispin_gym._toml import prefixed
from multispin_gym._validation import check_choice
from multispin_gym.evaluation.evaluator import PLAIN, ReferenceExceededError, finish
from multispin_gym.evaluation.pieces import plan_key, policy_key
from multispin_gym.evaluation.plan import Plan, Progress, play
from multispin_gym.evaluation.policies import make_player, make_policies, name_policies
from multispin_gym.evaluation.sweeps.grid import Point
from multispin_gym.runner import Task, run_tasks


def check_policies(policies: Sequence[str], points: Sequence[Point], baseline: str | None) -> tuple[str, ...]:
    """Refuse policies that are unknown or cannot play one of the points; return their names."""
    named = name_policies(policies)
    if baseline is not None:
        check_choice("baseline", baseline, named)
    for point in points:
        plan = point.plan
        with prefixed(f"at {point.title}: " if point is not points[0] else ""):
            make_policies(named, plan.variant, plan.scenario, plan.seed, allow_pickle=plan.allow_pickle)
    return tuple(named)


def play_points(
    points: Sequence[Point],
    policies: Sequence[str],
    baseline: str,
    *,
    runner: str,
    jobs: int,
    folder: Path,
    resume: bool,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """Evaluate the policies at every point, a piece each, kept in a folder; the results in order, as JSON gives them.

    Each is what :meth:`EvaluationResult.to_dict` returns for the same policies, plan and baseline.
    """
    tasks = [
        Task(_name(point.values), point_piece, (point.plan, tuple(policies), baseline), _key(point, policies, baseline))
        for point in points
    ]
    found: list[dict[str, Any]] = run_tasks(
        tasks, runner=runner, jobs=jobs, folder=folder, resume=resume, progress=progress
    )
    return found


def point_piece(plan: Plan, policies: Sequence[str], baseline: str) -> dict[str, Any]:
    """Play the policies by a plan and return the evaluation's result; an alarm is in it."""
    named = name_policies(policies)
    players = make_policies(named, plan.variant, plan.scenario, plan.seed, allow_pickle=plan.allow_pickle)
    plain = make_player(PLAIN, PLAIN, plan.variant, plan.scenario, plan.seed)
    found = play((plain, *players.values()), plan)
    try:
        return finish(plan, found[0], dict(zip(players, found[1:], strict=True)), baseline).to_dict()
    except ReferenceExceededError as error:
        return error.result.to_dict()


def remove_pieces(folder: Path) -> None:
    """Remove the points that are kept in a folder, those of interrupted sweeps included, and the folder if empty."""
    for pattern in ("point-*.json", ".point-*.tmp"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


def _name(values: Mapping[str, Any]) -> str:
    """Name a point after its values: points that two grids share have one name."""
    return f"point-{hashlib.sha256(json.dumps(dict(values)).encode()).hexdigest()[:16]}"


def _key(point: Point, policies: Sequence[str], baseline: str) -> str:
    """Everything that a point's numbers depend on, as text."""
    return json.dumps([plan_key(point.plan), [policy_key(name, name) for name in policies], baseline])
