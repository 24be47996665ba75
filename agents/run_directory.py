"""The run directory: what a training run leaves behind, written atomically, and what an agent is rebuilt from.

``config.json`` and ``policy.safetensors`` are what people exchange: no pickled code. ``training_state.pt`` is what
``--resume`` needs, plain tensors and numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from multispin_gym import _toml
from multispin_gym._files import leftovers, remove_leftovers, write_atomically
from multispin_gym._reading import parse_json, read_bytes, read_text
from multispin_gym._validation import MOST_USERS, check_integer, shown, shown_name, shown_path
from multispin_gym.agents.config_sections import PolicyConfig
from multispin_gym.agents.environments import learnable_variant
from multispin_gym.agents.hyperparameter_files import build_section
from multispin_gym.envs.variants import Variant, variant_of
from multispin_gym.physics.cell import Cell
from multispin_gym.scenarios.populations import check_text
from multispin_gym.scenarios.scenario import Scenario

if TYPE_CHECKING:
    import torch

FORMAT = "multispin_gym agent"
FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "policy.safetensors"
STATE_FILE = "training_state.pt"
# Bytes of a configuration, whose scenario is a text of its own.
LARGEST_CONFIG = 4_000_000
LARGEST_WEIGHTS, LARGEST_STATE = 2**30, 2**34
EVALUATIONS_FILE = "evaluations.csv"
SUMMARY_FILE = "seeds.json"
FILES = (CONFIG_FILE, WEIGHTS_FILE, STATE_FILE, EVALUATIONS_FILE, SUMMARY_FILE)
TENSORBOARD_FOLDER = "tensorboard"


class RunDirectoryError(ValueError):
    """A run directory is missing, truncated or not one of ours."""


@dataclass(frozen=True)
class AgentSpec:
    """Everything but the weights that an agent is rebuilt from.

    Parameters
    ----------
    scenario
        The scenario that it was trained on.
    env_id
        The environment that it was trained in.
    num_users
        The number of users that it was trained with.
    policy
        Shape of the policy.
    training
        How it was trained, for the record and for resuming.
    versions
        Versions of the packages that trained it.
    """

    scenario: Scenario
    env_id: str
    num_users: int
    policy: PolicyConfig
    training: Mapping[str, Any]
    versions: Mapping[str, str]

    @property
    def variant(self) -> Variant:
        """The row of the environment that it was trained in."""
        return variant_of(self.env_id)

    @property
    def cell(self) -> Cell:
        """The cell that is played there."""
        return self.variant.cell(self.scenario)

    def to_json(self) -> str:
        """Write the specification as the text of ``config.json``."""
        fields = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "env_id": self.env_id,
            "num_users": self.num_users,
            "policy": asdict(self.policy),
            "training": dict(self.training),
            "versions": dict(self.versions),
            "scenario": self.scenario.to_toml(),
        }
        return json.dumps(fields, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> AgentSpec:
        """Read a specification from the text of ``config.json``.

        Text that is not JSON, not of this format, or lacks an entry gives a ``ValueError``.
        """
        fields = parse_json(text)
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise ValueError(f"it is not of the format {FORMAT!r}")
        if fields.get("format_version") != FORMAT_VERSION:
            version = shown(fields.get("format_version"))
            raise ValueError(f"format_version must be {FORMAT_VERSION} for this release, got {version}")
        missing = [key for key in ("env_id", "num_users", "policy", "training", "scenario") if key not in fields]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        return cls(
            scenario=Scenario.from_toml(check_text("scenario", fields["scenario"])),
            env_id=learnable_variant(check_text("env_id", fields["env_id"])).id,
            num_users=check_integer("num_users", fields["num_users"], low=1, high=MOST_USERS),
            policy=PolicyConfig(**asdict(build_section("policy", fields["policy"]))),
            training=dict(_toml.check_table(fields["training"], "training")),
            versions=dict(_toml.check_table(fields.get("versions", {}), "versions")),
        )


def check_new_run(path: Path) -> None:
    """Refuse a directory in which no run can start."""
    there = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not there.is_dir():
        raise RunDirectoryError(f"run_dir must be a new or an empty directory; {shown_path(there)} is a file")
    if not has_trained_nothing(path):
        kind = "a run already (--resume continues it)" if (path / CONFIG_FILE).is_file() else "other files"
        raise RunDirectoryError(f"run_dir must be a new or an empty directory; {shown_path(path)} holds {kind}")


def start_run_directory(path: Path, spec: AgentSpec) -> None:
    """Create the directory of a new run, or take over one that has trained nothing, and say so.

    A directory that holds anything else gives a :class:`RunDirectoryError`.
    """
    check_new_run(path)
    if not is_unused(path):
        print(f"{path} holds the start of a run that has trained nothing: this run takes its place", file=sys.stderr)
    remove_leftovers(path, FILES)
    write_atomically(path, {CONFIG_FILE: spec.to_json().encode()})


def is_unused(path: Path) -> bool:
    """Tell whether there is no such directory, or nothing in it but what a killed run was writing."""
    return not path.exists() or (path.is_dir() and not _names(path))


def _names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()} - {entry.name for entry in leftovers(path, FILES)}


def has_trained_nothing(path: Path) -> bool:
    """Tell whether a directory is unused, or holds a run that was ended before its first checkpoint."""
    if is_unused(path):
        return True
    names = _names(path) if path.is_dir() else set()
    if CONFIG_FILE not in names or names - {CONFIG_FILE, TENSORBOARD_FOLDER}:
        return False
    try:
        read_spec(path)
    except RunDirectoryError:
        return False
    return True


def read_spec(path: Path) -> AgentSpec:
    """Read the specification in a run directory.

    None, or one that is damaged or foreign, gives a :class:`RunDirectoryError`.
    """
    if not path.is_dir():
        raise RunDirectoryError(f"{path} is not a run directory: there is no such directory")
    if not (path / CONFIG_FILE).is_file():
        raise RunDirectoryError(f"{path} is not a run directory: it holds no {CONFIG_FILE}")
    try:
        return AgentSpec.from_json(read_text(path / CONFIG_FILE, LARGEST_CONFIG))
    except (ValueError, TypeError) as error:
        where = shown_path(path / CONFIG_FILE)
        raise RunDirectoryError(f"{where} cannot be read as an agent's configuration: {error}") from error


def write_weights(path: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write an agent's weights, the state of its network, into a run directory."""
    from safetensors.torch import save

    data = save({name: tensor.contiguous() for name, tensor in weights.items()})
    write_atomically(path, {WEIGHTS_FILE: data})


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read an agent's weights, the state of its network; none, or damaged ones, give a :class:`RunDirectoryError`."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    file = path / WEIGHTS_FILE
    if not file.is_file():
        raise RunDirectoryError(f"{path} holds no {WEIGHTS_FILE}: its training wrote no checkpoint, or it is truncated")
    try:
        weights = load(read_bytes(file, LARGEST_WEIGHTS))
    except (SafetensorError, ValueError, TypeError, KeyError, OverflowError) as error:
        raise RunDirectoryError(f"{shown_path(file)} is damaged: {shown_name(str(error))}") from error
    for name, tensor in weights.items():
        kind = str(tensor.dtype).removeprefix("torch.")
        if tensor.dtype == torch.float32 and not tensor.isfinite().all():
            kind = "numbers that are not finite"
        if kind != "float32":
            where = f"{shown_path(file)} holds {shown_name(name)} as {kind}"
            raise RunDirectoryError(f"{where}: all weights must be finite and float32")
    return weights


