"""How much knowing the users' differences is worth, as those differences grow.

Draws cells from every preset, stretches or shrinks the differences between a cell's users, and compares the
controllers that use them (homogeneous, heterogeneous) with those that do not. ``python benchmarks/headline.py --help``.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from multispin_gym import Scenario, Users, list_scenarios, load_scenario, play_round
from multispin_gym._files import write_atomically
from multispin_gym.baselines import make_controller
from multispin_gym.report import versions
from multispin_gym.statistics import gain_estimate

AWARE = ("homogeneous", "heterogeneous")
AGNOSTIC = ("server_only", "random", "uniform_fixed", "uniform_best", "tk_slt")
DIMENSIONS = ("acceptance", "speed", "channel", "all")
PAPER_GAIN = 0.88
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
    factors: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    """Spreads: 0 makes all users of a cell alike, 1 is the scenario as it is."""
    seed: int = 2026
    """Seed of the draws."""
    output: Path = Path("docs")
    """Directory for the results."""


@dataclass(frozen=True)
class Gain:
    """The gain of one controller over one agnostic controller at one spread.

    Parameters
    ----------
    scenario, dimension, factor
        Where: scenario, what was spread, and by how much.
    controller, baseline
        Which controller, over which.
    goodput, baseline_goodput
        Mean goodput over the draws, token/s.
    gain, low, high
        Ratio of the mean goodputs, minus one, and its 95 % paired bootstrap interval.
    median, decile, last_decile
        Median, 10 % and 90 % quantiles over the draws of each cell's own gain.
    """

    scenario: str
    dimension: str
    factor: float
    controller: str
    baseline: str
    goodput: float
    baseline_goodput: float
    gain: float
    low: float
    high: float
    median: float
    decile: float
    last_decile: float


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


def strongest(gains: Sequence[Gain]) -> list[Gain]:
    """Keep, at every point, the gain over that agnostic controller which has the highest mean goodput there."""
    best: dict[tuple[Any, ...], Gain] = {}
    for gain in gains:
        key = (gain.scenario, gain.dimension, gain.factor, gain.controller)
        if key not in best or gain.baseline_goodput > best[key].baseline_goodput:
            best[key] = gain
    return list(best.values())


def to_markdown(gains: Sequence[Gain], options: Headline, command: str) -> str:
    """Write the report: the largest gains per scenario, the gains over the strongest rival, and how it was made."""
    lines = ["# What knowing the users' differences is worth", "", *_introduction(gains, options)]
    lines += ["", "![Gain of heterogeneous drafts over the users' spread](headline.png)", ""]
    lines += ["## Largest gain over each agnostic controller", ""]
    lines += ["Over all spreads; in brackets what was spread, and by which factor.", ""]
    header = ["scenario", "controller", *AGNOSTIC]
    lines += [_row(header), _row(["---", "---"] + ["---:"] * len(AGNOSTIC))]
    for scenario in dict.fromkeys(gain.scenario for gain in gains):
        for controller in AWARE:
            mine = [gain for gain in gains if (gain.scenario, gain.controller) == (scenario, controller)]
            best = [max((g for g in mine if g.baseline == b), key=lambda g: g.gain) for b in AGNOSTIC]
            lines.append(_row([scenario, controller, *(f"{g.gain:+.0%} ({g.dimension} x{g.factor:g})" for g in best)]))
    lines += ["", "## Gain over the strongest agnostic controller", ""]
    lines += ["All three spread together. Ratio of the mean goodputs with 95 % paired bootstrap intervals;"]
    lines += ["then the median over the cells of each cell's own gain.", ""]
    lines += [
        _row(["scenario", "spread", "strongest", *(f"{name}{what}" for name in AWARE for what in ("", ", median"))])
    ]
    lines += [_row(["---", "---:", "---"] + ["---:"] * 2 * len(AWARE))]
    table = {(g.scenario, g.factor, g.controller): g for g in strongest(gains) if g.dimension == "all"}
    for scenario, factor in dict.fromkeys((scenario, factor) for scenario, factor, _ in table):
        row = [table[scenario, factor, controller] for controller in AWARE]
        cells = [text for g in row for text in (f"{g.gain:+.1%} ({g.low:+.1%}, {g.high:+.1%})", f"{g.median:+.1%}")]
        lines.append(_row([scenario, f"{factor:g}", row[0].baseline, *cells]))
    lines += ["", "## How it was made", "", "```", command, "```", ""]
    lines.append(", ".join(f"{name} {version}" for name, version in versions().items()) + ".")
    lines.append("All numbers are in `headline.csv` and `headline.json`.")
    return "\n".join(lines) + "\n"


def _introduction(gains: Sequence[Gain], options: Headline) -> list[str]:
    top = max((gain for gain in gains if gain.baseline != "random"), key=lambda gain: gain.gain)
    rival = max(strongest(gains), key=lambda gain: gain.gain)
    chance = max((gain for gain in gains if gain.baseline == "random"), key=lambda gain: gain.gain)
    return [
        "`homogeneous` and `heterogeneous` use the users' differences;",
        f"{', '.join(f'`{name}`' for name in AGNOSTIC)} do not.",
        f"For every scenario {options.draws} cells are drawn (seed {options.seed}); then the distances of their users",
        "from the cell's median user are multiplied by a factor: of the acceptance rates' logits, of the",
        "logarithms of drafting speeds and of received powers, one at a time (the other two at 0, where all users",
        "are alike) or all three together. Factor 1 with all three is the scenario as it is.",
        "",
        f"**Largest gain over a deterministic agnostic controller: {top.gain:+.0%}** ({_where(top)}; 95 % interval",
        f"{top.low:+.0%} to {top.high:+.0%}). **Over the strongest of them at the same point: {rival.gain:+.0%}**",
        f"({_where(rival)}). Over random decisions: {chance.gain:+.0%} ({_where(chance)}).",
        f"The paper's abstract says up to {PAPER_GAIN:.0%} over heterogeneity-agnostic baselines; which baselines,",
        "cells and spreads it means is not known, so the figures stand side by side and are not a reproduction.",
    ]


def _where(gain: Gain) -> str:
    return f"`{gain.controller}` over `{gain.baseline}`, {gain.scenario}, {gain.dimension} x{gain.factor:g}"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def to_csv(gains: Sequence[Gain]) -> str:
    """Write every gain as one line."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(vars(gains[0])), lineterminator="\n")
    writer.writeheader()
    writer.writerows(vars(gain) for gain in gains)
    return buffer.getvalue()


