"""The page of the paper's figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from _printed import PAIRS
from _report import machine_text, table

ROWS = {
    "multi_spin": "Hete (Algorithm 1)",
    "heterogeneous": "`heterogeneous`",
    "uni_bw": "Uni-BW",
    "homogeneous": "Homo",
    "uniform_best": "equal shares, best common length",
    "fixed_bw_l": "Fixed BW&L",
}
PROTOCOLS = {
    "p2p": "P2P-SPIN",
    "cen": "Cen-SPIN",
    "cen_batched": "Cen-SPIN, drafting in batches",
    "server_only": "server only, no drafts",
}
COMMON, NARROW = "K = 20, 10 MHz", "K = 20, 5 MHz"


def estimate(entry: Mapping[str, Any], form: str = ".1f") -> str:
    """Write a mean with its interval."""
    low, high = entry["ci95"] or (entry["mean"], entry["mean"])
    return f"{entry['mean']:{form}} ({low:{form}}, {high:{form}})"


def printed_table(report: Mapping[str, Any]) -> str:
    """Every printed value beside ours, under both laws."""
    rows = []
    for first, second in zip(report["printed"][::2], report["printed"][1::2], strict=True):
        pair, _, what = first["value"].partition(": ")
        cells = []
        for row in (first, second):
            form = ".0f" if row["value"].endswith("token/s") else ".2f"
            low, high = row["ten"]
            cells += [estimate(row, form), f"{low:{form}}..{high:{form}}", row["verdict"]]
        rows.append([PAIRS[pair], f"Fig. {first['figure']}", what, first["text"], *cells])
    header = [f"{law}: {what}" for law in ("A", "B") for what in ("ours", "ten draws", "verdict")]
    return table(["pair", "figure", "value", "printed", *header], rows, left=3)


def curves_table(report: Mapping[str, Any], points: list[str]) -> str:
    """Goodputs along a figure's axis."""
    rows = [
        [PAIRS[pair], law, ROWS[name], *(estimate(found[point][law][name]["goodput"]) for point in points)]
        for pair, found in report["curves"].items()
        for law in ("A", "B")
        for name in ROWS
    ]
    return table(["pair", "scoring", "scheme", *points], rows, left=3)


def gains_table(report: Mapping[str, Any], points: list[str]) -> str:
    """Hete over everything else along a figure's axis."""
    rows = []
    for pair, found in report["curves"].items():
        for law in ("A", "B"):
            for name in ("fixed_bw_l", "uniform_best", "homogeneous", "uni_bw"):
                ratios = [found[point][law][name]["hete_over"] for point in points]
                cells = [f"{r['mean'] - 1:+.1%} ({r['ci95'][0] - 1:+.1%}, {r['ci95'][1] - 1:+.1%})" for r in ratios]
                rows.append([PAIRS[pair], law, ROWS[name], *cells])
    return table(["pair", "scoring", "Hete over", *points], rows, left=3)


def protocols_table(report: Mapping[str, Any]) -> str:
    """The protocols beside Hete at the common point."""
    rows = []
    for pair, found in report["curves"].items():
        for name, text in {"multi_spin": ROWS["multi_spin"], **PROTOCOLS}.items():
            cells = [
                text
                for law in ("A", "B")
                for text in (
                    estimate(found[COMMON][law][name]["goodput"]),
                    f"{found[COMMON][law][name]['hete_over']['mean']:.2f}",
                )
            ]
            rows.append([PAIRS[pair], text, *cells])
    header = [f"{law}: {what}" for law in ("A", "B") for what in ("token/s", "Hete over it")]
    return table(["pair", "protocol", *header], rows, left=2)


def orders_table(report: Mapping[str, Any]) -> str:
    """At how many points the paper's order holds."""
    points = report["points"]
    rows = [
        [PAIRS[pair], law, *(f"{count} of {points}" for count in found.values())]
        for pair, laws in report["orders"].items()
        for law, found in laws.items()
    ]
    return table(["pair", "scoring", "Hete over Uni-BW", "Uni-BW over Homo", "Homo over Fixed"], rows, left=2)


