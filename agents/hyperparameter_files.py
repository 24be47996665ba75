"""Hyperparameter files: TOML with the tables of a training run's configuration."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from multispin_gym import _toml
from multispin_gym._reading import read_text
from multispin_gym._validation import nearest, shown, shown_name, shown_path
from multispin_gym.agents.config import TrainConfig
from multispin_gym.agents.config_sections import CloningConfig, PolicyConfig, PPOConfig
from multispin_gym.scenarios.library import list_scenarios, own_name

RECIPES = ("cloned", "mixed")
"""Hyperparameters that ship for other ways to train: a warm start, and several numbers of users."""

Section = PolicyConfig | PPOConfig | CloningConfig

SECTIONS: dict[str, type[Section]] = {
    "policy": PolicyConfig,
    "ppo": PPOConfig,
    "cloning": CloningConfig,
}


FORMER_KEYS = {"ppo.reward": "ppo.reward_unit"}
"""Earlier name of a key -> its name today; files, run directories and command lines may still have the earlier one."""


def _rename_former_keys(name: str, table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a section's table under the keys of today; a value given under both names of a key is refused."""
    renamed: dict[str, Any] = {}
    for key, value in table.items():
        today = FORMER_KEYS.get(f"{name}.{key}", f"{name}.{key}").removeprefix(f"{name}.")
        if today != key and today in table:
            raise ValueError(f"{name}.{key} is the former name of {name}.{today}: give one of them, not both")
        renamed[today] = value
    return renamed


def build_section(name: str, table: Mapping[str, Any]) -> Section:
    """Build the section ``"policy"``, ``"ppo"`` or ``"cloning"`` from a table; missing keys keep their defaults.

    An unknown key and a value out of range give a ``ValueError``, a value of the wrong type a ``TypeError``.
    """
    if not isinstance(table, Mapping):
        raise TypeError(f"{name} must be a table, got {shown(table)}")
    table, kind = _rename_former_keys(name, table), SECTIONS[name]
    known = [entry.name for entry in dataclasses.fields(kind)]
    for key in table:
        if key not in known:
            raise ValueError(f"unknown key {name}.{shown_name(key)}; known: {', '.join(known)}.{nearest(key, known)}")
    return kind(**table)


def read_hyperparameters(text: str, where: str) -> dict[str, Any]:
    """Read fields of :class:`TrainConfig` from TOML; ``where`` says in messages where the text comes from.

    The text has any of the tables ``policy``, ``ppo`` and ``cloning``, and ``total_timesteps``. What is not TOML, an
    unknown key and a value out of range give a ``ValueError``.
    """
    tables = _toml.read(text, where)
    fields: dict[str, Any] = {}
    known = (*SECTIONS, "total_timesteps")
    for key, value in tables.items():
        if key not in known:
            raise ValueError(
                f"unknown key {shown_name(key)} in {where}; known: {', '.join(known)}.{nearest(key, known)}"
            )
        fields[key] = build_section(key, value) if key in SECTIONS else value
    return fields


def hyperparameters(scenario: str, path: str | None = None) -> dict[str, Any]:
    """Return the fields of :class:`TrainConfig` that a file holds, or one of :data:`RECIPES`.

    By default it is the file that ships for a scenario, given as a preset's name or a file's path, or else the one for
    any. A file that is not as :func:`read_hyperparameters` wants it gives a ``ValueError``.
    """
    if path in RECIPES:
        return {**shipped_hyperparameters(f"{path}.toml"), "hyperparameters": path}
    if path is not None:
        if not Path(path).is_file():
            raise FileNotFoundError(f"hyperparameters file {shown(path)} does not exist")
        with _toml.prefixed(f"{shown_path(path)}: "):
            text = read_text(Path(path), _toml.LONGEST_TEXT)
            return {**read_hyperparameters(text, "the file"), "hyperparameters": path}
    stem = Path(scenario).stem
    own = own_name(stem) if stem == scenario else stem
    tuned = own in list_scenarios() and _shipped(f"{own}.toml").is_file()
    return shipped_hyperparameters(f"{own if tuned else 'any'}.toml")


def shipped_hyperparameters(name: str) -> dict[str, Any]:
    """Return the hyperparameters of a file that ships: ``any.toml``, or that of a preset or a recipe."""
    return read_hyperparameters(_shipped(name).read_text(encoding="utf-8"), name)


def _shipped(name: str) -> Traversable:
    return resources.files("multispin_gym.agents").joinpath("hyperparameters", name)


def hyperparameter_text(config: TrainConfig) -> str:
    """Write a configuration's tables ``policy`` and ``ppo``, those of a training from scratch, as TOML.

    Examples
    --------
    >>> text = hyperparameter_text(TrainConfig())
    >>> read_hyperparameters(text, "text") == {"policy": PolicyConfig(), "ppo": PPOConfig()}
    True
    """
    tables: dict[str, Section] = {"policy": config.policy, "ppo": config.ppo}
    return "\n".join(f"[{name}]\n{_table(section)}" for name, section in tables.items())


def _table(section: Section) -> str:
    # The values are numbers, words and lists of numbers, which JSON and TOML write alike.
    entries = dataclasses.asdict(section).items()
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in entries if value != ())
