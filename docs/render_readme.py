"""Write the result of the README's first command into the README.

``python docs/render_readme.py results/first`` takes over a new evaluation; without an argument the stored one is
rendered again.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
STORED = ROOT / "docs" / "results" / "quickstart"
BEGIN, END = "<!-- begin result -->\n", "<!-- end result -->"


def interval(estimate: dict[str, Any], form: str) -> str:
    """Write a mean and its interval."""
    low, high = (form.format(end) for end in estimate["ci95"])
    # Non-breaking spaces keep a figure on one line.
    return f"{form.format(estimate['mean'])} ({low}, {high})".replace(" ", "\u00a0")


def table(result: dict[str, Any]) -> str:
    """Lay an evaluation out as a table, with what it takes to repeat it."""
    lines = [
        "| policy | goodput, token/s | ratio to the bound | its lowest decile | regret to `nested_polished` "
        "| over `server_only` |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, estimates in result["policies"].items():
        shown = f"`{name}`: the agent" if "/" in name else f"`{name}`"
        cells = (
            interval(estimates["goodput"], "{:.1f}"),
            interval(estimates["ratio_to_optimum"], "{:.3f}"),
            f"{estimates['lowest_decile_ratio_to_optimum']['mean']:.3f}",
            interval(estimates["regret_to_nested_polished"], "{:+.2%}"),
            interval(estimates["gain_over_server_only"], "{:+.0%}"),
        )
        lines.append(f"| {' | '.join((shown, *cells))} |")
    versions = ", ".join(f"{name} {version}" for name, version in result["versions"].items() if name != "platform")
    last = result["seed"] + result["episodes"] - 1
    lines += [
        "",
        "Means over episodes, ratios of these means, and 95 % bootstrap intervals; nine of ten episodes have at least "
        "the decile's ratio. Trained with seed 0, evaluated with seeds "
        f"{result['seed']} to {last}, by the first command on two cores of an AMD EPYC ({versions}).",
        "[All figures](docs/results/quickstart/results.json). Another machine may round differently in training,",
        "and so end with a slightly different agent.",
    ]
    return "\n".join(lines) + "\n"


def render(page: str, result: dict[str, Any]) -> str:
    """Put the table between its markers."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table(result)}{END}{after}"


def main(arguments: list[str]) -> None:
    """Take over an evaluation if one is named, and render."""
    if arguments:
        STORED.mkdir(exist_ok=True)
        for name in ("results.json", "results.png"):
            shutil.copyfile(Path(arguments[0]) / name, STORED / name)
    result = json.loads((STORED / "results.json").read_text(encoding="utf-8"))
    temporary = README.with_suffix(".tmp")
    temporary.write_text(render(README.read_text(encoding="utf-8"), result), encoding="utf-8")
    os.replace(temporary, README)


if __name__ == "__main__":
    main(sys.argv[1:])
