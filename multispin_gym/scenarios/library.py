"""Scenarios by name, and from files."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from multispin_gym import _toml
from multispin_gym._reading import read_text
from multispin_gym._validation import check_choice, shown, shown_path
from multispin_gym.scenarios.measured_tables import PRESETS
from multispin_gym.scenarios.scenario import Scenario


def list_scenarios() -> list[str]:
    """Names of the scenarios that come with the package.

    Returns
    -------
    list of str
        The names, sorted.

    Examples
    --------
    >>> "default" in list_scenarios()
    True
    """
    return sorted(entry.name.removesuffix(".toml") for entry in PRESETS.iterdir() if entry.name.endswith(".toml"))


def load_scenario(scenario: str | PathLike[str]) -> Scenario:
    """Load a scenario that comes with the package, or one from a file.

    Parameters
    ----------
    scenario
        One of :func:`list_scenarios`, or the path of a TOML file: a path object, or a string that ends in
        ``.toml`` or contains a slash.

    Returns
    -------
    Scenario
        The scenario.

    Raises
    ------
    ValueError
        If the name is unknown, or the file is not a valid scenario.
    TypeError
        If a value in the file is of the wrong type.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> load_scenario("default").cell.payload
    16384.0
    """
    if isinstance(scenario, str) and not scenario.endswith(".toml") and "/" not in scenario and "\\" not in scenario:
        name = check_choice("scenario", scenario, list_scenarios())
        return Scenario.from_toml(PRESETS.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    if not isinstance(scenario, (str, PathLike)):
        raise TypeError(f"scenario must be a name or the path of a TOML file, got {shown(scenario)}")
    path = Path(scenario)
    if not path.is_file():
        raise FileNotFoundError(f"scenario file {shown(str(path))} does not exist")
    with _toml.prefixed(f"{shown_path(path)}: "):
        return Scenario.from_toml(read_text(path, _toml.LONGEST_TEXT))
