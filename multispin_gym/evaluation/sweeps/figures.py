"""Pictures of sweeps. Importing this module needs matplotlib, so it is imported only to draw."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, MaxNLocator, NullLocator

from multispin_gym._validation import FloatArray
from multispin_gym.evaluation.sweeps.axes import Axis, value_word
from multispin_gym.evaluation.sweeps.results import SweepResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind tell apart, but for the yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#444444")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", "-.")
REFERENCE = "#888888"
MOST_PANELS, PANELS_IN_A_ROW = 16, 4
# Values up to which each has a tick of its own.
MOST_TICKS = 8
UNITS = {
    "cell.bandwidth": "Hz",
    "cell.noise_psd": "W/Hz",
    "cell.payload": "bit",
    "cell.verification.fixed": "s",
    "cell.verification.per_token": "s",
    "cell.verification.per_draft": "s",
    "reference_power": "W",
}


def draw_sweep(result: SweepResult) -> bytes:
    """Draw every policy's goodput over the first key, with intervals, in a panel for each value of the second.

    Where only the second key's values are numbers, the two change places. A sweep that no picture shows (of more than
    two keys, or of too many panels) gives a ``ValueError``.
    """
    if len(result.axes) > 2:
        raise ValueError(f"it shows one varied key or two, and {len(result.axes)} are varied")
    across, *other = result.axes
    if other and other[0].is_numeric and not across.is_numeric:
        across, other = other[0], [across]
    panels = other[0].values if other else (None,)
    if len(panels) > MOST_PANELS:
        raise ValueError(
            f"it has a panel for each value of the second key, {MOST_PANELS} at most; "
            "give the key with fewer values last"
        )
    columns = min(len(panels), PANELS_IN_A_ROW)
    rows = -(-len(panels) // columns)
    size = (7.2, 4.6) if len(panels) == 1 else (1.2 + 3.1 * max(columns, 2), 1.3 + 2.7 * rows)
    figure = Figure(figsize=size, dpi=150, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    every: list[Axes] = list(grid.flat)
    for axes, value in zip(every, panels, strict=False):
        points = [p for p in result.points if not other or p["values"][other[0].key] == value]
        _draw_panel(axes, result, across, points)
        if other:
            axes.set_title(_plain(f"{_label(other[0].key)} = {value_word(value)}"), fontsize=9)
    for number, axes in enumerate(every):
        axes.set_visible(number < len(panels))
        # Above an empty place the ticks would be missing.
        axes.tick_params(labelbottom=number + columns >= len(panels))
    figure.supxlabel(_plain(_label(across.key)), fontsize=10)
    figure.supylabel("goodput, token/s", fontsize=10)
    _finish(figure, every[0], result)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _finish(figure: Figure, axes: Axes, result: SweepResult) -> None:
    handles, labels = axes.get_legend_handles_labels()
    width = figure.get_figwidth()
    longest = max(map(len, labels))
    columns = max(1, min(len(labels), int(width / (0.55 + 0.085 * longest))))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    figure.suptitle(_plain(f"{result.about()},\nbands and bars: 95 % bootstrap intervals"), fontsize=9)


def _draw_panel(axes: Axes, result: SweepResult, across: Axis, points: Sequence[Mapping[str, Any]]) -> None:
    values = [point["values"][across.key] for point in points]
    order = sorted(range(len(points)), key=lambda n: values[n]) if across.is_numeric else range(len(points))
    points = [points[number] for number in order]
    x = np.array([values[n] for n in order] if across.is_numeric else range(len(points)), dtype=np.float64)
    _draw_reference(axes, result, x, points)
    for number, name in enumerate(result.policies):
        style: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)],
            "marker": MARKERS[number % len(MARKERS)],
            "linestyle": DASHES[number // len(COLOURS) % len(DASHES)] if across.is_numeric else "none",
        }
        found = result.line(name, "goodput", points)
        mean = np.array([each["mean"] for each in found])
        ends = np.array([each["ci95"] or (np.nan, np.nan) for each in found]).T
        shift = 0.0 if across.is_numeric else 0.5 * (number + 0.5) / len(result.policies) - 0.25
        if across.is_numeric:
            axes.fill_between(x, ends[0], ends[1], color=style["color"], alpha=0.18, linewidth=0)
        else:
            axes.vlines(x + shift, ends[0], ends[1], color=style["color"], linewidth=2.0, alpha=0.5)
        axes.plot(x + shift, mean, label=_name(name), markersize=4.5, linewidth=1.5, **style)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    _scale(axes, across, x)


def _draw_reference(axes: Axes, result: SweepResult, x: FloatArray, points: Sequence[Mapping[str, Any]]) -> None:
    """Draw what the ratios are taken to: no allowed decision has more."""
    mean = [point["reference_goodput"]["mean"] for point in points]
    style: dict[str, Any] = {"linestyle": ":"} if len(points) > 1 else {"linestyle": "none", "marker": "_"}
    axes.plot(x, mean, color="black", linewidth=1.4, label=f"reference: {', '.join(result.references)}", **style)


def _scale(axes: Axes, across: Axis, x: FloatArray) -> None:
    if not across.is_numeric:
        axes.set_xticks(x, [_plain(value_word(value)) for value in across.values], fontsize=8)
        axes.set_xlim(-0.5, len(x) - 0.5)
        return
    if across.spacing == "log" or across.is_geometric:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
    if len(x) <= MOST_TICKS and _apart(axes, x):
        axes.set_xticks(x)
    elif all(isinstance(value, int) for value in across.values) and axes.get_xscale() == "linear":
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.tick_params(labelsize=8)


def _apart(axes: Axes, x: FloatArray) -> bool:
    """Whether the values lie so far apart that each can have a tick."""
    places = np.log(x) if axes.get_xscale() == "log" else x
    return bool(len(x) < 2 or np.diff(places).min() >= 0.08 * (places[-1] - places[0]))


def _label(key: str) -> str:
    return f"{key}, {UNITS[key]}" if key in UNITS else key


def _name(name: str) -> str:
    return _plain(name if len(name) <= 32 else f"…{name[-31:]}")


def _plain(text: str) -> str:
    """Keep matplotlib from reading dollar signs as mathematics."""
    return text.replace("$", r"\$")
