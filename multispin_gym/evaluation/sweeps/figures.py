"""Pictures of sweeps. Importing this module needs matplotlib, so it is imported only to draw."""

from __future__ import annotations

import io
import textwrap
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
MOST_PANELS, PANELS_IN_A_ROW = 16, 4
# Values up to which each has a tick of its own.
MOST_TICKS = 8
UNITS = {
    "cell.bandwidth": "Hz",
    "cell.noise_psd": "W/Hz",
    "cell.payload": "bit",
    "cell.round_trip": "s",
    "cell.downlink": "bit/s",
    "cell.downlink_payload": "bit",
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
    rows = -(-len(panels) // PANELS_IN_A_ROW)
    columns = -(-len(panels) // rows)
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
        if number + columns >= len(panels):
            axes.set_xlabel(_plain(_label(across.key)), fontsize=9)
        if number % columns == 0:
            axes.set_ylabel("goodput, token/s", fontsize=9)
    _finish(figure, every[0], result, "bands" if _has_lines(across) else "bars")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _finish(figure: Figure, axes: Axes, result: SweepResult, marks: str) -> None:
    handles, labels = axes.get_legend_handles_labels()
    width = figure.get_figwidth()
    longest = max(map(len, labels))
    columns = max(1, min(len(labels), int(width / (0.5 + 0.055 * longest))))
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    about = textwrap.fill(result.about(), int(14 * width))
    figure.suptitle(_plain(f"{about}\n{marks}: 95 % bootstrap intervals"), fontsize=9)


def _draw_panel(axes: Axes, result: SweepResult, across: Axis, points: Sequence[Mapping[str, Any]]) -> None:
    lines = _has_lines(across)
    points = sorted(points, key=lambda point: point["values"][across.key]) if lines else points
    x = np.array([point["values"][across.key] for point in points] if lines else range(len(points)), dtype=np.float64)
    _draw_reference(axes, result, x, points, lines=lines)
    for number, name in enumerate(result.policies):
        colour, turn = COLOURS[number % len(COLOURS)], number // len(COLOURS)
        found = result.line(name, "goodput", points)
        low, high = np.array([each["ci95"] or (np.nan, np.nan) for each in found]).T
        shift = 0.0 if lines else 0.5 * (number + 0.5) / len(result.policies) - 0.25
        if lines:
            axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        else:
            axes.vlines(x + shift, low, high, color=colour, linewidth=2.0, alpha=0.5)
        axes.plot(
            x + shift,
            [each["mean"] for each in found],
            color=colour,
            marker=MARKERS[(number + turn) % len(MARKERS)],
            markersize=4.5,
            linestyle=DASHES[turn % len(DASHES)] if lines else "none",
            label=_name(name),
        )
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    _scale(axes, across, x)


def _has_lines(across: Axis) -> bool:
    """Whether policies are lines over numbers, or marks side by side at each value."""
    return across.is_numeric and len(across.values) > 1


def _draw_reference(
    axes: Axes, result: SweepResult, x: FloatArray, points: Sequence[Mapping[str, Any]], *, lines: bool
) -> None:
    """Draw what the ratios are taken to: no allowed decision has more."""
    mean = [point["reference_goodput"]["mean"] for point in points]
    label = f"reference: {', '.join(result.references)}"
    if lines:
        axes.plot(x, mean, color="black", linestyle=":", linewidth=1.4, label=label)
    else:
        axes.hlines(mean, x - 0.3, x + 0.3, color="black", linestyle=":", linewidth=1.4, label=label)


def _scale(axes: Axes, across: Axis, x: FloatArray) -> None:
    if not _has_lines(across):
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