def draw(gains: Sequence[Gain]) -> bytes:
    """Draw heterogeneous over each deterministic agnostic controller, one panel per scenario and dimension."""
    from matplotlib.figure import Figure

    scenarios = list(dict.fromkeys(gain.scenario for gain in gains))
    figure = Figure(figsize=(12.0, 1.4 + 2.2 * len(scenarios)), dpi=110, layout="constrained")
    panels = figure.subplots(len(scenarios), len(DIMENSIONS), sharex=True, sharey="row", squeeze=False)
    for row, scenario in zip(panels, scenarios, strict=True):
        for axes, dimension in zip(row, DIMENSIONS, strict=True):
            here = [gain for gain in gains if (gain.scenario, gain.dimension) == (scenario, dimension)]
            _draw_panel(axes, here)
            axes.set_title(f"{scenario}: {dimension}", fontsize=8)
        row[0].set_ylabel("gain")
    for axes in panels[-1]:
        axes.set_xlabel("spread factor")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_panel(axes: Any, gains: Sequence[Gain]) -> None:
    colours = dict(zip(AGNOSTIC, ("#6b7280", "#d1d5db", "#b45309", "#1f5fa8", "#15803d"), strict=True))
    for baseline in AGNOSTIC:
        if baseline == "random":
            continue
        line = [g for g in gains if (g.controller, g.baseline) == ("heterogeneous", baseline)]
        x = [g.factor for g in line]
        axes.plot(x, [g.gain for g in line], color=colours[baseline], label=f"heterogeneous over {baseline}")
        axes.fill_between(x, [g.low for g in line], [g.high for g in line], color=colours[baseline], alpha=0.2, lw=0)
    line = [g for g in gains if (g.controller, g.baseline) == ("homogeneous", "uniform_best")]
    axes.plot(
        [g.factor for g in line], [g.gain for g in line], "--", color=colours["uniform_best"],
        label="homogeneous over uniform_best",
    )  # fmt: skip
    axes.axhline(PAPER_GAIN, color="black", linestyle=":", linewidth=1.0, label="paper: up to 88 %")
    axes.axhline(0.0, color="black", linewidth=0.6)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:+.0%}")
    axes.grid(alpha=0.3)


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
        "gains": [vars(gain) for gain in gains],
    }
    write_atomically(
        options.output,
        {
            "headline.csv": to_csv(gains).encode(),
            "headline.png": draw(gains),
            "headline.json": (json.dumps(data, indent=1) + "\n").encode(),
            "headline.md": to_markdown(gains, options, command).encode(),
        },
    )
    print(to_markdown(gains, options, command))


if __name__ == "__main__":
    main(sys.argv[1:])
