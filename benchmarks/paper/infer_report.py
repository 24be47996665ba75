"""The page and the picture of the fit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from _printed import PAIRS
from _report import machine_text, picture, table

COLOURS = {"llama2": "#1f5fa8", "qwen35": "#b45309"}
WORDS = {
    "snr_db": "power over noise, dB",
    "time_llama2": "T_S Llama-2, ms",
    "time_qwen35": "T_S Qwen3.5, ms",
    "server_time": "Cen-SPIN's drafting, ms",
    "share_6": "share between prompts, Fig. 6",
    "share_78": "share between prompts, Figs. 7 and 8",
}


def server_text(swapped: bool) -> str:
    """Write which slope of Fig. 5 is which."""
    return "swapped" if swapped else "as read"


def number(name: str, value: float) -> str:
    """Write a parameter in its unit."""
    if "time" in name:
        return f"{1e3 * value:.1f}"
    return f"{value:.1f}" if name == "snr_db" else f"{value:.2f}"


def probability(value: float) -> str:
    """Write a probability."""
    return f"{value:.3f}" if value >= 0.001 else f"{value:.0e}"


def parameters_table(readings: list[dict[str, Any]]) -> str:
    """Parameters and chi square of all readings."""
    header = ["scoring", "T_fix, T_lin", *WORDS.values(), "chi square", "freedom", "p", "p, simulated", ""]
    rows = [
        [
            entry["name"],
            server_text(entry["swapped"]),
            *(number(name, entry["parameters"][name]) + ("" if name in entry["free"] else " (set)") for name in WORDS),
            f"{entry['chi2']:.1f}",
            str(entry["freedom"]),
            probability(entry["p"]),
            f"{entry['simulated_p']:.3f}",
            "rejected" if entry["rejected"] else "**not rejected**",
        ]
        for entry in readings
    ]
    return table(header, rows, left=2)


def values_table(readings: list[dict[str, Any]]) -> str:
    """Printed values beside those of some readings, with residuals in deviations."""
    names = [f"{entry['name']} ({server_text(entry['swapped'])})" for entry in readings]
    rows = []
    for index, value in enumerate(readings[0]["values"]):
        pair, _, what = value["value"].partition(": ")
        cells = [f"{e['values'][index]['fitted']:.3g} ({e['values'][index]['residual']:+.1f})" for e in readings]
        rows.append([PAIRS[pair], f"Fig. {value['figure']}", what, value["printed"], *cells])
    return table(["pair", "figure", "value", "printed", *names], rows, left=3)


def alternatives_table(report: Mapping[str, Any]) -> str:
    """How likely the readings are under other assumptions on the scatter."""
    found = {(e["name"], e["swapped"]): [probability(e["p"])] for e in report["readings"]}
    for entries in report["alternatives"].values():
        for entry in entries:
            found[entry["name"], entry["swapped"]].append(probability(entry["p"]))
    rows = [[name, server_text(swapped), *cells] for (name, swapped), cells in found.items() if len(cells) > 1]
    return table(["scoring", "T_fix, T_lin", "p as above", *report["alternatives"]], rows, left=2)


def directions_table(entry: Mapping[str, Any]) -> str:
    """Eigenvectors of the curvature, the most open first, and the deviation along each."""
    found = entry["directions"]
    rows = [
        [f"{sigma:.3g}", *(f"{part:+.2f}" for part in vector)]
        for sigma, vector in zip(found["deviation"][::-1], found["vectors"][::-1], strict=True)
    ][::-1]
    rows.sort(key=lambda row: -float(row[0]))
    return table(["deviation", *(WORDS[name] for name in found["names"])], rows, left=0)


def common_table(readings: list[dict[str, Any]]) -> str:
    """Fig. 6's value beside Fig. 7's at the point that they share."""
    rows = []
    for entry in readings:
        common, cells = entry["common_point"], []
        for pair in PAIRS:
            printed = next(v["printed"] for v in entry["values"] if v["value"] == f"{pair}: Hete, token/s")
            cells += [printed, f"{common[pair]['fig7']:.0f}", f"{common[pair]['z']:+.1f}"]
        rows.append([entry["name"], server_text(entry["swapped"]), *cells, probability(common["p"])])
    header = [f"{name}: {what}" for name in PAIRS.values() for what in ("Fig. 6", "Fig. 7's scoring", "z")]
    return table(["scoring", "T_fix, T_lin", *header, "p"], rows, left=2)


def check_tables(readings: list[dict[str, Any]]) -> str:
    """The readings on other cells: order of schemes and range of Fig. 7."""
    rows, ranges = [], []
    for entry in readings:
        for pair, found in entry["check"].items():
            label = [entry["name"], server_text(entry["swapped"]), PAIRS[pair]]
            ratios = found["uni_bw_over_homo"].values()
            chance = math.prod(ratio["above_in_ten"] for ratio in ratios)
            cells = [f"{ratio['mean']:.3f} ({ratio['above_in_ten']:.2f})" for ratio in ratios]
            rows.append([*label, *cells, probability(chance)])
            low, high = found["fig7_range"]
            first, last = found["axis"]
            ranges.append([*label, f"{low:.0f}..{high:.0f}", f"{first:.0f}..{last:.0f}"])
    points = list(next(iter(readings[0]["check"].values()))["uni_bw_over_homo"])
    order = table(["scoring", "T_fix, T_lin", "pair", *points, "all five"], rows, left=3)
    axis = table(["scoring", "T_fix, T_lin", "pair", "Fixed at 5 MHz .. Hete at 20 MHz", "axis"], ranges, left=3)
    return f"{order}\nThe range of Fig. 7, token/s, beside the first and last tick of its axis:\n\n{axis}"


def _introduction(report: Mapping[str, Any]) -> list[str]:
    assumed = report["assumptions"]
    return [
        f"Least squares over {len(report['printed'])} printed values, in logarithms, weighted with the scatter of",
        f"an experiment of {assumed['draws']} draws and {assumed['prompts']} prompts a device, simulated at the",
        "fit itself (means are ratios of means; points of a figure drawn independently), and with the reading of",
        f"the values: their rounding, and {assumed['tolerance']:.0%} where the paper says about. One power over",
        "the noise serves both pairs, and one drafting time both Cen-SPINs. Decisions use the data sets' mean",
        "rates. A scores with that mean, B with each prompt's own rate, from Beta laws of Table I's mean and",
        "deviation; a share lets that much of the variance lie between prompts. A reading is rejected at",
        f"{assumed['level']:.0%} by chi square; the last column has the same probability from repetitions of the",
        "experiment, whose gains are not quite Gaussian. Hete is `heterogeneous`, which Algorithm 1 comes close",
        "to.\n",
    ]


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write the page."""
    readings = report["readings"]
    kept = [entry for entry in readings if not entry["rejected"]]
    checked = [entry for entry in readings if "check" in entry]
    best = readings[report["best"]]
    own = ", ".join(
        f"{WORDS[name]} {number(name, best['parameters'][name])} +- "
        + (f"{sigma:.2f}" if name.startswith("share") else f"{sigma:.0%}")
        for name, sigma in best["directions"]["own_deviation"].items()
    )
    return "\n".join(
        [
            "# What the paper leaves out, fitted to what it prints\n",
            f"`{report['command']}`\n",
            *_introduction(report),
            parameters_table(readings),
            "![Residuals and profiles of the fit](infer.png)\n",
            "Below: least chi square along each parameter; the grey line is 3.84 above the best fit.\n",
            "## Readings that are not rejected, and A throughout\n",
            "Fitted values with their residuals in deviations; negative: the fit is above the printed value.\n",
            values_table(checked),
            f"## What stays open: {best['name']} ({server_text(best['swapped'])})\n",
            f"{own}.\n",
            f"At the presets' numbers chi square is {report['presets']['above']:.1f} above its least value"
            f" (p = {report['presets']['p']:.2f} for {len(report['presets']['values'])} parameters).\n",
            "Eigenvectors of the curvature, in logarithms of the parameters, with the deviation along each.\n",
            directions_table(best),
            f"With {report['phone']['snr_db']:.0f} dB, which a phone would have with the printed noise power and",
            f"gains, the same reading gives {_phone(report)}.\n",
            "## Figs. 6 and 7 at K = 20 and 10 MHz\n",
            "Both figures show Hete there. If one simulation made both, Fig. 6's printed goodput is a mean of ten",
            "draws of what Fig. 7's scoring gives: z in its deviations, and the probability of so large a difference,",
            "parameters as fitted.\n",
            common_table(checked),
            "## Uni-BW over Homo, which the paper has above 1 everywhere\n",
            f"Ratio of means on {report['options']['check_draws']} other cells; in brackets how often a mean of ten",
            "draws has Uni-BW above Homo; last, how often that is so at all five points, drawn independently. Not part",
            "of the fit.\n",
            check_tables(checked),
            "## If the draws were made another way\n",
            "Probability of so bad a fit where the scatter is simulated otherwise.\n",
            alternatives_table(report),
            f"{len(kept)} of {len(readings)} readings are not rejected. {machine_text(report)},"
            f" {report['seconds']:.0f} s of processor time.\n",
        ]
    )


