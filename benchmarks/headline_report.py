"""The report of the headline benchmark: tables, CSV and picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from _report import interval_text, machine_text, picture, table

AWARE = ("homogeneous", "heterogeneous")
AGNOSTIC = ("server_only", "random", "uniform_fixed", "fixed_bw_l", "uniform_best", "tk_slt")
RULE = "nested_polished"
DIMENSIONS = ("acceptance", "speed", "channel", "all")
PAPER_GAIN = 0.88


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


def strongest(gains: Sequence[Gain]) -> list[Gain]:
    """Keep, at every point, the gain over that agnostic controller which has the highest mean goodput there."""
    best: dict[tuple[Any, ...], Gain] = {}
    for gain in gains:
        key = (gain.scenario, gain.dimension, gain.factor, gain.controller)
        if key not in best or gain.baseline_goodput > best[key].baseline_goodput:
            best[key] = gain
    return list(best.values())


def to_markdown(gains: Sequence[Gain], report: Mapping[str, Any]) -> str:
    """Write the page: what was done, the largest gains, the gains over the strongest rival, and the command."""
    own = [gain for gain in gains if (gain.dimension, gain.factor, gain.controller) == ("all", 1.0, "heterogeneous")]
    header = ["scenario", *AGNOSTIC]
    parts = [
        "# What knowing the users' differences is worth\n",
        *_introduction(gains, report["draws"], report["seed"]),
        "\n![Gain of heterogeneous drafts over the users' spread](headline.png)\n",
        "## The scenarios as they are\n",
        "Gain of `heterogeneous` at factor 1 of all three, with 95 % intervals.\n",
        table(header, _rows(own, _with_interval)),
        "Regret to `nested_polished`, the rule that a good engineer writes first, which is aware of the differences as",
        "well, on the same cells: one minus the ratio of the mean goodputs; below zero the rule has less.\n",
        _regrets(report["regret_to_nested_polished"]),
        "## Largest gain over each agnostic controller\n",
        "Of `heterogeneous`, over all spreads; in brackets what was spread, and by which factor.\n",
        table(header, _rows(_largest(gains), lambda gain: f"{gain.gain:+.0%} ({_spread(gain)})")),
        "## Gain over the strongest agnostic controller\n",
        "All three spread together. Ratio of the mean goodputs with 95 % paired bootstrap intervals,",
        "then the median over the cells of each cell's own gain.\n",
        _over_the_strongest(gains),
        f"## How it was made\n\n```bash\n{report['command']}\n```\n",
        ", ".join(f"{name} {version}" for name, version in report["versions"].items()) + f"; {machine_text(report)}.",
        "All numbers, those of `homogeneous` and of every spread, are in `headline.csv` and `headline.json`.",
    ]
    return "\n".join(parts) + "\n"


def _regrets(found: Mapping[str, Mapping[str, Any]]) -> str:
    """One row per scenario, one column per controller that is aware of the differences."""
    rows = [[name, *(interval_text(regrets[each], "+.3%") for each in AWARE)] for name, regrets in found.items()]
    return table(["scenario", *AWARE], rows)


def _over_the_strongest(gains: Sequence[Gain]) -> str:
    found = {(g.scenario, g.factor, g.controller): g for g in strongest(gains) if g.dimension == "all"}
    rows = []
    for scenario, factor in dict.fromkeys((scenario, factor) for scenario, factor, _ in found):
        pair = [found[scenario, factor, controller] for controller in AWARE]
        cells = [text for gain in pair for text in (_with_interval(gain, ".1%"), f"{gain.median:+.1%}")]
        rows.append([scenario, f"{factor:g}", pair[0].baseline, *cells])
    columns = [f"{name}{what}" for name in AWARE for what in ("", ", median")]
    return table(["scenario", "factor", "strongest", *columns], rows, left=3)


def _introduction(gains: Sequence[Gain], draws: int, seed: int) -> list[str]:
    best = {b: max((g for g in gains if g.baseline == b), key=lambda gain: gain.gain) for b in AGNOSTIC}
    rival = max(strongest(gains), key=lambda gain: gain.gain)
    plain = [
        gain.scenario
        for gain in gains
        if (gain.controller, gain.baseline, gain.dimension, gain.factor) == ("heterogeneous", "server_only", "all", 1.0)
        and gain.high < 0.0
    ]
    return [
        "`homogeneous` and `heterogeneous` weigh the users against each other;",
        f"{', '.join(f'`{name}`' for name in AGNOSTIC)} do not: none of them knows more than",
        "each user's own values, as if it were alone, or one number of all.",
        f"For every scenario {draws} cells are drawn (seed {seed}); then the distances of their users",
        "from the cell's median user are multiplied by a factor: of the acceptance rates' logits, of the",
        "logarithms of drafting speeds and of received powers, one at a time (the other two at 0, where all users",
        "are alike) or all three together. Factor 1 with all three is the scenario as it is.",
        "",
        f"The paper's **up to {PAPER_GAIN:.0%}** is one such gain: of its heterogeneous drafts over `fixed_bw_l`,",
        "eight tokens on equal shares, in its own cell with a band of 5 MHz; `paper_llama2` and `paper_qwen35` have",
        "10 MHz here.",
        "",
        "Largest gains:",
        "",
        *(f"- over `{name}`: **{gain.gain:+.0%}** {_interval(gain)} ({_where(gain)})" for name, gain in best.items()),
        f"- over the strongest of them at the same point: **{rival.gain:+.0%}** {_interval(rival)}",
        f"  ({_where(rival)}, `{rival.baseline}`)",
        "",
        "`uniform_fixed` drafts four tokens everywhere, so much of the gain over it is that of a better common length,",
        "and is there without any differences between users (factor 0). `uniform_best` knows the best common length,",
        "`tk_slt` each user's own as if it were alone. Where `server_only` has more goodput than `heterogeneous`,",
        "speculation does not pay at all; with factor 1 of all three this is so in:",
        f"{', '.join(plain) or 'no scenario'}.",
    ]


def _largest(gains: Sequence[Gain]) -> list[Gain]:
    """Keep the largest gain of heterogeneous for each scenario and agnostic controller."""
    best: dict[tuple[str, str], Gain] = {}
    for gain in gains:
        key = (gain.scenario, gain.baseline)
        if gain.controller == "heterogeneous" and (key not in best or gain.gain > best[key].gain):
            best[key] = gain
    return list(best.values())


def _rows(gains: Sequence[Gain], form: Callable[[Gain], str]) -> list[list[str]]:
    """One row per scenario, one column per agnostic controller."""
    cells = {(gain.scenario, gain.baseline): form(gain) for gain in gains}
    return [[name, *(cells[name, b] for b in AGNOSTIC)] for name in dict.fromkeys(gain.scenario for gain in gains)]


def _with_interval(gain: Gain, form: str = ".0%") -> str:
    return f"{gain.gain:+{form}} {_interval(gain)}"


def _interval(gain: Gain) -> str:
    return f"({gain.low:+.0%}, {gain.high:+.0%})"


def _spread(gain: Gain) -> str:
    return f"{gain.dimension} x{gain.factor:g}"


def _where(gain: Gain) -> str:
    return f"`{gain.controller}`, {gain.scenario}, {_spread(gain)}"


def row(gain: Gain) -> list[str | float]:
    """Return a gain's fields, numbers to six digits."""
    return [float(f"{value:.6g}") if isinstance(value, float) else value for value in vars(gain).values()]


