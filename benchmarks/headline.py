"""How much knowing the users' differences is worth, as those differences grow.

Draws cells from every preset, stretches or shrinks the differences between a cell's users, and compares the
controllers that use them (homogeneous, heterogeneous) with those that do not. ``python benchmarks/headline.py --help``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _report import head
from _study import Drawn, OverScenarios, StudyInPieces, draw_users, run
from headline_report import AGNOSTIC, AWARE, DIMENSIONS, PAPER_GAIN, RULE, Gain, draw, row, to_csv, to_markdown

from multispin_gym import Scenario, Users, play_round
from multispin_gym.baselines import make_controller
from multispin_gym.statistics import gain_estimate, regret_estimate

# The logit of 0 or 1 is infinite; no preset draws acceptance rates this extreme.
EDGE = 1e-6


@dataclass(frozen=True, kw_only=True)
class Headline(StudyInPieces, OverScenarios, Drawn):
    """Gain of homogeneous and heterogeneous drafts over heterogeneity-agnostic controllers, over the users' spread.

    Each scenario is a piece. Writes headline.md, headline.json, headline.csv and headline.png.
    """

    num_users: int | None = None
    """Users in a cell; None: each scenario's number."""
    draws: int = 300
    """Cells drawn for each scenario, the same at every spread; quick: 12."""
    factors: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    """Spreads: 0 makes all users of a cell alike, 1 is the scenario as it is; quick: these two."""
    seed: int = 2026
    output: Path = Path("docs/results")


def spread(users: Users, *, acceptance: float = 1.0, speed: float = 1.0, channel: float = 1.0) -> Users:
    """Stretch or shrink the differences between the users of each cell.

    Each quantity is moved along the line through its cell's median: acceptance rates in the logit domain (they stay
    inside (0, 1)), drafting speeds and received powers (power times gain) in the logarithm. The median user of a cell
    stays what it is; only how far the others are from it changes.

    Parameters
    ----------
    users
        The users. Shape (..., K).
    acceptance, speed, channel
        Factors at least 0: 0 makes a cell's users alike, 1 changes nothing, 2 doubles every distance from the median.

    Returns
    -------
    Users
        Users of the same shape and transmit power.
    """
    rate = np.clip(users.acceptance_rate, EDGE, 1.0 - EDGE)
    logit = _stretch(np.log(rate) - np.log1p(-rate), acceptance)
    received = np.exp(_stretch(np.log(users.received_power), channel))
    return Users(
        acceptance_rate=1.0 / (1.0 + np.exp(-logit)),
        drafting_speed=np.exp(_stretch(np.log(users.drafting_speed), speed)),
        channel_gain=received / users.transmit_power,
        transmit_power=users.transmit_power,
    )


def _stretch(values: np.ndarray, factor: float) -> np.ndarray:
    middle = np.median(values, axis=-1, keepdims=True)
    return middle + factor * (values - middle)


def factors_of(dimension: str, factor: float) -> dict[str, float]:
    """Return the three factors where one dimension is spread alone (the others alike), or all together."""
    return {name: factor if dimension in (name, "all") else 0.0 for name in DIMENSIONS[:-1]}


def measure(
    scenario: Scenario, num_users: int | None, draws: int, factors: Sequence[float], seed: int
) -> Iterator[Gain]:
    """Yield every gain for one scenario, on the same draws at every spread."""
    users = draw_users(scenario, draws, seed, num_users)
    for dimension in DIMENSIONS:
        for factor in factors:
            cells = spread(users, **factors_of(dimension, factor))
            goodput = {}
            for name in (*AWARE, *AGNOSTIC):
                controller = make_controller(name, **({"seed": seed} if name == "random" else {}))
                goodput[name] = play_round(cells, scenario.cell, controller(cells, scenario.cell)).goodput
            for name in AWARE:
                for baseline in AGNOSTIC:
                    values, base = goodput[name], goodput[baseline]
                    estimate = gain_estimate(values, base, seed)
                    low, high = estimate.ci95 or (estimate.mean, estimate.mean)
                    quantiles = np.quantile(values / base - 1.0, (0.5, 0.1, 0.9)).tolist()
                    means = (float(values.mean()), float(base.mean()))
                    yield Gain(
                        scenario.name, dimension, factor, name, baseline, *means, estimate.mean, low, high, *quantiles
                    )


def regrets(scenario: Scenario, num_users: int | None, draws: int, seed: int) -> dict[str, dict[str, Any]]:
    """Regret of both to the rule that a good engineer writes first, on the scenario's own users."""
    users = draw_users(scenario, draws, seed, num_users)
    goodput = {
        name: play_round(users, scenario.cell, make_controller(name)(users, scenario.cell)).goodput
        for name in (*AWARE, RULE)
    }
    return {name: regret_estimate(goodput[name], goodput[RULE], seed).to_dict() for name in AWARE}


def found_in(
    scenario: Scenario, num_users: int | None, draws: int, factors: Sequence[float], seed: int
) -> dict[str, Any]:
    """Return the fields of all gains in one scenario, and the regrets there."""
    gains = [list(vars(gain).values()) for gain in measure(scenario, num_users, draws, factors, seed)]
    return {"gains": gains, "regrets": regrets(scenario, num_users, draws, seed)}


def study(options: Headline, command: str) -> None:
    draws, factors = (12, (0.0, 1.0)) if options.quick else (options.draws, options.factors)
    sizes = (options.num_users, draws, factors, options.seed)
    found = options.do(found_in, {name: (scenario, *sizes) for name, scenario in options.loaded().items()})
    gains = [Gain(*fields) for piece in found.values() for fields in piece["gains"]]
    report = {
        **head(command),
        "seed": options.seed,
        "draws": draws,
        "paper": PAPER_GAIN,
        "regret_to_nested_polished": {name: piece["regrets"] for name, piece in found.items()},
        "columns": list(vars(gains[0])),
        "gains": [row(gain) for gain in gains],
    }
    page = to_markdown(gains, report)
    options.write(
        {"headline.csv": to_csv(gains), "headline.png": draw(gains), "headline.json": report, "headline.md": page}
    )
    print(page)


def main(arguments: Sequence[str] | None = None) -> int:
    return run(Headline, study, arguments)


if __name__ == "__main__":
    sys.exit(main())
