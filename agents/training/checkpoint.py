"""What an identical continuation of a training run needs: collected, written and put back between two updates."""

from __future__ import annotations

import csv
import io
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch

from multispin_gym._files import write_atomically
from multispin_gym._validation import one_line, shown_name
from multispin_gym.agents.run_directory import (
    EVALUATIONS_FILE,
    STATE_FILE,
    RunDirectoryError,
    write_state,
    write_weights,
)
from multispin_gym.agents.training.mixed_users import EnvSlot, MixedUsersPPO
from multispin_gym.agents.training.state_check import check_state


def write_checkpoint(path: Path, model: MixedUsersPPO, evaluations: list[dict[str, float]], seconds: float) -> None:
    """Write a checkpoint; what resuming needs comes in one file, so it can never be two halves of two checkpoints."""
    write_state(path, {**collect_state(model), "evaluations": evaluations, "seconds": seconds})
    write_what_follows(path, model, evaluations)


def write_what_follows(path: Path, model: MixedUsersPPO, evaluations: list[dict[str, float]]) -> None:
    """Write the files that follow from a state; a run that was killed after its state may have older ones or none."""
    network: torch.nn.Module = model.policy.network  # type: ignore[assignment]
    write_weights(path, network.state_dict())
    text = io.StringIO()
    if evaluations:
        writer = csv.DictWriter(text, list(evaluations[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(evaluations)
    write_atomically(path, {EVALUATIONS_FILE: text.getvalue().encode()})


def collect_state(model: MixedUsersPPO) -> dict[str, Any]:
    """Collect the state of a model between two updates: tensors, numbers, strings, and lists and dicts of them."""
    name, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002 - SB3 draws from it
    return {
        "num_timesteps": model.num_timesteps,
        "num_updates": model._n_updates,
        "policy": model.policy.state_dict(),
        "optimizer": model.policy.optimizer.state_dict(),
        "torch_rng": torch.get_rng_state(),
        "numpy_rng": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, gauss],
        "envs": [
            {
                "game": {name: torch.from_numpy(value) for name, value in _game_state(slot).items()},
                "starts": torch.from_numpy(slot.starts.copy()),
                "returns": torch.from_numpy(slot.env.returns.copy()),
                "episode_lengths": torch.from_numpy(slot.env.episode_lengths.copy()),
            }
            for slot in model.slots
        ],
        "episodes": [dict(episode) for episode in model.ep_info_buffer or ()],
        "pending_logs": {key: float(value) for key, value in model.logger.name_to_value.items()},
    }


def _game_state(slot: EnvSlot) -> dict[str, np.ndarray[Any, Any]]:
    state: dict[str, np.ndarray[Any, Any]] = slot.env.env.unwrapped.state()  # type: ignore[attr-defined]
    return state


def restore_state(model: MixedUsersPPO, state: dict[str, Any]) -> None:
    """Bring a freshly built and seeded model where :func:`collect_state` found it.

    Its logger must be set, and its environments seeded as at the run's start. A state that does not fit the model gives
    a :class:`RunDirectoryError`.
    """
    try:
        _restore(model, state)
    except Exception as error:
        known = isinstance(error, (ValueError, TypeError))
        reason = str(error) if known else f"{type(error).__name__}: {shown_name(str(error))}"
        kind = f"damaged or of another release: it does not fit the run ({one_line(reason)})"
        raise RunDirectoryError(f"{STATE_FILE} is {kind}") from error


def _restore(model: MixedUsersPPO, state: dict[str, Any]) -> None:
    check_state(state, collect_state(model), model.n_steps * model.n_envs)
    model.num_timesteps = state["num_timesteps"]
    model._n_updates = state["num_updates"]
    model.policy.load_state_dict(state["policy"])
    model.policy.optimizer.load_state_dict(state["optimizer"])
    model.ep_info_buffer = deque(state["episodes"], maxlen=model._stats_window_size)
    model.ep_success_buffer = deque(maxlen=model._stats_window_size)
    for key, value in state["pending_logs"].items():
        model.logger.record(key, value)
    for slot, stored in zip(model.slots, state["envs"], strict=True):
        _put_back(slot, stored)
    model._last_obs = model.slots[0].observation
    torch.set_rng_state(state["torch_rng"])
    name, keys, position, has_gauss, gauss = state["numpy_rng"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, gauss))  # noqa: NPY002


def _put_back(slot: EnvSlot, stored: dict[str, Any]) -> None:
    """Bring an environment where it was."""
    env, access = slot.env, slot.env.env.unwrapped
    access.restore({name: value.numpy() for name, value in stored["game"].items()})  # type: ignore[attr-defined]
    slot.observation = access.observe()  # type: ignore[attr-defined]
    slot.starts = stored["starts"].numpy()
    env.returns[:] = stored["returns"].numpy()
    env.episode_lengths[:] = stored["episode_lengths"].numpy()
