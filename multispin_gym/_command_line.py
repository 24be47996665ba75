"""Command lines as typed dataclasses; whatever the parser draws around a complaint becomes one line."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from multispin_gym._validation import one_line

Config = TypeVar("Config")

_NAME = r"Error parsing (?P<name>\S+): "
_WORDS = [
    (
        re.compile(_NAME + r"invalid literal for int\(\) with base 10: (?P<got>.*)"),
        "{name} must be a whole number, got {got}",
    ),
    (re.compile(_NAME + r"could not convert string to float: (?P<got>.*)"), "{name} must be a number, got {got}"),
    (
        re.compile(
            _NAME + r"(no type .* could be instantiated from|Could not find valid parse for arguments:) "
            r"\[(?P<got>.*)\]\.?"
        ),
        "{name} must be of the kind that its help shows, got {got}",
    ),
    (
        re.compile(r"(?P<words>Unrecognized options: .*?)[\s─-]* Perhaps you meant: (?P<name>--[\w-]+).*"),
        "{words}. Did you mean {name}?",
    ),
    # A section's own words name the option already.
    (re.compile(_NAME + r"(?P<words>\w+\..* must .*)"), "{words}"),
]
# In the words of today's parser, and of earlier ones.
_CHOICES = [
    re.compile(r"invalid choice (?P<got>.*) for argument '(?P<name>.*?)'\. Expected one of \((?P<all>.*)\)\."),
    re.compile(r"Argument (?P<name>\S+): invalid choice: (?P<got>.*) \(choose from (?P<all>.*)\)"),
]


def parse(config: type[Config], args: Sequence[str], prog: str, default: Config | None = None) -> Config:
    """Parse a command line, for which ``--set`` and ``--vary`` may be given several times."""
    import tyro

    for flag in ("--set", "--vary"):
        args = _gather(args, flag)

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
        raise ValueError(f"{_in_our_words(message)} (see {prog} --help)") from None


def _in_our_words(message: str) -> str:
    """Say what an option must be and what it got, as all other refusals do; what is not known stays as it is."""
    message = message.strip("─- ")
    for pattern, words in _WORDS:
        found = pattern.fullmatch(message)
        if found:
            return words.format(**found.groupdict())
    for pattern in _CHOICES:
        found = pattern.fullmatch(message)
        if found:
            known = ", ".join(sorted(choice.strip(" ',") for choice in found["all"].split(", ")))
            return f"{found['name']} must be one of {known}; got {found['got']}"
    return message


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


@contextlib.contextmanager
def watched_progress(label: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on the error stream while somebody watches it; yields what is told the work done and that of all."""
    from rich.console import Console
    from rich.progress import Progress

    watched = sys.stderr.isatty()
    # Some releases of rich end even a bar that is switched off with an empty line, unless its console is interactive.
    console = Console(stderr=True, force_interactive=None if watched else True)
    with Progress(console=console, transient=True, disable=not watched) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def complaint(error: Exception, extra: str) -> str:
    """Say in one line what went wrong; where a library is missing, which extra of this package brings it."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"{error.name.partition('.')[0]} is not installed: pip install 'multispin-gym[{extra}]'"
    return one_line(error)
