"""The verbs of the command ``multispin``."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from multispin_gym._text_tables import text_table
from multispin_gym._validation import nearest, shown

PROG = "multispin"


@dataclass(frozen=True)
class Verb:
    """One verb.

    Parameters
    ----------
    name
        The verb.
    summary
        What it does, in a line.
    function
        ``"module:function"``, imported when the verb is used: it takes a list of arguments and how the command was
        called, and returns an exit status.
    """

    name: str
    summary: str
    function: str


VERBS = (
    Verb("train", "train an agent in a scenario", "multispin_gym.agents.cli:main"),
    Verb("evaluate", "play policies on the same episodes and compare them", "multispin_gym.evaluation.cli:main"),
    Verb("sweep", "evaluate while keys of the scenario vary", "multispin_gym.evaluation.sweeps.cli:main"),
    Verb("render", "draw an episode: a picture, an animation or a film", "multispin_gym.commands.render:main"),
    Verb("list", "show scenarios, controllers, agents, environments, tables", "multispin_gym.commands.listing:main"),
    Verb("new", "write a commented template of a scenario", "multispin_gym.commands.new_scenario:main"),
)
"""The verbs, in the order of the help page."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command ``multispin``.

    Parameters
    ----------
    args
        The arguments; by default the program's.

    Returns
    -------
    int
        The exit status: the verb's, 1 where nobody reads its output any more, or 2 with one line on the error stream
        where there is no such verb.
    """
    first, *rest = [*(sys.argv[1:] if args is None else args), ""]
    if first in ("", "-h", "--help"):
        print(help_page())
        return 0
    if first == "--version":
        print(f"{PROG} {metadata.version('multispin-gym')}")
        return 0
    found = {verb.name: verb for verb in VERBS}
    if first not in found:
        known = ", ".join(found)
        print(
            f"{PROG}: error: verb must be one of {known}; got {shown(first)}.{nearest(first, found)}", file=sys.stderr
        )
        return 2
    module, _, function = found[first].function.partition(":")
    try:
        status: int = getattr(importlib.import_module(module), function)(rest[:-1], f"{PROG} {first}")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has seen enough, as `head` does; nor is there anybody for what is still in the buffer.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status


def help_page() -> str:
    """Return what ``multispin --help`` shows: every verb with its summary."""
    rows = [["", verb.name, verb.summary] for verb in VERBS]
    return "\n".join(
        [
            f"usage: {PROG} VERB [OPTIONS]",
            "",
            "Draft control in multi-user edge speculative decoding.",
            "",
            *text_table(rows),
            "",
            f"{PROG} VERB --help explains a verb; {PROG} --version says which version this is.",
        ]
    )