def structure_tables(report: Mapping[str, Any]) -> str:
    """Figs. 3 and 4, and the splits."""
    third, splits = [], []
    for pair, found in report["structure"].items():
        for law in ("A", "B"):
            entry = found["fig3"][law]
            low, high = min(entry["goodput"]), max(entry["goodput"])
            numbers = [f"{low:.0f}..{high:.0f}", str(entry["best_length"]), f"{entry['unimodal_cells']:.1%}"]
            third.append([PAIRS[pair], law, *numbers])
        for name in ("homogeneous", "multi_spin"):
            entry = found["splits"][name]
            numbers = [f"{entry[key]['rank_correlation']:+.2f}" for key in ("drafting_time_ms", "spectral_efficiency")]
            tasks = sorted(entry["acceptance_rate"], key=lambda task: task["rate"])
            ends = [f"{task['task']} {task['rate']:.3f}: {task['share']:.2f} ({task['length']:.1f})" for task in tasks]
            splits.append([PAIRS[pair], ROWS[name], *numbers, "; ".join(ends)])
    fourth = [
        [name.replace("_", " "), entry["direction"], "yes" if entry["neighbour"] else "no"]
        for name, entry in report["structure"]["llama2"]["fig4"].items()
    ]
    return "\n".join(
        [
            "Fig. 3, a common length, all users at GSM8K. Unimodal: the goodput never rises again.\n",
            table(["pair", "scoring", "token/s", "best length", "unimodal cells"], third, left=2),
            "Fig. 4, the best common length by Theorem 1; whether the best whole length is its neighbour.\n",
            table(["along", "it", "neighbour"], fourth, left=2),
            "Shares of the band: rank correlation with drafting time and spectral efficiency, and the mean share times",
            "K (mean length) by data set.\n",
            table(["pair", "scheme", "drafting time", "efficiency", "acceptance rate"], splits, left=2),
        ]
    )


def algorithm_table(report: Mapping[str, Any]) -> str:
    """Algorithm 1 beside the certificate."""
    rows = []
    for pair, found in report["algorithm"].items():
        for name, rule in found["rules"].items():
            numbers = [f"{rule['ratio']['mean']:.6f}", f"{rule['median']:.1e}", f"{rule['worst']:.1e}"]
            times = [f"{1e3 * rule['seconds']:.2g}", f"{1e3 * rule['seconds_batched']:.2g}"]
            rows.append([PAIRS[pair], name, *numbers, f"{rule['optimal']:.0%}", *times])
        closed = f"certificate ({found['closed']} of {found['cells']} closed to 1e-6)"
        rows.append(
            [PAIRS[pair], closed, "1", "", f"{found['largest_gap']:.0e}", "", f"{1e3 * found['seconds']:.2g}", ""]
        )
    header = ["of the bound", "median lost", "worst lost", "optimal", "ms, one cell", "ms, batched"]
    return table(["pair", "rule", *header], rows, left=2)


def to_markdown(report: Mapping[str, Any]) -> str:
    """Write the page."""
    return "\n".join(
        [
            "# The paper's figures again\n",
            f"`{report['command']}`\n",
            f"{report['draws']} draws at every point, seed {report['seed']}, in the presets `paper_llama2` and",
            "`paper_qwen35`, whose power and drafting times are inferred ([how](infer.md)). Decisions use the data",
            "sets' mean rates; A scores with that mean, B with each prompt's own rate. Means, ratios of means, 95 %",
            "paired bootstrap intervals over draws. Ten draws: where 95 % of means of ten draws lie, which is what",
            f"the paper averages. Reproduced: within {report['reproduced_within']:.0%} (of a ratio: of 1 plus the",
            "gain). The presets' own numbers were chosen to fit these values: only what the choice leaves over is a",
            "test.\n",
            "## Printed values\n",
            printed_table(report),
            "## Fig. 6 and what it leaves out\n",
            "![Protocols](fig6.png)\n",
            protocols_table(report),
            "## Fig. 7\n",
            "![Goodput over the band](fig7.png)\n",
            curves_table(report, report["bands"]),
            gains_table(report, report["bands"]),
            "## Fig. 8\n",
            "![Goodput over the users](fig8.png)\n",
            curves_table(report, report["counts"]),
            gains_table(report, report["counts"]),
            "## The order of the schemes\n",
            orders_table(report),
            "## Figs. 3 and 4, and whom the split favours\n",
            "![Goodput over a common length](fig3.png)\n",
            "![Best common length](fig4.png)\n",
            "![Shares of the band](splits.png)\n",
            structure_tables(report),
            "## Algorithm 1 and the certified optimum\n",
            "![Lost to the certified bound](algorithm.png)\n",
            f"{report['cells']} cells of K = 20; processor time ({machine_text(report)}).\n",
            algorithm_table(report),
        ]
    )
