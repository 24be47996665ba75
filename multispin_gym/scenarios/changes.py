"""Scenarios with a few keys changed, by the dotted names that the keys have in a scenario's file."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from multispin_gym import _toml
from multispin_gym._validation import shown, shown_name
from multispin_gym.scenarios.files import PARSERS
from multispin_gym.scenarios.scenario import Scenario

_STEP = re.compile(r"(?P<name>[^.\[\]]+)(?P<index>(?:\[\d{1,9}\])?)(?:\.|$)")


def change_scenario(scenario: Scenario, changes: Mapping[str, Any]) -> Scenario:
    """Return a scenario with some keys of its file changed, validated as a file is.

    Parameters
    ----------
    scenario
        The scenario to start from.
    changes
        New values by dotted key, such as ``cell.bandwidth``, ``fading.correlation`` or ``acceptance[0].weight``; what
        TOML holds: numbers, strings, lists and, for tables such as ``cell.verification``, dictionaries.

    Returns
    -------
    Scenario
        A scenario whose name says what was changed, unless the name is.

    Raises
    ------
    ValueError
        If a key is unknown (the message names the nearest) or a value is out of range.
    TypeError
        If a value is of the wrong type.

    Examples
    --------
    >>> from multispin_gym import load_scenario
    >>> change_scenario(load_scenario("default"), {"cell.bandwidth": 5e6}).name
    'paper_qwen35 with cell.bandwidth=5000000.0'
    """
    table = tomllib.loads(scenario.to_toml())
    for key, value in changes.items():
        _assign(table, key, value)
    if "name" not in changes:
        table["name"] = changed_name(scenario, changes)
    return _toml.build(Scenario, table, "", PARSERS)


def changed_name(scenario: Scenario, changes: Mapping[str, Any]) -> Any:
    """Return the name of a scenario with some changes, which says what was changed unless the name is."""
    words = ", ".join(f"{key}={_word(value)}" for key, value in changes.items())
    return changes.get("name", f"{scenario.name} with {words}" if words else scenario.name)


def read_key(scenario: Scenario, key: str) -> Any:
    """Return what a scenario's file holds under a dotted key, or None where there is no such key."""
    here: Any = tomllib.loads(scenario.to_toml())
    for step in _STEP.finditer(key):
        try:
            here = here[step["name"]]
            here = here[int(step["index"][1:-1])] if step["index"] else here
        except (KeyError, IndexError, TypeError):
            return None
    return here


def read_changes(texts: Iterable[str]) -> dict[str, Any]:
    """Read changes from texts ``KEY=VALUE``, whose values are TOML; a word without quotes is a string."""
    changes: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key.strip() and equals and value.strip()):
            raise ValueError(f"set must be KEY=VALUE, such as cell.bandwidth=5e6; got {shown(text)}")
        try:
            changes[key.strip()] = _toml.read_value(value, f"the value of {shown_name(key.strip())}")
        except _toml.NotTomlError:
            changes[key.strip()] = value.strip()
    return changes


def _word(value: Any) -> str:
    return shown_name(value) if isinstance(value, str) else shown(value)


def _assign(table: dict[str, Any], key: str, value: Any) -> None:
    """Set one key of a tree of tables, made where there is none: what is built from it refuses those unknown."""
    if key.count(".") >= _toml.MOST_PARTS:
        raise ValueError(f"{shown_name(key)} has more than {_toml.MOST_PARTS} parts")
    steps = list(_STEP.finditer(key))
    if "".join(step.group() for step in steps) != key or key.endswith("."):
        raise ValueError(f"{shown_name(key)} is not a dotted key such as cell.bandwidth or acceptance[0].weight")
    here: Any = table
    for number, step in enumerate(steps):
        name, path = step["name"], key[: step.end()].rstrip(".")
        last = number == len(steps) - 1
        if not step["index"]:
            if last:
                here[name] = value
                return
            here = here.setdefault(name, {})
        else:
            entries, index = here.get(name), int(step["index"][1:-1])
            if not isinstance(entries, list) or index >= len(entries):
                held = f"{len(entries)} entries" if isinstance(entries, list) else "no such list"
                raise ValueError(f"{shown_name(path)} does not exist: the scenario has {held}")
            if last:
                entries[index] = value
                return
            here = entries[index]
        if not isinstance(here, dict):
            raise ValueError(f"{shown_name(key)} does not exist: {shown_name(path)} is {shown(here)}, not a table")