def write_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write the state that resuming needs: tensors, numbers, strings, and lists and dicts of them."""
    import io

    import torch

    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    write_atomically(path, {STATE_FILE: buffer.getvalue()})


def read_state(path: Path) -> dict[str, Any]:
    """Read the state that resuming needs; no pickled code is run.

    None, or a damaged one, gives a :class:`RunDirectoryError`.
    """
    import torch

    file = path / STATE_FILE
    if not file.is_file():
        raise RunDirectoryError(f"{path} cannot be resumed: it holds no {STATE_FILE}")
    try:
        if file.stat().st_size > LARGEST_STATE:
            raise ValueError(f"it must have at most {LARGEST_STATE} bytes, got {file.stat().st_size}")
        state = torch.load(file, weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RunDirectoryError(f"{shown_path(file)} is damaged: {shown_name(reason)}") from error
    if not isinstance(state, dict):
        raise RunDirectoryError(f"{file} is damaged: it must hold a dict, got {shown(state)}")
    kinds = {"num_timesteps": int, "num_updates": int, "torch_rng": torch.Tensor}
    kinds |= dict.fromkeys(("policy", "optimizer", "pending_logs"), dict)
    kinds |= dict.fromkeys(("numpy_rng", "envs", "episodes"), list)
    for name, kind in kinds.items():
        # A network's state is a dict of its own kind; True is an int to Python alone.
        if not isinstance(state.get(name), kind) or isinstance(state[name], bool):
            got = shown(state[name]) if name in state else "none"
            raise RunDirectoryError(f"{file} is damaged: {name} must be a {kind.__name__}, got {got}")
    return state
