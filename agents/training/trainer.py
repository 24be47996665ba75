"""Train an agent: build the run, let Stable-Baselines3's PPO learn, keep what resuming needs."""

from __future__ import annotations

import dataclasses
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from torch.utils.tensorboard.writer import SummaryWriter

from multispin_gym._files import remove_leftovers
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.policy.network import EquivariantActorCritic
from multispin_gym.agents.policy.sb3_policy import EquivariantPolicy
from multispin_gym.agents.run_directory import (
    FILES,
    TENSORBOARD_FOLDER,
    AgentSpec,
    RunDirectoryError,
    check_new_run,
    has_trained_nothing,
    read_spec,
    read_state,
    start_run_directory,
)
from multispin_gym.agents.training.callbacks import BetweenUpdates, StopTraining, schedule, stop_flag
from multispin_gym.agents.training.checkpoint import restore_state, write_checkpoint, write_what_follows
from multispin_gym.agents.training.cloning import clone, demonstrate
from multispin_gym.agents.training.env import make_training_env
from multispin_gym.agents.training.held_out import HeldOutCells, HeldOutEpisodes, held_out
from multispin_gym.agents.training.mixed_users import MixedUsersPPO
from multispin_gym.runner import interrupted, pass_on_interrupt
from multispin_gym.scenarios.changes import change_scenario, read_changes
from multispin_gym.scenarios.library import load_scenario
from multispin_gym.scenarios.scenario import Scenario

_PACKAGES = ("multispin-gym", "gymnasium", "numpy", "stable-baselines3", "torch")
# Not part of what is trained: a resumed run may differ in these.
UNRECORDED = ("policy", "run_dir", "resume", "progress", "hyperparameters", "seeds", "jobs", "runner")


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What came of a run.

    Parameters
    ----------
    run_dir
        The run's directory.
    evaluations
        All evaluations, oldest first: ``timesteps``, ``seconds``, ``goodput`` and ``ratio``.
    stopped
        Why the run ended early; empty if it did not.
    interrupted
        Whether an interrupt came, be it too late to end the run early.
    """

    run_dir: Path
    evaluations: list[dict[str, float]]
    stopped: str
    interrupted: bool = False


class _ContinuedTensorBoard(TensorBoardOutputFormat):
    """TensorBoard output that drops what an earlier process logged after the checkpoint."""

    def __init__(self, folder: str, first_step: int) -> None:
        self.writer = SummaryWriter(folder, purge_step=first_step)
        self._is_closed = False


def training_seeds(seed: int) -> tuple[int, int]:
    """Spread a run's seed, so that runs with neighbouring seeds share no row of the environment.

    Returns the learner's seed and that of the environment's first row.
    """
    learner, environment = np.random.SeedSequence(seed).generate_state(2).tolist()
    return learner, environment % (2**31 - 2**21)


def describe(config: TrainConfig, scenario: Scenario) -> AgentSpec:
    """Describe a run that is about to start in a scenario: what goes into ``config.json``."""
    versions = {package: metadata.version(package) for package in _PACKAGES}
    versions["python"] = platform.python_version()
    training = dataclasses.asdict(config)
    for key in UNRECORDED:
        del training[key]
    return AgentSpec(
        scenario=scenario,
        env_id=config.env_id,
        num_users=scenario.num_users if config.num_users is None else config.num_users,
        policy=config.policy,
        training=training,
        versions=versions,
    )


def build_model(
    config: TrainConfig, spec: AgentSpec, policy_class: type[EquivariantPolicy] = EquivariantPolicy
) -> MixedUsersPPO:
    """Build PPO and its environments, seeded."""
    learner_seed, env_seed = training_seeds(config.seed)
    ppo = config.ppo
    envs = [
        make_training_env(
            spec.scenario,
            num_users=count,
            num_envs=ppo.num_envs,
            env_id=spec.env_id,
            discount=ppo.discount,
            reward_unit=ppo.reward_unit,
        )
        # From the largest: the policy sees from its action's size whether all users share one draft length.
        for count in sorted(set(ppo.num_users or (spec.num_users,)), reverse=True)
    ]
    model = MixedUsersPPO(
        policy_class,
        envs,
        learning_rate=schedule(ppo.learning_rate_schedule, ppo.learning_rate),
        n_steps=ppo.rollout_steps,
        batch_size=ppo.batch_size,
        n_epochs=ppo.num_epochs,
        gamma=ppo.discount,
        gae_lambda=ppo.gae_lambda,
        clip_range=ppo.clip_range,
        ent_coef=ppo.entropy_coefficient,
        vf_coef=ppo.value_coefficient,
        max_grad_norm=ppo.max_gradient_norm,
        policy_kwargs={"scenario": dataclasses.replace(spec.scenario, cell=spec.cell), "policy": spec.policy},
        seed=learner_seed,
        device="cpu",
    )
    for env in envs:
        env.seed(env_seed)
    return model


def train(config: TrainConfig, policy_class: type[EquivariantPolicy] = EquivariantPolicy) -> TrainingResult:
    """Train an agent, or continue training it.

    Parameters
    ----------
    config
        The run's configuration.
    policy_class
        The policy's class; agents are loaded with the default one.

    Returns
    -------
    TrainingResult
        Where the run lies, and how it went.

    Raises
    ------
    RunDirectoryError
        If the run directory is in use, or cannot be resumed.
    KeyboardInterrupt
        If it is interrupted before its first checkpoint; afterwards an interrupted run returns.
    ValueError
        If the scenario is unknown or damaged.
    """
    torch.set_num_threads(config.threads)
    path = Path(config.run_dir)
    state: dict[str, Any] = {}
    if config.resume:
        spec = read_spec(path)
        state = _state_to_resume(path)
    else:
        spec = describe(config, change_scenario(load_scenario(config.scenario), read_changes(config.set)))
        check_new_run(path)
    cells = held_out(spec, config.eval_cells)
    model = build_model(config, spec, policy_class)
    if not config.resume:
        start_run_directory(path, spec)
    model.set_logger(Logger(str(path), []))
    if state:
        restore_state(model, state)
        if not state["evaluations"] and model.num_timesteps >= config.total_timesteps:
            raise RunDirectoryError(f"{path} cannot be resumed: its training is over, and nothing was evaluated")
    tensorboard = _ContinuedTensorBoard(str(path / TENSORBOARD_FOLDER), state.get("num_timesteps", -1) + 1)
    model.logger.output_formats.append(tensorboard)
    try:
        with stop_flag() as stop:
            result = _learn(config, spec, model, cells, state, stop)
            if stop[0]:
                pass_on_interrupt()
            return dataclasses.replace(result, interrupted=stop[0] or result.stopped == "interrupted")
    finally:
        for slot in model.slots:
            slot.env.close()
        model.logger.close()


def _state_to_resume(path: Path) -> dict[str, Any]:
    """Read a run's last checkpoint; none, which is said, if it was ended before its first."""
    nothing = has_trained_nothing(path)
    state = {} if nothing else read_state(path)
    if nothing:
        print(f"{path} has no checkpoint yet: its training starts anew", file=sys.stderr)
    remove_leftovers(path, FILES)
    return state


