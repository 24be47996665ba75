"""The environment that a run trains in, and the held-out cells that it is evaluated on."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from multispin_gym._validation import FloatArray, check_choice
from multispin_gym.agents.config import ENV_IDS
from multispin_gym.agents.training.vec_adapter import RewardUnit, SB3VecEnv
from multispin_gym.baselines import certify, make_controller, relax
from multispin_gym.envs.actions import ActionCodec
from multispin_gym.envs.observations import Observation
from multispin_gym.evaluation.evaluator import MOST_USERS_CERTIFIED
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.rounds import compute_round
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario

# No training run reaches these rows: its own seeds are spread over [0, 2**31).
HELD_OUT_SEED = 2**31 + 7


def make_native_env(
    scenario: Scenario | str, *, num_users: int | None, num_envs: int, env_id: str = ENV_IDS[0]
) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Make the native vector environment with same-step autoreset.

    The scenario may be given as a preset's name or a file's path; the number of users is by default its own.
    """
    return gym.make_vec(
        env_id,
        num_envs=num_envs,
        vectorization_mode="vector_entry_point",
        scenario=scenario,
        num_users=num_users,
        autoreset_mode=AutoresetMode.SAME_STEP,
    )


def make_training_env(
    scenario: Scenario | str,
    *,
    num_users: int | None = None,
    num_envs: int = 1024,
    env_id: str = ENV_IDS[0],
    discount: float = 0.0,
    reward_unit: str | None = None,
    reward: str | None = None,
) -> SB3VecEnv:
    """Make the environment that PPO trains in.

    Parameters
    ----------
    scenario
        The scenario, a preset's name or a file's path.
    num_users
        Users in the cell; by default the scenario's own number.
    num_envs
        Rows.
    env_id
        The environment's id.
    discount
        The learner's discount factor; at 0 no terminal observations are passed on.
    reward_unit
        What rewards are counted in: ``"server_only"`` (the default), ``"homogeneous"`` or ``"optimum"``; see
        :class:`PPOConfig`.
    reward
        Former name of ``reward_unit``.

    Returns
    -------
    SB3VecEnv
        The environment for Stable-Baselines3.

    Raises
    ------
    ValueError
        If the unit is unknown, or given under both names.
    """
    if reward is not None and reward_unit is not None:
        raise ValueError("reward is the former name of reward_unit: give one of them, not both")
    chosen = reward_unit if reward is None else reward
    native = make_native_env(scenario, num_users=num_users, num_envs=num_envs, env_id=env_id)
    cell: Cell = native.unwrapped.scenario.cell  # type: ignore[attr-defined]
    controller = make_controller("homogeneous")

    def server_only_goodput(users: Users) -> float:
        return users.num_users / float(cell.verification.round_time(np.zeros(users.num_users)))

    def homogeneous_goodput(users: Users) -> FloatArray:
        return compute_round(users, cell, controller(users, cell)).goodput

    units: dict[str, RewardUnit] = {
        "server_only": server_only_goodput,
        "homogeneous": homogeneous_goodput,
        "optimum": lambda users: optimum_bound(users, cell),
    }
    unit = units[check_choice("reward_unit", "server_only" if chosen is None else chosen, units)]
    return SB3VecEnv(native, reward_unit=unit, terminal_observations=discount > 0.0)


def optimum_bound(users: Users, cell: Cell) -> FloatArray:
    """Bound the goodput of any allowed decision: what ratios are taken to.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    cell
        The shared system.

    Returns
    -------
    numpy.ndarray
        The certified optimum's upper bound, within 1e-4 of it, for up to 12 users, and the relaxation's beyond, where
        certificates take long. Shape (...,).
    """
    if users.num_users <= MOST_USERS_CERTIFIED:
        return certify(users, cell, gap=1e-4).upper_bound
    return relax(users, cell).upper_bound


class HeldOutCells:
    """Cells that no training run sees, with the reference that policies are measured against.

    The reference is :func:`optimum_bound`; where drafts are homogeneous, the goodput of the exact controller.

    Parameters
    ----------
    scenario
        The scenario.
    num_users
        Users in a cell.
    num_cells
        Number of cells.
    env_id
        The environment's id.
    seed
        Seed of the first cell's row.
    """

    def __init__(
        self, scenario: Scenario, num_users: int, num_cells: int, env_id: str = ENV_IDS[0], seed: int = HELD_OUT_SEED
    ) -> None:
        env: Any = make_native_env(scenario, num_users=num_users, num_envs=num_cells, env_id=env_id).unwrapped
        self.observation: Observation = env.reset(seed=seed)[0]
        self.users: Users = env.users
        self.cell: Cell = env.cell
        self.actions = ActionCodec(self.cell, num_users, homogeneous=env_id == ENV_IDS[1])
        if env_id == ENV_IDS[1]:
            decision = make_controller("homogeneous")(self.users, self.cell)
            self.reference: FloatArray = compute_round(self.users, self.cell, decision).goodput
        else:
            self.reference = optimum_bound(self.users, self.cell)

    def goodput(self, action: np.ndarray[Any, Any]) -> FloatArray:
        """Expected goodput of actions.

        Parameters
        ----------
        action
            One action per cell.

        Returns
        -------
        numpy.ndarray
            Goodputs, token/s. Shape (num_cells,).
        """
        return compute_round(self.users, self.cell, self.actions.decode(action)).goodput
