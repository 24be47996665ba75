"""Command lines as typed dataclasses; whatever the parser draws around a complaint becomes one line."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import TypeVar

Config = TypeVar("Config")


def parse(config: type[Config], args: Sequence[str], prog: str, default: Config | None = None) -> Config:
    """Parse a command line."""
    import tyro

    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            if default is None:
                return tyro.cli(config, args=args, prog=prog)
            return tyro.cli(config, args=args, prog=prog, default=default)
    except SystemExit as leaving:
        if leaving.code in (None, 0):
            raise
        lines = [line.strip("│╭╮╰╯─ ") for line in complaint.getvalue().splitlines()]
        text = " ".join(line for line in lines[1:] if line and "full helptext" not in line)
        message = text.partition(" Argument helptext:")[0].partition(" Got errors:")[0]
        raise ValueError(f"{message} (see {prog} --help)") from None
