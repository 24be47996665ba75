"""How much knowing the users' differences is worth, as those differences grow.

Draws cells from every preset, stretches or shrinks the differences between a cell's users, and compares the
controllers that use them (homogeneous, heterogeneous) with those that do not. ``python benchmarks/headline.py --help``.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from headline_report import AGNOSTIC, AWARE, DIMENSIONS, PAPER_GAIN, Gain, draw, row, to_csv, to_markdown

from multispin_gym import Scenario, Users, list_scenarios, load_scenario, play_round
from multispin_gym._files import write_atomically
from multispin_gym.baselines import make_controller
from multispin_gym.evaluation.report import versions
from multispin_gym.statistics import gain_estimate

# The logit of 0 or 1 is infinite; no preset draws acceptance rates this extreme.
EDGE = 1e-6


@dataclass(frozen=True)
class Headline:
    """Gain of homogeneous and heterogeneous drafts over heterogeneity-agnostic controllers, over the users' spread.

    Writes headline.md, headline.json, headline.csv and headline.png.
    """

    scenarios: tuple[str, ...] = ()
    """Presets or scenario files; by default all presets."""
    num_users: int | None = None
    """Users in a cell; None: each scenario's number."""
    draws: int = 300
    """Cells drawn for each scenario; the same cells at every spread."""
    factors: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5, 2.0)
    """Spreads: 0 makes all users of a cell alike, 1 is the scenario as it is."""
    seed: int = 2026
    """Seed of the draws."""
    output: Path = Path("docs/results")
    """Directory for the results."""


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


def measure(scenario: Scenario, options: Headline) -> Iterator[Gain]:
    """Yield every gain for one scenario, on the same draws at every spread."""
    users = scenario.sample_users(np.random.default_rng(options.seed), options.num_users, (options.draws,))
    for dimension in DIMENSIONS:
        for factor in options.factors:
            cells = spread(users, **factors_of(dimension, factor))
            goodput = {}
            for name in (*AWARE, *AGNOSTIC):
                controller = make_controller(name, **({"seed": options.seed} if name == "random" else {}))
                goodput[name] = play_round(cells, scenario.cell, controller(cells, scenario.cell)).goodput
            for name in AWARE:
                for baseline in AGNOSTIC:
                    values, base = goodput[name], goodput[baseline]
                    estimate = gain_estimate(values, base, options.seed)
                    low, high = estimate.ci95 or (estimate.mean, estimate.mean)
                    quantiles = np.quantile(values / base - 1.0, (0.5, 0.1, 0.9)).tolist()
                    means = (float(values.mean()), float(base.mean()))
                    yield Gain(
                        scenario.name, dimension, factor, name, baseline, *means, estimate.mean, low, high, *quantiles
                    )


def to_json(data: dict[str, object]) -> str:
    """Write JSON with one gain a line."""
    return json.dumps(data, indent=1).replace("\n   ", " ").replace("\n  ]", "]") + "\n"


def main(args: Sequence[str]) -> None:
    """Measure, and write the report."""
    import tyro

    options = tyro.cli(Headline, args=args, prog="headline.py")
    gains: list[Gain] = []
    for name in options.scenarios or list_scenarios():
        gains += measure(load_scenario(name), options)
        print(f"{name}: done", file=sys.stderr)
    command = shlex.join(["python", "benchmarks/headline.py", *args])
    data = {
        "command": command,
        "versions": versions(),
        "seed": options.seed,
        "draws": options.draws,
        "paper": PAPER_GAIN,
        "columns": list(vars(gains[0])),
        "gains": [row(gain) for gain in gains],
    }
    write_atomically(
        options.output,
        {
            "headline.csv": to_csv(gains).encode(),
            "headline.png": draw(gains),
            "headline.json": to_json(data).encode(),
            "headline.md": to_markdown(gains, options.draws, options.seed, command).encode(),
        },
    )
    print(to_markdown(gains, options.draws, options.seed, command))


if __name__ == "__main__":
    main(sys.argv[1:])
