"""The pictures of the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from _printed import PAIRS
from _report import picture

STYLES = {
    "multi_spin": ("Hete (Algorithm 1)", "#1f5fa8", "o-"),
    "uni_bw": ("Uni-BW", "#15803d", "s-"),
    "homogeneous": ("Homo", "#b45309", "^-"),
    "uniform_best": ("equal shares, best common length (ours)", "#7c3aed", "v--"),
    "fixed_bw_l": ("Fixed BW&L", "#6b7280", "d-"),
}
LAWS = {"A": "scored with the data set's mean rate (A)", "B": "scored with each prompt's own rate (B)"}
TITLES = {"verification_time": "T_ver, ms", "acceptance_rate": "acceptance rate", "seconds_per_token": "theta, ms"}
ROWS = {"multi_spin": "Hete (Algorithm 1)", "homogeneous": "Homo"}


def pictures(report: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw all pictures, by file name."""
    return {
        "fig3.png": _fig3(report),
        "fig4.png": _fig4(report),
        "fig6.png": _fig6(report),
        "fig7.png": _curves(report, 7, report["bands"], "band, MHz"),
        "fig8.png": _curves(report, 8, report["counts"], "users K"),
        "splits.png": _splits(report),
        "algorithm.png": _algorithm(report),
    }


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _plain(axes: Any) -> None:
    axes.grid(alpha=0.3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _fig3(report: Mapping[str, Any]) -> bytes:
    figure = _figure(9.0, 3.6)
    for axes, (pair, name) in zip(figure.subplots(1, 2), PAIRS.items(), strict=True):
        found = report["structure"][pair]["fig3"]
        for law, colour in (("A", "#1f5fa8"), ("B", "#b45309")):
            curve = found[law]
            axes.plot(found["lengths"], curve["goodput"], ".-", color=colour, label=LAWS[law])
            best = curve["best_length"]
            axes.plot(best, curve["goodput"][best - 1], "o", color=colour, markersize=9, fillstyle="none")
        axes.set_title(f"{name}, GSM8K, K = 20, 10 MHz", fontsize=10)
        axes.set_xlabel("common draft length, tokens")
        _plain(axes)
    figure.axes[0].set_ylabel("goodput, token/s")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return picture(figure)


def _fig4(report: Mapping[str, Any]) -> bytes:
    figure = _figure(10.0, 3.2)
    found = report["structure"]["llama2"]["fig4"]
    for axes, (name, entry) in zip(figure.subplots(1, 3, sharey=True), found.items(), strict=True):
        scale = 1.0 if name == "acceptance_rate" else 1e3
        x = [scale * value for value in entry["values"]]
        axes.plot(x, entry["real"], color="#1f5fa8", label="Theorem 1, real length")
        axes.plot(x, entry["whole"], "s", color="#b45309", markersize=5, label="best whole length, all tried")
        axes.set_xlabel(TITLES[name])
        _plain(axes)
    figure.axes[0].set_ylabel("common draft length, tokens")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return picture(figure)


def _fig6(report: Mapping[str, Any]) -> bytes:
    names = {"multi_spin": "Hete", "cen": "Cen-SPIN", "p2p": "P2P-SPIN", "server_only": "server only"}
    names["cen_batched"] = "Cen-SPIN,\nbatched"
    printed = {"llama2": {"multi_spin": 145.0, "cen": 145.0 / 2.5, "p2p": 145.0 / 4.6}}
    printed["qwen35"] = {"multi_spin": 153.0, "cen": 153.0 / 3.0}
    figure = _figure(10.0, 3.9)
    for axes, (pair, title) in zip(figure.subplots(1, 2, sharey=True), PAIRS.items(), strict=True):
        found = report["curves"][pair]["K = 20, 10 MHz"]
        for side, (law, colour) in enumerate((("A", "#1f5fa8"), ("B", "#b45309"))):
            x = [index + 0.36 * (side - 0.5) for index in range(len(names))]
            entries = [found[law][name]["goodput"] for name in names]
            means = [entry["mean"] for entry in entries]
            ten = [
                [max(m - e["ten"][0], 0.0) for m, e in zip(means, entries, strict=True)],
                [max(e["ten"][1] - m, 0.0) for m, e in zip(means, entries, strict=True)],
            ]
            label = f"ours, {LAWS[law]}; bars: 95 % of means of ten draws"
            axes.bar(x, means, 0.34, yerr=ten, color=colour, label=label, capsize=3, ecolor="#374151")
        for index, name in enumerate(names):
            if name in printed[pair]:
                label = "printed" if name == "multi_spin" else None
                axes.plot([index - 0.4, index + 0.4], [printed[pair][name]] * 2, "k-", linewidth=2, label=label)
        axes.set_xticks(range(len(names)), list(names.values()), fontsize=9)
        axes.set_title(f"{title}, K = 20, 10 MHz", fontsize=10)
        _plain(axes)
    figure.axes[0].set_ylabel("goodput, token/s")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=1, frameon=False)
    return picture(figure)


