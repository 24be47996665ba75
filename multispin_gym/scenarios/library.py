"""Scenarios by name, and from files."""

from __future__ import annotations

import tomllib
from os import PathLike
from pathlib import Path

from multispin_gym import _toml
from multispin_gym._reading import read_text
from multispin_gym._validation import check_choice, shown, shown_path
from multispin_gym.scenarios.measured_tables import PRESETS
from multispin_gym.scenarios.scenario import Scenario

DEFAULT = "paper_qwen35"
"""What the name ``default`` stands for, which is also what a scenario that is left out is."""

# Earlier name of a scenario -> the one to take instead, and why.
_SUCCESSORS = {
    "default_density": ("laptops_60ms_density", "it was renamed"),
    "llama2_7b": ("paper_llama2", "the best decision in it was always that nobody drafts"),
    "llama2_7b_eager": ("paper_llama2", "the best decision in it was always that nobody drafts"),
    "qwen35_27b": ("paper_qwen35", "the best decision in it was always that nobody drafts"),
}


def list_scenarios(*, clock: bool | None = None) -> list[str]:
    """Names of the scenarios that come with the package.

    Parameters
    ----------
    clock
        True: only those with a clock, in which time passes; False: only those without, which are about single rounds.
        By default all.

    Returns
    -------
    list of str
        The names, sorted.

    Examples
    --------
    >>> "paper_qwen35" in list_scenarios()
    True
    >>> list_scenarios(clock=True)
    ['deadline', 'hidden', 'serve', 'stale']
    """
    files = {entry.name.removesuffix(".toml"): entry for entry in PRESETS.iterdir() if entry.name.endswith(".toml")}
    if clock is None:
        return sorted(files)
    return sorted(
        name for name, entry in files.items() if ("clock" in tomllib.loads(entry.read_text("utf-8"))) == clock
    )


def load_scenario(scenario: str | PathLike[str]) -> Scenario:
    """Load a scenario that comes with the package, or one from a file.

    Parameters
    ----------
    scenario
        One of :func:`list_scenarios`, ``"default"``, which is ``"paper_qwen35"``, or the path of a TOML file: a path
        object, or a string that ends in ``.toml`` or contains a slash.

    Returns
    -------
    Scenario
        The scenario.

    Raises
    ------
    ValueError
        If the name is unknown or of a scenario that is gone, or the file is not a valid scenario.
    TypeError
        If a value in the file is of the wrong type.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> load_scenario("default").name
    'paper_qwen35'
    """
    if isinstance(scenario, str) and not scenario.endswith(".toml") and "/" not in scenario and "\\" not in scenario:
        name = check_choice("scenario", own_name(scenario), ["default", *list_scenarios()])
        return Scenario.from_toml(PRESETS.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
    if not isinstance(scenario, (str, PathLike)):
        raise TypeError(f"scenario must be a name or the path of a TOML file, got {shown(scenario)}")
    path = Path(scenario)
    if not path.is_file():
        raise FileNotFoundError(f"scenario file {shown(str(path))} does not exist")
    with _toml.prefixed(f"{shown_path(path)}: "):
        return Scenario.from_toml(read_text(path, _toml.LONGEST_TEXT))


def own_name(name: str) -> str:
    """Return the name that a scenario has itself: what ``default`` stands for, or the name as it is.

    A name of earlier releases gives a ``ValueError`` that says which took its place.
    """
    if name in _SUCCESSORS:
        successor, reason = _SUCCESSORS[name]
        raise ValueError(f"scenario {name!r} is gone, {reason}: {successor!r} takes its place")
    return DEFAULT if name == "default" else name
