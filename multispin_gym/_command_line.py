"""Command lines as typed dataclasses; whatever the parser draws around a complaint becomes one line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import TypeVar

Config = TypeVar("Config")


def parse(config: type[Config], args: Sequence[str], prog: str, default: Config | None = None) -> Config:
    """Parse a command line, for which ``--set`` may be given several times."""
    import tyro

    args = _gather(args, "--set")

    drawn = io.StringIO()
    try:
        with contextlib.redirect_stderr(drawn):
            if default is None:
                return tyro.cli(config, args=args, prog=prog)
            return tyro.cli(config, args=args, prog=prog, default=default)
    except SystemExit as leaving:
        if leaving.code in (None, 0):
            raise
        lines = [line.strip("│╭╮╰╯─ ") for line in drawn.getvalue().splitlines()]
        text = " ".join(line for line in lines[1:] if line and "full helptext" not in line)
        message = text.partition(" Argument helptext:")[0].partition(" Got errors:")[0]
        raise ValueError(f"{message} (see {prog} --help)") from None


def _gather(args: Sequence[str], flag: str) -> list[str]:
    """Put the values of a flag that is given several times behind one."""
    kept: list[str] = []
    values: list[str] = []
    found = taking = False
    for word in args:
        name, equals, value = word.partition("=")
        if name == flag:
            found, taking = True, not equals
            values += [value] if equals else []
        elif taking and not word.startswith("-"):
            values.append(word)
        else:
            taking = False
            kept.append(word)
    return [*kept, flag, *values] if found else kept


def complaint(error: Exception, extra: str) -> str:
    """Say in one line what went wrong; where a library is missing, which extra of this package brings it."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name.partition('.')[0]} is not installed: pip install 'multispin-gym[{extra}]'"
    return " ".join(str(error).split())
