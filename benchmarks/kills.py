"""Kills trainings, searches and evaluations wherever that can hurt, resumes them, and compares with undisturbed ones.

``python benchmarks/kills.py --help``. Writes kills.json and kills.md.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _kill import COMMANDS, Disturbance, disturb, undisturbed
from _report import head, machine_text, table
from _study import StudyInPieces, run

from multispin_gym._validation import check_choice, check_integer

HOW = {
    "kill at a file": "killed before the n-th time that a file takes its place, for every n",
    "kill": "killed at a random instant",
    "interrupt at a file": "interrupted (Ctrl-C) before the n-th time that a file takes its place, for every n",
    "interrupt": "interrupted at a random instant",
}
KEPT = ("ended before", "resumed", "refused, then started anew", "refused")


@dataclass(frozen=True, kw_only=True)
class Kills(StudyInPieces):
    """Kill commands, go on with --resume, and compare every file with those of an undisturbed run.

    A command that refuses to resume is run again as at first. Not compared are seconds and TensorBoard's curves. Exit
    status 1 if anything differs.
    """

    commands: tuple[str, ...] = tuple(COMMANDS)
    """What to kill."""
    how: tuple[str, ...] = tuple(HOW)
    """How, a kill or an interrupt, and when; at random instants only what is no variant of another command."""
    points: int | None = None
    """Files at which each command is killed or interrupted, evenly spread; None: all."""
    instants: int = 50
    """Random instants at which each command is killed."""
    interrupts: int = 20
    """Random instants at which each command is interrupted."""
    seed: int = 0
    """Seed of the random instants."""
    output: Path = Path("results/kills")

    def __post_init__(self) -> None:
        for name in self.commands:
            check_choice("commands", name, COMMANDS)
        for name in self.how:
            check_choice("how", name, HOW)
        check_integer("instants", self.instants, low=0)
        check_integer("interrupts", self.interrupts, low=0)
        if self.points is not None:
            check_integer("points", self.points, low=1)


def disturbances(options: Kills, command: str, whole: dict[str, Any]) -> dict[tuple[str, str, int], Disturbance]:
    """Return where a command is to be killed, given its undisturbed run."""
    found = {}
    count = whole["replaces"]
    points = np.linspace(1, count, count if options.points is None else min(options.points, count))
    rng = np.random.default_rng([options.seed, list(COMMANDS).index(command)])
    times = {"kill": options.instants, "interrupt": options.interrupts}
    drawn = {name: rng.uniform(0.0, whole["seconds"], number).tolist() for name, number in times.items()}
    for name in options.how:
        gently = name.startswith("interrupt")
        if name not in times:
            for point in points.round().astype(int).tolist():
                found[command, name, point] = Disturbance(before_replace=point, gently=gently)
        elif COMMANDS[command].anywhere:
            for number, after in enumerate(drawn[name], 1):
                found[command, name, number] = Disturbance(after=after, gently=gently)
    return found


def study(options: Kills, command: str) -> int:
    wholes = options.do(undisturbed, {name: (name,) for name in options.commands})
    pieces = {
        key: (key[0], disturbance, wholes[key[0]]["files"])
        for name, whole in wholes.items()
        for key, disturbance in disturbances(options, name, whole).items()
    }
    found = options.do(disturb, pieces)
    results = [
        {"command": name, "how": how, "number": number, **result} for (name, how, number), result in found.items()
    ]
    report = {
        **head(command),
        "seed": options.seed,
        "commands": {
            name: {
                "command": COMMANDS[name].line(COMMANDS[name].arguments),
                "resumed": COMMANDS[name].line(COMMANDS[name].resume),
                "seconds": round(whole["seconds"], 2),
                "replaces": whole["replaces"],
                "files": sorted(whole["files"]),
            }
            for name, whole in wholes.items()
        },
        "results": results,
    }
    options.write({"kills.json": report, "kills.md": page(report)})
    print(counts(report))
    return 1 if any(result["outcome"] not in KEPT for result in results) else 0


def counts(report: dict[str, Any]) -> str:
    """Lay out how often each thing came of each disturbance."""
    tally = Counter((result["command"], result["how"], result["outcome"]) for result in report["results"])
    rows = sorted({key[:2] for key in tally}, key=lambda key: (list(COMMANDS).index(key[0]), list(HOW).index(key[1])))
    lines = []
    for name, how in rows:
        kept = [tally[name, how, outcome] for outcome in KEPT]
        total = sum(count for key, count in tally.items() if key[:2] == (name, how))
        lines.append([name, how, *map(str, [total, *kept, total - sum(kept)])])
    return table(("command", "how", "times", *KEPT, "something else"), lines, left=2)


def page(report: dict[str, Any]) -> str:
    """Write the page."""
    results = report["results"]
    wrong = [result for result in results if result["outcome"] not in KEPT]
    refused = [result for result in results if result["outcome"] == "refused"]
    verdict = f"{len(wrong)} of {len(results)} did not:" if wrong else f"All {len(results)} did."
    ways = "".join(f"- *{name}*: {text}\n" for name, text in HOW.items())
    listed = "".join(
        f"- {result['command']}, {result['how']} {result['number']}: {result['outcome']}; {result['details']}\n"
        for result in (*wrong, *refused)
    )
    listed += "\n" if listed else ""
    commands = "".join(
        f"- {name}, which puts {entry['replaces']} files in place: `{entry['command']}`\n"
        f"  - resumed: `{entry['resumed']}`\n"
        for name, entry in report["commands"].items()
    )
    return f"""# What a kill leaves behind

`{report["command"]}`; {machine_text(report)}; seed {report["seed"]}.

May a training, a search or an evaluation be killed at any moment, and go on with `--resume` as if nothing had happened?
Each command below was run undisturbed. Then it was disturbed, once in each of many places, and run again with
`--resume`. It must end with the undisturbed run's files, all of them, byte by byte but for the seconds in them, and
none besides: a half-written file that stays counts as a difference. Or it must refuse in one line, and the command as
it was at first must end with these files. {verdict}

{listed}{counts(report)}
The commands: a training from scratch, one that ends at a target ratio, one that clones a controller first, one of
several seeds, a search for hyperparameters, an evaluation. The places:

{ways}
What came of it:

- *ended before*: the command was done, or had nothing left to do when it heard of it; its files are compared too.
- *resumed*: `--resume` ended with the files of the undisturbed run.
- *refused, then started anew*: nothing was there to be resumed, `--resume` said so in one line, and the command as at
  first ended with these files. These trainings last a second, of which a good part is their start: hence so many.
- *refused*: that one refused in one line too; another directory is needed.
- *something else*: other bytes, a missing file, a file too many, another exit status. The study fails then.

The commands, with small hyperparameter files (`benchmarks/_kill.py` has them) in place of those that ship:

{commands}
Not compared are the seconds in `training_state.pt`, `evaluations.csv` and `seeds.json`, and TensorBoard's files, whose
curves [training](../../training.md) speaks of. The machine itself stayed up: what a power failure leaves depends on the
file system. A killed search leaves the trial under way in the system's folder for temporary files.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Kills, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
