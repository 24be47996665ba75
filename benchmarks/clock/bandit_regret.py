"""How the regret of bandits over draft lengths grows, in the setting that UCB-SpecStop was published for.

``python benchmarks/clock/bandit_regret.py --help``. Writes bandit_regret.json, .md and .png and prints the table.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from _report import head, interval_text, picture, table
from _study import StudyInPieces, run

from multispin_gym.baselines.estimators.spec_stop import LengthBandit
from multispin_gym.statistics import mean_estimate

# Measured chances that the first 1 to 5 drafts are accepted (arXiv 2606.20591).
PAIRS = {
    "Llama-3.2-1B / 8B": (0.462, 0.328, 0.256, 0.214, 0.188),
    "Qwen2.5-0.5B / 7B": (0.382, 0.288, 0.226, 0.196, 0.170),
}


class Policy(NamedTuple):
    """A bandit: the size of its bonus, whether it is scaled by the range, and how often it tries at random."""

    beta: float
    scaled: bool = False
    tries: float = 0.0


POLICIES = {
    "greedy": Policy(0.0),
    "as printed, times in ms": Policy(1e-3),
    "as printed, times in s": Policy(1.0),
    "bonus scaled by the range, 0.1": Policy(0.1, scaled=True),
    "bonus scaled by the range, 0.3": Policy(0.3, scaled=True),
    "epsilon-greedy, 0.05": Policy(0.0, tries=0.05),
}


@dataclass(frozen=True, kw_only=True)
class BanditRegret(StudyInPieces):
    """Play bandits over one user's draft length, on a delay that switches between two states.

    The chances that drafts are accepted, the delays and how often they switch are the published ones; what drafting
    and verification last is assumed. Regret is the time that rounds took beyond what their tokens would have taken at
    the best length of each state. Every pair of models and policy is a piece.
    """

    delays: tuple[float, ...] = (0.04, 0.12)
    """Round trips in the two states, s."""
    switching: float = 0.1
    """Probability that the state changes after a round."""
    drafting: float = 0.015
    """Seconds of a drafted token."""
    verification: float = 0.03
    """Seconds of a verification."""
    rounds: int = 16_000
    """Rounds of each run."""
    rows: int = 200
    """Runs."""
    seed: int = 0
    """Seed of all that is drawn."""
    output: Path = Path("results/clock")


def seconds_of(options: dict[str, Any], most: int) -> NDArray[np.float64]:
    """Duration of a round in each state with each length from 1 on. Shape (states, lengths)."""
    lengths = np.arange(1, most + 1)
    return np.asarray(options["delays"])[:, None] + options["verification"] + options["drafting"] * lengths


def play(survival: Sequence[float], policy: Sequence[Any], options: dict[str, Any]) -> dict[str, Any]:
    """Mean regret by the end of rounds 250, 500, 1,000, ..., that of all runs in the end, and shares of the lengths."""
    rng, rows, most = np.random.default_rng(options["seed"]), options["rows"], len(survival)
    beta, scaled, tries = policy
    seconds = seconds_of(options, most)
    best = (seconds / (1.0 + np.cumsum(survival))).min(axis=1)
    bandit, state = LengthBandit(rows, 2, most, beta, scaled), rng.integers(2, size=rows)
    lost, ends, pulls = np.zeros(rows), {}, np.zeros(most)
    for number in range(1, options["rounds"] + 1):
        drawn, tried, other, moves = rng.random((4, rows))
        arm = np.where(tried < tries, (other * most).astype(np.int64), bandit.choose(state))
        tokens = 1.0 + np.minimum((drawn[:, None] < np.array(survival)).sum(axis=1), arm + 1)
        lasted = seconds[state, arm]
        bandit.add(state, arm, tokens, lasted, np.ones(rows, dtype=np.bool_))
        # Of the tokens the mean counts, so that luck is no regret.
        lost += lasted - best[state] * (1.0 + np.cumsum(survival)[arm])
        pulls += np.bincount(arm, minlength=most)
        if number >= 250 and (number // 250).bit_count() == 1 and number % 250 == 0:
            ends[number] = float(lost.mean())
        state = np.where(moves < options["switching"], 1 - state, state)
    return {"regret": ends, "last": lost.tolist(), "pulls": (pulls / pulls.sum()).tolist()}


def growth(ends: dict[str, float]) -> float:
    """Regret of the last two doublings over that of the two before: 1 is a logarithm, 4 a line."""
    early, middle, late = (ends[number] for number in sorted(ends, key=int)[-5::2])
    return (late - middle) / max(middle - early, 1e-12)


def draw(found: dict[tuple[str, str], Any]) -> bytes:
    """Mean regret over the rounds, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, pair in zip(figure.subplots(1, len(PAIRS), sharey=True, squeeze=False)[0], PAIRS, strict=True):
        for name in POLICIES:
            ends = found[pair, name]["regret"]
            axes.plot([int(key) for key in ends], list(ends.values()), marker=".", label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_title(pair)
        axes.set_xlabel("rounds")
    figure.axes[0].set_ylabel("regret, s")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), ncols=3, loc="outside upper center", frameon=False)
    return picture(figure)


def study(options: BanditRegret, command: str) -> None:
    if options.rounds < 4000:
        raise ValueError(f"rounds must lie in [4000, inf), so that growth can be told, got {options.rounds}")
    names = ("delays", "switching", "drafting", "verification", "rounds", "rows", "seed")
    settings = {name: getattr(options, name) for name in names}
    pieces = {
        (pair, name): (survival, policy, settings)
        for pair, survival in PAIRS.items()
        for name, policy in POLICIES.items()
    }
    found = options.do(play, pieces)
    lines = []
    for (pair, name), row in found.items():
        last = mean_estimate(row["last"], options.seed).to_dict()
        pulls = " / ".join(f"{part:.0%}" for part in row["pulls"])
        lines.append([pair, name, interval_text(last, ".3g"), f"{growth(row['regret']):.2f}", pulls])
    heads = ["pair", "policy", "regret at the end, s", "growth", "lengths 1 to 5"]
    text = "\n".join(
        [
            "# Regret of bandits over the draft length\n",
            f"`{command}`\n",
            f"Seconds lost in {max(int(n) for n in row['regret']):,} rounds of one user, means of {options.rows} runs.",
            "Growth: what the last two doublings of the rounds add over what the two before them do: 1 for a",
            "logarithm, 4 for a line.\n",
            table(heads, lines, left=2),
            "![Regret over the rounds](bandit_regret.png)\n",
        ]
    )
    rows = {pair: {name: found[pair, name] for name in POLICIES} for pair in PAIRS}
    report = {**head(command), **settings, "pairs": rows}
    options.write({"bandit_regret.json": report, "bandit_regret.md": text, "bandit_regret.png": draw(found)})
    print(text)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(BanditRegret, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