def _learn(
    config: TrainConfig,
    spec: AgentSpec,
    model: MixedUsersPPO,
    cells: HeldOutCells | HeldOutEpisodes,
    state: dict[str, Any],
    stop: list[bool],
) -> TrainingResult:
    evaluations: list[dict[str, float]] = list(state.get("evaluations", []))
    stopped = ""
    path = Path(config.run_dir)

    def save() -> None:
        write_checkpoint(path, model, evaluations, callback.seconds)

    callback = BetweenUpdates(config, cells, save, evaluations, state.get("seconds", 0.0), stop)
    if state:
        write_what_follows(path, model, evaluations)
    elif config.cloning.num_cells:
        _clone(config, spec, model, stop)
    remaining = config.total_timesteps - model.num_timesteps
    if remaining > 0:
        try:
            model.learn(remaining, callback, reset_num_timesteps=not state)
            callback.between(last=True)
        except StopTraining as reason:
            stopped = str(reason)
        finally:
            callback.close()
    return TrainingResult(path, evaluations, stopped)


def _clone(config: TrainConfig, spec: AgentSpec, model: MixedUsersPPO, stop: list[bool]) -> None:
    """Clone; an interrupt ends it with nothing to keep, and a resumed run clones anew."""

    def between() -> None:
        if stop[0] or interrupted():
            raise KeyboardInterrupt

    rng = np.random.default_rng([config.seed, 1])
    shown = demonstrate(spec, config.cloning, model.slots[0].env.units, rng, between)
    network: EquivariantActorCritic = model.policy.network  # type: ignore[assignment]
    clone(network, shown, config.cloning, between, progress=config.progress)
