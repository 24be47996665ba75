"""Measure agents that ship anew, on the cells of their cards, beside the controllers of today.

``python benchmarks/cards.py --help``. What a card says of the training and of its limits stays.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from _report import table, write
from _study import run
from publish import card_text, common_reference, measure

from multispin_gym._validation import check_choice
from multispin_gym.evaluation.report import versions


@dataclass(frozen=True, kw_only=True)
class Cards:
    """Write the figures of the cards of agents that ship anew: their weights on the cells that their cards name."""

    agents: tuple[str, ...] = ()
    """Names of the agents; by default all."""
    folder: Path = Path("agents/pretrained")
    """Where pretrained agents lie."""


def measured_again(folder: Path) -> dict[str, Any]:
    """Return the card of an agent with its figures, and the versions that they were computed with, of now."""
    from multispin_gym.agents.pretrained_agents import CARD_FILE
    from multispin_gym.agents.run_directory import read_spec

    card: dict[str, Any] = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    counts = [figures["num_users"] for figures in card["held_out"]]
    reference = common_reference(read_spec(folder).variant.action_set, counts)
    held_out = [
        measure(folder, figures["num_users"], figures["cells"], reference, figures["seed"])
        for figures in card["held_out"]
    ]
    return {**card, "held_out": held_out, "versions": versions()}


def study(options: Cards, command: str) -> None:
    from multispin_gym.agents.pretrained_agents import CARD_FILE

    known = sorted(path.parent.name for path in options.folder.glob(f"*/{CARD_FILE}"))
    names = [check_choice("agents", name, known) for name in options.agents or known]
    cards = {name: measured_again(options.folder / name) for name in names}
    for name, card in cards.items():
        write(options.folder / name, {CARD_FILE: card_text(card)})
    header = ("agent", "K", "ratio", "regret to nested_polished", "nested_polished", "heterogeneous")
    print(table(header, [line for name, card in cards.items() for line in _lines(name, card)]))


def _lines(name: str, card: dict[str, Any]) -> list[list[str]]:
    lines = []
    for figures in card["held_out"]:
        low, high = figures["regret_to_nested_polished_ci95"]
        regret = f"{figures['regret_to_nested_polished']:+.3%} ({low:+.3%}, {high:+.3%})"
        rivals = [f"{figures[f'{other}_ratio_to_reference']:.4f}" for other in ("nested_polished", "heterogeneous")]
        ratio = f"{figures['ratio_to_reference']:.4f}"
        lines.append([f"`{name}`", str(figures["num_users"]), ratio, regret, *rivals])
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Cards, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
