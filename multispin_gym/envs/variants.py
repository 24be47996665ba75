"""The family of environments: one row for each registered id, read by everything that treats them differently."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from multispin_gym._validation import check_choice
from multispin_gym.envs.actions import ActionCodec
from multispin_gym.envs.clock.observations import ClockObservationCodec
from multispin_gym.envs.observations import ObservationCodec
from multispin_gym.physics.cell import Cell
from multispin_gym.scenarios.scenario import Scenario

if TYPE_CHECKING:
    # Registering the environments does without the controllers.
    from multispin_gym.baselines.reference import ActionSet

DEFAULT_SCENARIO = "default"


def _own_cell(scenario: Scenario) -> Cell:
    """Return the cell of a scenario as it is."""
    return scenario.cell


def _seen_on_a_clock(scenario: Scenario, num_users: int) -> ObservationCodec:
    """Return the codec of a scenario's clock, or where it has none that of a game without one."""
    if scenario.clock is None:
        return ObservationCodec(scenario, num_users)
    return ClockObservationCodec(scenario, scenario.clock, num_users)


@dataclass(frozen=True)
class Variant:
    """One environment of the family.

    Parameters
    ----------
    id
        The id that it is registered by.
    summary
        One line on what sets it apart.
    single, vector
        Entry points of its two forms, ``"module:class"``; the classes name the row as their ``variant``.
    actions
        Function from the cell and the number of users to the codec of its actions.
    observations
        Function from the scenario and the number of users to the codec of its observations.
    cell
        Function from the scenario to the cell that is played.
    action_set
        What its actions can stand for: a draft length for each user or one for all. The reference of its ratios is the
        optimum over this set.
    controller
        Name of the controller that solves its rounds, which agents may be cloned from.
    exogenous
        Whether what is drawn (users, channels, acceptance) does not depend on what is decided. Only then may all
        policies be evaluated on one tape of rounds; a row that says nothing is played for each policy.
    scenario
        Name of its default scenario.
    clock
        Whether time passes in it as its scenario's clock says; its codecs then follow from that clock.
    """

    id: str
    summary: str
    single: str
    vector: str
    actions: Callable[[Cell, int], ActionCodec] = ActionCodec
    observations: Callable[[Scenario, int], ObservationCodec] = ObservationCodec
    cell: Callable[[Scenario], Cell] = _own_cell
    action_set: ActionSet = "own_lengths"
    controller: str = "heterogeneous"
    exogenous: bool = False
    scenario: str = DEFAULT_SCENARIO
    clock: bool = False


MULTI_SPIN = Variant(
    id="multispin_gym/MultiSpin-v0",
    summary="a draft length for each user and a split of the band, round by round",
    single="multispin_gym.envs.single:MultiSpinEnv",
    vector="multispin_gym.envs.vector:MultiSpinVectorEnv",
    exogenous=True,
)
HOMOGENEOUS = Variant(
    id="multispin_gym/MultiSpinHomogeneous-v0",
    summary="one draft length for all users and a split of the band, round by round",
    single="multispin_gym.envs.homogeneous:MultiSpinHomogeneousEnv",
    vector="multispin_gym.envs.homogeneous:MultiSpinHomogeneousVectorEnv",
    actions=partial(ActionCodec, common_length=True),
    action_set="common_length",
    controller="homogeneous",
    exogenous=True,
)

DEADLINE = Variant(
    id="multispin_gym/MultiSpinDeadline-v0",
    summary="requests come, have a length and a deadline, and are paid for when they end in time",
    single="multispin_gym.envs.deadline:MultiSpinDeadlineEnv",
    vector="multispin_gym.envs.deadline:MultiSpinDeadlineVectorEnv",
    scenario="deadline",
    observations=_seen_on_a_clock,
    clock=True,
)
STALE = Variant(
    id="multispin_gym/MultiSpinStale-v0",
    summary="channel reports are old and noisy, and uploads that are not in by a cut-off are lost",
    single="multispin_gym.envs.stale:MultiSpinStaleEnv",
    vector="multispin_gym.envs.stale:MultiSpinStaleVectorEnv",
    scenario="stale",
    observations=_seen_on_a_clock,
    clock=True,
)
HIDDEN = Variant(
    id="multispin_gym/MultiSpinHidden-v0",
    summary="the acceptance rates of requests are hidden: their tasks are seen, and what was accepted so far",
    single="multispin_gym.envs.hidden:MultiSpinHiddenEnv",
    vector="multispin_gym.envs.hidden:MultiSpinHiddenVectorEnv",
    scenario="hidden",
    observations=_seen_on_a_clock,
    clock=True,
)
SERVE = Variant(
    id="multispin_gym/MultiSpinServe-v0",
    summary="requests with deadlines, old reports, a cut-off and hidden acceptance rates, all at once",
    single="multispin_gym.envs.serve:MultiSpinServeEnv",
    vector="multispin_gym.envs.serve:MultiSpinServeVectorEnv",
    scenario="serve",
    observations=_seen_on_a_clock,
    clock=True,
)

VARIANTS: dict[str, Variant] = {row.id: row for row in (MULTI_SPIN, HOMOGENEOUS, DEADLINE, STALE, HIDDEN, SERVE)}
"""The rows by id, the present game first."""


def variant_of(env_id: str) -> Variant:
    """Return the row of an id.

    Parameters
    ----------
    env_id
        A registered id of the family.

    Returns
    -------
    Variant
        Its row.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest.
    """
    return VARIANTS[check_choice("env_id", env_id, VARIANTS)]
