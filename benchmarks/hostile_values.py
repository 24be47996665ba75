"""Hands hostile files and command lines in: each is refused in one line, quickly and in little memory, or works.

``python benchmarks/hostile_values.py --help``. Writes hostile_values.json and hostile_values.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from _hostile_commands import lines, run_line
from _hostile_files import KINDS, SHARES
from _hostile_trial import LONGEST_MESSAGE, MOST_MEGABYTES, MOST_SECONDS, trials
from _report import head, machine_text, table
from _study import StudyInPieces, run

from multispin_gym._validation import check_choice, check_integer

_AT_A_TIME = 100


@dataclass(frozen=True, kw_only=True)
class HostileValues(StudyInPieces):
    """Make hostile files and command lines, hand them in, and see what comes of it.

    Exit status 1 if one is neither refused in one line nor works.
    """

    files: int = 10_000
    """Hostile files."""
    commands: int | None = None
    """Command lines, the first so many of them; None: all."""
    kinds: tuple[str, ...] = tuple(KINDS)
    """Kinds of files."""
    seed: int = 0
    """Seed of all that is drawn: the same files every time."""
    output: Path = Path("results/hostile_values")

    def __post_init__(self) -> None:
        check_integer("files", self.files, low=0)
        if self.commands is not None:
            check_integer("commands", self.commands, low=0)
        for name in self.kinds:
            check_choice("kinds", name, KINDS)


def read_files(kind: str, first: int, last: int, seed: int) -> list[dict[str, Any]]:
    """Hand in the hostile files of some numbers; return what came of each."""
    torch.set_num_threads(1)
    return trials(kind, range(first, last), seed)


def run_commands(first: int, last: int) -> list[dict[str, Any]]:
    """Run the command lines of some numbers; return what came of each."""
    return [run_line(number) for number in range(first, last)]


def study(options: HostileValues, command: str) -> int:
    whole = sum(SHARES[kind] for kind in options.kinds)
    pieces: dict[tuple[str, int], tuple[Any, ...]] = {}
    for kind in options.kinds:
        count = options.files * SHARES[kind] // whole
        for first in range(0, count, _AT_A_TIME):
            pieces[kind, first] = (kind, first, min(first + _AT_A_TIME, count), options.seed)
    count = len(lines()) if options.commands is None else min(options.commands, len(lines()))
    orders = {("command", first): (first, min(first + 20, count)) for first in range(0, count, 20)}
    found = [entry for entries in options.do(read_files, pieces).values() for entry in entries]
    found += [entry for entries in options.do(run_commands, orders).values() for entry in entries]
    report = {**head(command), "seed": options.seed, **summary(found)}
    options.write({"hostile_values.json": report, "hostile_values.md": page(report)})
    print(counts(report))
    return 1 if report["failures"] else 0


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up what came of all: counts and the most seconds and megabytes by kind, and every failure in full."""
    kinds = {}
    for kind in dict.fromkeys(entry["kind"] for entry in found):
        of_kind = [entry for entry in found if entry["kind"] == kind]
        tally = Counter("failed" if entry["problems"] else entry["outcome"] for entry in of_kind)
        refused = [entry for entry in of_kind if entry["outcome"] == "refused"]
        kinds[kind] = {
            "handed in": len(of_kind),
            **{outcome: tally[outcome] for outcome in ("refused", "accepted", "failed")},
            "most seconds to refuse": max((entry["seconds"] for entry in refused), default=0.0),
            "most megabytes to refuse": max((entry["megabytes"] for entry in refused), default=0.0),
        }
    return {"kinds": kinds, "failures": [entry for entry in found if entry["problems"]]}


def counts(report: dict[str, Any]) -> str:
    """Lay out what came of each kind."""
    rows = [
        [
            kind,
            *(f"{entry[name]:,}" for name in ("handed in", "refused", "accepted", "failed")),
            f"{entry['most seconds to refuse']:.2f}",
            f"{entry['most megabytes to refuse']:.0f}",
        ]
        for kind, entry in report["kinds"].items()
    ]
    return table(("kind", "handed in", "refused", "accepted and works", "failed", "most s", "most MB"), rows)


def page(report: dict[str, Any]) -> str:
    wrong = "".join(
        f"- {entry['kind']} {entry['number']}, {entry['label'][:200]}: {'; '.join(entry['problems'])[:500]}\n"
        for entry in report["failures"]
    )
    return f"""# Hostile values

`{report["command"]}`

Each file is read in a forked process, as the package reads it, and each command line is run as people run it. The
files are made of valid ones: every key in turn has every hostile value, and the rest is drawn with the seed
{report["seed"]}: random values, several keys at the ends of what is allowed, keys left out, added and given twice,
bytes changed, and what is no file of the kind at all. {machine_text(report)}.

A refusal is one line that prints, of at most {LONGEST_MESSAGE} characters, with the name of what is wrong and what is
allowed; it takes at most {MOST_SECONDS:g} s of processor time and {MOST_MEGABYTES:g} MB beyond the start, and nothing
is written or changed. A scenario that is accepted is played: a round by the environment, and one by each of five
controllers, with finite results (an upload may take for ever: its goodput is then 0), without a warning; a quarter of
them by an untrained agent, and against the certificate too. An agent that is accepted decides, a training goes on, and
a damaged piece of an evaluation is played again. Where a solver says that a cell takes it out of the range of numbers,
it has said so.

{counts(report)}
{wrong or "Nothing failed."}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    return run(HostileValues, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