def _curves(report: Mapping[str, Any], number: int, points: list[str], label: str) -> bytes:
    figure = _figure(10.0, 7.2)
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    place = 0 if number == 8 else 1
    x = [float(point.replace("K = ", "").replace(" MHz", "").split(", ")[place]) for point in points]
    for line, (pair, title) in zip(panels, PAIRS.items(), strict=True):
        for axes, law in zip(line, LAWS, strict=True):
            found = [report["curves"][pair][point][law] for point in points]
            for name, (text, colour, style) in STYLES.items():
                entries = [entry[name]["goodput"] for entry in found]
                axes.plot(x, [e["mean"] for e in entries], style, color=colour, label=text, markersize=5)
                ends = [[e["ci95"][side] for e in entries] for side in (0, 1)]
                axes.fill_between(x, *ends, color=colour, alpha=0.2, linewidth=0)
            _spread(axes, x, [entry["fixed_bw_l"]["goodput"] for entry in found], 0.0)
            axes.set_title(f"{title}, {LAWS[law]}\n{_gains(report, pair, law, number)}", fontsize=8.5)
            _plain(axes)
    for axes in panels[-1]:
        axes.set_xlabel(label)
    for line in panels:
        line[0].set_ylabel("goodput, token/s")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return picture(figure)


def _spread(axes: Any, x: list[float], entries: list[Any], shift: float) -> None:
    """One bar, in the middle, that shows how a mean of ten draws scatters."""
    middle = len(x) // 2
    low, high = entries[middle]["ten"]
    mean = entries[middle]["mean"]
    axes.errorbar(
        x[middle] + shift, mean, [[mean - low], [high - mean]],
        color="black", capsize=4, linewidth=1.2, label="95 % of means of ten draws (Fixed BW&L)",
    )  # fmt: skip


def _gains(report: Mapping[str, Any], pair: str, law: str, number: int) -> str:
    rows = [
        row
        for row in report["printed"]
        if (row["figure"], row["law"]) == (number, law) and row["value"].startswith(pair)
    ]
    texts = [
        f"{row['value'].partition(', ')[2]}: {row['mean'] - 1.0:+.0%} ({row['text'].replace(' %', '%')})"
        for row in rows
    ]
    return "Hete over Fixed (printed), " + "; ".join(texts)


def _splits(report: Mapping[str, Any]) -> bytes:
    figure = _figure(11.0, 6.4)
    panels = figure.subplots(2, 3, sharey="row")
    for line, (pair, title) in zip(panels, PAIRS.items(), strict=True):
        found = report["structure"][pair]["splits"]
        for name, colour in (("homogeneous", "#b45309"), ("multi_spin", "#1f5fa8")):
            for axes, key in zip(line, ("drafting_time_ms", "spectral_efficiency"), strict=False):
                entry = found[name][key]
                axes.plot(entry["x"], entry["mean"], "o-", color=colour, label=ROWS[name])
                axes.fill_between(entry["x"], *zip(*entry["quartiles"], strict=True), color=colour, alpha=0.15, lw=0)
            entries = sorted(found[name]["acceptance_rate"], key=lambda entry: entry["rate"])
            x = [entry["rate"] for entry in entries]
            line[2].plot(x, [entry["share"] for entry in entries], "o-", color=colour, label=ROWS[name])
        line[0].set_ylabel(f"{title}: share of the band x K")
        for axes in line:
            axes.axhline(1.0, color="black", linewidth=0.6)
            _plain(axes)
    for axes, text in zip(
        panels[-1], ("drafting time, ms", "spectral efficiency, bit/s/Hz", "acceptance rate"), strict=True
    ):
        axes.set_xlabel(text)
    for axes, text in zip(panels[0], ("slow devices", "poor channels", "accepted drafts"), strict=True):
        axes.set_title(text, fontsize=10)
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return picture(figure)


def _algorithm(report: Mapping[str, Any]) -> bytes:
    figure = _figure(10.0, 4.2)
    colours = ("#bfdbfe", "#93c5fd", "#3b82f6", "#1d4ed8", "#1e3a8a", "#15803d", "#86efac", "#b45309")
    for axes, (pair, title) in zip(figure.subplots(1, 2, sharey=True), PAIRS.items(), strict=True):
        entry = report["algorithm"][pair]
        for (name, rule), colour in zip(entry["rules"].items(), colours, strict=True):
            lost = [max(value, 1e-6) for value in rule["lost"]]
            ranks = [(index + 1) / len(lost) for index in range(len(lost))]
            axes.step([1e-6, *lost], [0.0, *ranks], where="post", color=colour, label=name)
        axes.set_xscale("log")
        axes.set_xlim(0.9e-6, 0.05)
        axes.set_xlabel("goodput lost to the certified bound (1e-6: or less)")
        axes.set_title(f"{title}, K = 20", fontsize=10)
        _plain(axes)
    figure.axes[0].set_ylabel("share of the cells")
    figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return picture(figure)
