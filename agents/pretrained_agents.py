"""Trained agents that ship with the package, each with a card."""

from __future__ import annotations

import json
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any

from multispin_gym._validation import check_choice

PREFIX = "pretrained:"
# Earlier name of an agent -> its name today.
_RENAMED = {
    "default": "laptops_60ms",
    "default-homogeneous": "laptops_60ms-homogeneous",
    "default-ppo": "laptops_60ms-ppo",
    "default_density": "laptops_60ms_density",
}
CARD_FILE = "card.json"


def _folder() -> Traversable:
    return resources.files("multispin_gym.agents").joinpath("pretrained")


def list_pretrained() -> list[str]:
    """List the agents that ship with the package.

    Returns
    -------
    list of str
        Names for ``load_agent("pretrained:NAME")``, sorted.
    """
    folder = _folder()
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.joinpath(CARD_FILE).is_file())


def pretrained_folder(name: str) -> Traversable:
    """Return the folder of a pretrained agent: ``config.json``, ``policy.safetensors`` and ``card.json``.

    A name that no agent has, or none any more, gives a ``ValueError``.
    """
    if name in _RENAMED:
        raise ValueError(f"pretrained agent {name!r} was renamed: it is {_RENAMED[name]!r} today")
    return _folder().joinpath(check_choice("pretrained agent", name, list_pretrained()))


def pretrained_card(name: str) -> dict[str, Any]:
    """Read the card of a pretrained agent: what it was trained on, how, how well it does and where it does not.

    Parameters
    ----------
    name
        Its name.

    Returns
    -------
    dict
        The card.

    Raises
    ------
    ValueError
        If there is no such agent.
    """
    card: dict[str, Any] = json.loads(pretrained_folder(name).joinpath(CARD_FILE).read_text(encoding="utf-8"))
    return card
