"""Evaluation: every policy on the same users, channels and acceptance draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from multispin_gym._validation import FloatArray, check_choice, check_integer
from multispin_gym.evaluation.open_loop import ENV_IDS, HOMOGENEOUS_ID, Block, play_blocks
from multispin_gym.evaluation.policies import make_policies
from multispin_gym.evaluation.results import EvaluationResult
from multispin_gym.evaluation.tally import Tally
from multispin_gym.physics.rounds import play_round
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.scenario import Scenario

if TYPE_CHECKING:
    from multispin_gym.evaluation.policies import Policy

REFERENCES = ("relaxation", "certificate", "homogeneous")
# Beyond, certificates can take longer than everything else together: the relaxation is the default there.
MOST_USERS_CERTIFIED = 12


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
    scenario: str | PathLike[str] | Scenario,
    num_users: int | None = None,
    episodes: int = 50,
    seed: int = 1000,
    *,
    rounds: int | None = None,
    sampled: bool = False,
    env_id: str = "multispin_gym/MultiSpin-v0",
    reference: str | None = None,
    baseline: str | None = None,
    progress: Callable[[int, int], Any] | None = None,
) -> EvaluationResult:
    """Play every policy on the same episodes.

    Users, channels and acceptance draws do not depend on what is decided, so the environment is run once and all
    policies decide on its rounds: a policy's numbers do not depend on which others are played. Agents' actions are
    decoded as the environment does; controllers' decisions are played as they are.

    Parameters
    ----------
    policies
        Names of controllers (:func:`multispin_gym.baselines.list_controllers`), run directories of trained agents;
        or a mapping from names of one's own to these or to callables ``(users, cell) -> Decision`` over batches of
        shape (rounds, episodes, K).
    scenario
        A scenario, its name, or the path of its TOML file.
    num_users
        Number of users K; by default the scenario's.
    episodes
        Number of episodes.
    seed
        Episode i is seeded with ``seed + i``; resampling and policies that draw at random use ``seed``.
    rounds
        Rounds per episode; by default the scenario's.
    sampled
        Sample the tokens, from the acceptance draws that all policies share; otherwise they are expectations.
    env_id
        The environment: with ``multispin_gym/MultiSpinHomogeneous-v0`` ratios are taken to the best common length.
    reference
        What ratios are taken to: ``"certificate"``, the certified optimum's upper bound (within 1e-6 of it);
        ``"relaxation"``, the upper bound of the relaxation; or ``"homogeneous"``, the exact optimum over common
        lengths. By default the last in the homogeneous environment, otherwise the certificate for up to 12 users and
        the relaxation for more.
    baseline
        One of the policies, with which the others are compared episode by episode.
    progress
        Called now and then with the number of rounds played, over all policies, and with the number there will be.

    Returns
    -------
    EvaluationResult
        The measures of every policy and episode.

    Raises
    ------
    ValueError
        If an argument is out of range or a name is unknown.
    TypeError
        If an argument or a policy's decision is of the wrong type.
    ReferenceExceededError
        If feasible decisions of a policy have more expected goodput than the reference allows.
    """
    from multispin_gym.baselines import make_controller

    env_id = check_choice("env_id", env_id, ENV_IDS)
    episodes = check_integer("episodes", episodes, low=1)
    seed = check_integer("seed", seed, low=0)
    scenario = _scenario(scenario, num_users, rounds)
    reference = _reference(reference, env_id, scenario.num_users)
    players = make_policies(policies, scenario, seed)
    if baseline is not None:
        check_choice("baseline", baseline, players)
    tallies = {name: Tally(name, player, episodes, scenario.num_users) for name, player in players.items()}
    plain = Tally("server_only", make_controller("server_only"), episodes, scenario.num_users)
    bounds, done = np.zeros(episodes), 0
    for block in play_blocks(scenario, env_id, episodes, seed, sampled=sampled):
        bound = _reference_goodput(reference, block)
        bounds[block.episodes] += bound.sum(axis=0)
        for tally in (plain, *tallies.values()):
            if block.start == 0:
                tally.begin(block.mean_users, scenario)
            tally.play(block, bound, common_length=reference == "homogeneous")
            done += bound.size
            if progress is not None:
                progress(done, episodes * scenario.num_rounds * (len(tallies) + 1))
    bounds /= scenario.num_rounds
    result = EvaluationResult(
        scenario=scenario.name,
        env_id=env_id,
        reference=reference,
        num_users=scenario.num_users,
        rounds=scenario.num_rounds,
        episodes=episodes,
        seed=seed,
        sampled=bool(sampled),
        policies={name: tally.result(scenario.num_rounds, bounds) for name, tally in tallies.items()},
        server_only=plain.result(scenario.num_rounds, bounds),
        reference_goodput=bounds,
        baseline=baseline,
    )
    if result.alarms:
        raise ReferenceExceededError(result)
    return result


def _scenario(scenario: str | PathLike[str] | Scenario, num_users: int | None, rounds: int | None) -> Scenario:
    if not isinstance(scenario, Scenario):
        scenario = load_scenario(scenario)
    users = check_integer("num_users", scenario.num_users if num_users is None else num_users, low=1)
    length = check_integer("rounds", scenario.num_rounds if rounds is None else rounds, low=1)
    return dataclasses.replace(scenario, num_users=users, num_rounds=length)


def _reference(reference: str | None, env_id: str, num_users: int) -> str:
    if reference is not None:
        return check_choice("reference", reference, REFERENCES)
    if env_id == HOMOGENEOUS_ID:
        return "homogeneous"
    return "certificate" if num_users <= MOST_USERS_CERTIFIED else "relaxation"


def _reference_goodput(reference: str, block: Block) -> FloatArray:
    from multispin_gym.baselines import certify, make_controller, relax

    if reference == "relaxation":
        return np.asarray(relax(block.users, block.cell).upper_bound)
    if reference == "certificate":
        return np.asarray(certify(block.users, block.cell).upper_bound)
    decision = make_controller("homogeneous")(block.users, block.cell)
    return play_round(block.users, block.cell, decision).goodput