def to_csv(gains: Sequence[Gain]) -> str:
    """Write every gain as one line."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(vars(gains[0]))
    writer.writerows(row(gain) for gain in gains)
    return buffer.getvalue()


def draw(gains: Sequence[Gain]) -> bytes:
    """Draw heterogeneous over each deterministic agnostic controller, one panel per scenario and dimension."""
    from matplotlib.figure import Figure

    scenarios = list(dict.fromkeys(gain.scenario for gain in gains))
    figure = Figure(figsize=(12.0, 1.4 + 2.2 * len(scenarios)), layout="constrained")
    panels = figure.subplots(len(scenarios), len(DIMENSIONS), sharex=True, sharey="row", squeeze=False)
    for line, scenario in zip(panels, scenarios, strict=True):
        for axes, dimension in zip(line, DIMENSIONS, strict=True):
            here = [gain for gain in gains if (gain.scenario, gain.dimension) == (scenario, dimension)]
            _draw_panel(axes, here)
            axes.set_title(f"{scenario}: {dimension}", fontsize=8)
        line[0].set_ylabel("gain")
    for axes in panels[-1]:
        axes.set_xlabel("spread factor")
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return picture(figure, dpi=110)


def _draw_panel(axes: Any, gains: Sequence[Gain]) -> None:
    colours = dict(zip(AGNOSTIC, ("#6b7280", "#d1d5db", "#b45309", "#c026d3", "#1f5fa8", "#15803d"), strict=True))
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
