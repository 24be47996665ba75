"""Whether a training state fits the model that is to take it on: compared with that model's own, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from multispin_gym._validation import MOST_TIMESTEPS, check_integer, check_list, check_number, shown, shown_name
from multispin_gym.scenarios.populations import check_text

# What an evaluation says.
_EVALUATION = {"timesteps": 0, "seconds": 0.0, "goodput": 0.0, "ratio": 0.0}


def check_state(state: Mapping[str, Any], own: Mapping[str, Any], update: int) -> None:
    """Refuse a state that is not of the form of a model's own, or whose numbers no training leaves behind.

    ``update`` is the number of rounds between two updates. The error names the entry, what it must be and what it is.
    """
    steps = check_integer("num_timesteps", state["num_timesteps"], low=0, high=MOST_TIMESTEPS)
    if steps % update:
        raise ValueError(f"num_timesteps must be a multiple of the {update} rounds of an update, got {steps}")
    check_integer("num_updates", state["num_updates"], low=0, high=MOST_TIMESTEPS)
    for name in ("policy", "torch_rng", "numpy_rng"):
        check_form(name, state[name], own[name])
    _check_optimizer(state["optimizer"], own)
    check_form("envs", state["envs"], own["envs"], finite=False)
    for number, env in enumerate(state["envs"]):
        if not env["game"]["seeded"].all():
            raise ValueError(f"envs[{number}].game.seeded must be true in every row, got {shown(env['game'])}")
    for number, evaluation in enumerate(
        check_list("evaluations", state["evaluations"], kind="a list of tables", of=dict)
    ):
        for name in _same_names(f"evaluations[{number}]", evaluation, _EVALUATION):
            check_number(f"evaluations[{number}].{name}", evaluation[name])
    check_number("seconds", state["seconds"], low=0.0)
    for number, episode in enumerate(check_list("episodes", state["episodes"], kind="a list of tables", of=dict)):
        for name in _same_names(f"episodes[{number}]", episode, {"r": 0.0, "l": 0, "t": 0.0}):
            check_number(f"episodes[{number}].{name}", episode[name])
    for name, value in state["pending_logs"].items():
        check_text("pending_logs' names", name)
        # Some, such as the explained variance, may be NaN.
        if not isinstance(value, float):
            raise TypeError(f"pending_logs.{shown_name(name)} must be a number, got {shown(value)}")


def _check_optimizer(state: Any, own: Mapping[str, Any]) -> None:
    groups = own["optimizer"]["param_groups"]
    parts = _same_names("optimizer", state, {"state": {}, "param_groups": groups})
    check_form("optimizer.param_groups", parts["param_groups"], groups)
    parameters = list(own["policy"].values())
    moments = {
        number: {"step": torch.zeros(()), "exp_avg": value, "exp_avg_sq": value}
        for number, value in enumerate(parameters)
    }
    if parts["state"] == {}:
        return
    check_form("optimizer.state", parts["state"], moments)
    for number, entry in parts["state"].items():
        for name in ("step", "exp_avg_sq"):
            if (entry[name] < 0.0).any():
                raise ValueError(f"optimizer.state[{number}].{name} must be at least 0, got {shown(entry[name])}")
        check_integer(f"optimizer.state[{number}].step", entry["step"].item(), low=1, high=MOST_TIMESTEPS)


def check_form(path: str, value: Any, like: Any, *, finite: bool = True) -> None:
    """Refuse a value of another form: another kind, other names, another length or shape; NaN, and infinities.

    What is neither a number nor holds any has to be the same.
    """
    if isinstance(like, torch.Tensor):
        _check_tensor(path, value, like, finite)
    elif isinstance(like, dict):
        for name, entry in _same_names(path, value, like).items():
            check_form(f"{path}.{name}", entry, like[name], finite=finite)
    elif isinstance(like, (list, tuple)):
        if type(value) is not type(like) or len(value) != len(like):
            raise ValueError(f"{path} must be a {type(like).__name__} of {len(like)} entries, got {shown(value)}")
        for number, entry in enumerate(like):
            check_form(f"{path}[{number}]", value[number], entry, finite=finite)
    elif isinstance(like, (int, float)) and not isinstance(like, bool):
        check_number(path, value)
        if type(value) is not type(like):
            raise TypeError(f"{path} must be of type {type(like).__name__}, got {shown(value)}")
    elif type(value) is not type(like) or value != like:
        raise ValueError(f"{path} must be {shown(like)}, got {shown(value)}")


def _check_tensor(path: str, value: Any, like: torch.Tensor, finite: bool) -> None:
    if not isinstance(value, torch.Tensor) or value.dtype != like.dtype or value.shape != like.shape:
        got = _described(value) if isinstance(value, torch.Tensor) else shown(value)
        raise ValueError(f"{path} must be {_described(like)}, got {got}")
    if value.is_floating_point() and not (value.isfinite() if finite else ~value.isnan()).all():
        raise ValueError(f"{path} must be {'finite' if finite else 'numbers'}, got {shown(value)}")


def _described(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)}"


def _same_names(path: str, value: Any, like: Mapping[Any, Any]) -> dict[Any, Any]:
    """Return a dictionary if it has the names of another."""
    if not isinstance(value, dict):
        raise TypeError(f"{path} must be a dict, got {shown(value)}")
    if value.keys() != like.keys():
        different = sorted(map(shown_name, value.keys() ^ like.keys()))
        raise ValueError(f"{path} must have the names {shown(list(like))}, and differs in {', '.join(different[:5])}")
    return value
