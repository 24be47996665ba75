"""The environment that a run trains in, and the held-out cells that it is evaluated on."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from multispin_gym._validation import check_choice
from multispin_gym.agents.environments import learnable_variant
from multispin_gym.agents.training.vec_adapter import RewardUnit, SB3VecEnv
from multispin_gym.baselines.reference import ROUGH_GAP, Reference
from multispin_gym.envs.variants import MULTI_SPIN
from multispin_gym.envs.wrappers import VectorScaledObservation
from multispin_gym.physics.cell import Cell
from multispin_gym.physics.users import Users
from multispin_gym.scenarios.scenario import Scenario


def make_native_env(
    scenario: Scenario | str, *, num_users: int | None, num_envs: int, env_id: str = MULTI_SPIN.id
) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Make the native vector environment, of one in which agents can be trained, with same-step autoreset.

    The scenario may be given as a preset's name or a file's path; the number of users is by default its own.
    """
    return gym.make_vec(
        learnable_variant(env_id).id,
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
    num_envs: int = 8,
    env_id: str = MULTI_SPIN.id,
    discount: float = 0.0,
    reward_unit: str | None = None,
    reward: str | None = None,
    scaled_observations: bool = False,
) -> SB3VecEnv:
    """Make the environment that PPO trains in.

    Stable-Baselines3's PPO collects ``num_envs`` times its ``n_steps`` rounds before every update: with the defaults of
    both 8 x 2,048 = 16,384. Who wants many rows, which are faster, wants few steps: ``train.py`` has 1,024 rows of 4.

    Parameters
    ----------
    scenario
        The scenario, a preset's name or a file's path.
    num_users
        Users in the cell; by default the scenario's own number.
    num_envs
        Rows: cells that are played at a time.
    env_id
        The environment's id.
    discount
        The learner's discount factor; at 0 no terminal observations are passed on.
    reward_unit
        What rewards are counted in: ``"server_only"`` (the default), ``"homogeneous"`` or ``"optimum"``; see
        :class:`PPOConfig`.
    reward
        Former name of ``reward_unit``.
    scaled_observations
        Scale observations from their bounds to [-1, 1], as networks that do not know what they observe want them. The
        policy that ``train.py`` trains takes them as they are.

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
    cell: Cell = native.unwrapped.cell  # type: ignore[attr-defined]

    def server_only_goodput(users: Users) -> float:
        seconds = cell.verification.round_time(np.zeros(users.num_users)) + cell.downlink_time
        return users.num_users / float(seconds)

    units: dict[str, RewardUnit] = {
        "server_only": server_only_goodput,
        "homogeneous": lambda users: Reference("homogeneous").goodput(users, cell),
        "optimum": lambda users: Reference.of_actions("own_lengths", users.num_users, ROUGH_GAP).goodput(users, cell),
    }
    unit = units[check_choice("reward_unit", "server_only" if chosen is None else chosen, units)]
    env = VectorScaledObservation(native) if scaled_observations else native
    return SB3VecEnv(env, reward_unit=unit, terminal_observations=discount > 0.0)