def _phone(report: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{PAIRS[value.partition(': ')[0]]} {ratio - 1.0:+.0%} at {value.rpartition(', ')[2]}"
        for value, ratio in report["phone"]["values"].items()
    )


def draw(report: Mapping[str, Any]) -> bytes:
    """Draw the residuals of the readings, and the profiles of the best, of the widest, and of A throughout."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12.0, 8.6), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.25, 1.0))
    _draw_residuals(above, [entry for entry in report["readings"] if "check" in entry])
    _draw_profiles(below, report)
    return picture(figure)


def _draw_residuals(part: Any, readings: list[dict[str, Any]]) -> None:
    panels = part.subplots(1, len(readings), sharey=True, squeeze=False)[0]
    values = readings[0]["values"]
    labels = [v["value"].replace("llama2", "Llama-2").replace("qwen35", "Qwen3.5") for v in values]
    colours = [COLOURS[value["value"].partition(":")[0]] for value in values]
    for axes, entry in zip(panels, readings, strict=True):
        axes.axvspan(-2.0, 2.0, color="#e5e7eb", zorder=0)
        axes.axvline(0.0, color="black", linewidth=0.6)
        axes.barh(range(len(values)), [v["residual"] for v in entry["values"]], color=colours, height=0.7)
        server = "" if not entry["swapped"] else "\nT_fix, T_lin swapped"
        verdict = "rejected" if entry["rejected"] else "not rejected"
        axes.set_title(f"{_wrapped(entry['name'])}{server}\np = {probability(entry['p'])}: {verdict}", fontsize=9)
        axes.set_xlim(-4.5, 4.5)
        axes.set_xlabel("printed less fitted, deviations", fontsize=8)
    panels[0].set_yticks(range(len(values)), labels, fontsize=8)
    panels[0].invert_yaxis()


def _wrapped(text: str) -> str:
    return text.replace(", ", ",\n", 1).replace(" in each", "\nin each")


def _draw_profiles(part: Any, report: Mapping[str, Any]) -> None:
    first, second = list(report["profiles"].values())[:2]
    names = [*first, *(name for name in second if name not in first)]
    panels = part.subplots(1, len(names), sharey=True)
    styles = (("-", "#1f5fa8"), ("--", "#b45309"), (":", "#15803d"))
    for axes, name in zip(panels, names, strict=True):
        for (label, found), (style, colour) in zip(report["profiles"].items(), styles, strict=True):
            if name in found:
                scale = 1e3 if "time" in name else 1.0
                x = [scale * value for value in found[name]["values"]]
                axes.plot(x, found[name]["chi2"], style, color=colour, label=label)
        axes.axhline(min(min(entry["chi2"]) for entry in first.values()) + 3.84, color="grey", linewidth=0.8)
        axes.set_xlabel(WORDS[name].replace(", Fig", ",\nFig"), fontsize=8)
        axes.set_ylim(0.0, 30.0)
        axes.grid(alpha=0.3)
        if name == "snr_db":
            axes.set_xscale("log")
            axes.set_xticks([10, 15, 20, 30, 50], ["10", "15", "20", "30", "50"])
            axes.minorticks_off()
    panels[0].set_ylabel("least chi square")
    handles, labels = panels[0].get_legend_handles_labels()
    part.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
