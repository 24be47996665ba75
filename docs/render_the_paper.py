"""Write the numbers of the-paper.md from its two studies' results: ``python docs/render_the_paper.py``."""

from __future__ import annotations

import json
import math
import os
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("the-paper.md")
RESULTS = Path(__file__).parent / "results" / "paper"
PAIRS = {"llama2": "Llama-2", "qwen35": "Qwen3.5"}
COMMON, NARROW = "K = 20, 10 MHz", "K = 20, 5 MHz"

Data = Mapping[str, Any]


def results() -> dict[str, Any]:
    """Load what the two commands found."""
    return {name: json.loads((RESULTS / f"{name}.json").read_text("utf-8")) for name in ("infer", "figures")}


def table(header: list[str], rows: list[list[str]], left: int = 1) -> str:
    """Lay a table out, the first columns flush left."""
    rule = ["---"] * left + ["---:"] * (len(header) - left)
    return "\n".join(f"| {' | '.join(line)} |" for line in (header, rule, *rows))


def gain(ratio: Mapping[str, Any]) -> str:
    """Write a ratio of means as a gain."""
    return f"{ratio['mean'] - 1.0:+.0%}"


def share(value: float) -> str:
    """Write a small gain."""
    return f"{value - 1.0:+.1%}"


def small(value: float) -> str:
    """Write a probability."""
    return f"{value:.2f}" if value >= 0.005 else f"{value:.0e}"


def printed(data: Data) -> str:
    """Every printed value, ours under both scorings, and verdicts."""
    rows = []
    values = data["figures"]["printed"]
    for first, second in zip(values[::2], values[1::2], strict=True):
        pair, _, what = first["value"].partition(": ")
        cells = []
        for row in (first, second):
            is_gain = "Fixed" in row["value"]
            low, high = row["ten"]
            if is_gain:
                ours, spread = gain(row), f"{low - 1.0:+.0%}..{high - 1.0:+.0%}"
            else:
                form = ".0f" if what.endswith("token/s") else ".2f"
                ours, spread = f"{row['mean']:{form}}", f"{low:{form}}..{high:{form}}"
            cells += [f"{ours} ({spread})", row["verdict"]]
        rows.append([PAIRS[pair], f"Fig. {first['figure']}: {what}", first["text"], *cells])
    header = ["pair", "value", "printed", "A: ours (ten draws)", "A: verdict", "B: ours (ten draws)", "B: verdict"]
    return table(header, rows, left=2)


def claims(data: Data) -> str:
    """What the paper says in words, and whether it holds here."""
    figures = data["figures"]
    points, rows = figures["points"], []
    for first in ("multi_spin over uni_bw", "uni_bw over homogeneous", "homogeneous over fixed_bw_l"):
        above, below = (NAMES[name] for name in first.split(" over "))
        cells = [f"{PAIRS[pair]}: {laws['A'][first]} / {laws['B'][first]}" for pair, laws in figures["orders"].items()]
        rows.append([f"{above} above {below} at all bands and numbers of users", ", ".join(cells) + f" of {points}"])
    third = [
        f"{PAIRS[pair]} {entry['fig3']['A']['unimodal_cells']:.0%} / {entry['fig3']['B']['unimodal_cells']:.0%}"
        for pair, entry in figures["structure"].items()
    ]
    peaks = [
        f"{PAIRS[pair]} {entry['fig3']['A']['best_length']} / {entry['fig3']['B']['best_length']}"
        for pair, entry in figures["structure"].items()
    ]
    text = f"{', '.join(third)} of the cells; best length {', '.join(peaks)} (25: no peak within the range)"
    rows.append(["Fig. 3: goodput over a common length is unimodal", text])
    fourth = figures["structure"]["llama2"]["fig4"]
    words = [f"{entry['direction']} with {TEXTS[name]}" for name, entry in fourth.items()]
    rows.append(["Fig. 4: the best common length", "; ".join(words)])
    for name, text in (("homogeneous", "homogeneous drafts compensate"), ("multi_spin", "own drafts reward")):
        cells = []
        for pair, entry in figures["structure"].items():
            split = entry["splits"][name]
            if name == "homogeneous":
                slow, poor = (
                    f"{split[key]['rank_correlation']:+.2f}" for key in ("drafting_time_ms", "spectral_efficiency")
                )
                cells.append(
                    f"{PAIRS[pair]}: rank correlation of shares {slow} with drafting time, {poor} with channel"
                )
            else:
                tasks = sorted(split["acceptance_rate"], key=lambda task: task["rate"])
                low, high = tasks[0], tasks[-1]
                cells.append(
                    f"{PAIRS[pair]}: {low['share']:.2f} of an equal share at rate {low['rate']:.2f}, "
                    f"{high['share']:.2f} at {high['rate']:.2f}"
                )
        rows.append([f"the split: {text}", "; ".join(cells)])
    return table(["claim", "here (A / B)"], rows, left=2)


NAMES = {
    "multi_spin": "Hete",
    "uni_bw": "Uni-BW",
    "homogeneous": "Homo",
    "uniform_best": "equal shares, best common length",
    "fixed_bw_l": "Fixed BW&L",
}
TEXTS = {"verification_time": "T_ver", "acceptance_rate": "alpha", "seconds_per_token": "theta"}


def readings(data: Data) -> str:
    """Readings of what the paper leaves out."""
    rows = []
    for entry in data["infer"]["readings"]:
        at = entry["parameters"]
        if entry["p"] < 1e-3:
            continue
        server = "swapped" if entry["swapped"] else "as read"
        numbers = [f"{at['snr_db']:.1f}", *(f"{1e3 * at[name]:.1f}" for name in TIMES)]
        numbers += [f"{at['share_6']:.2f}", f"{at['share_78']:.2f}"]
        verdict = "rejected" if entry["rejected"] else "not rejected"
        chance = "-"
        if "check" in entry:
            ratios = [r for found in entry["check"].values() for r in found["uni_bw_over_homo"].values()]
            chances = [ratio["above_in_ten"] for ratio in ratios]
            chance = f"{small(math.prod(chances))}; {small(min(chances))}"
        common = small(entry["common_point"]["p"])
        rows.append([entry["name"], server, *numbers, f"{entry['p']:.3f}", verdict, common, chance])
    header = ["scoring", "T_fix, T_lin", "p/N0, dB", "T_S Llama-2, ms", "T_S Qwen3.5, ms", "Cen-SPIN, ms"]
    header += ["share, Fig. 6", "share, Figs. 7, 8", "p", "at 5 %", "Figs. 6 and 7 agree"]
    header += ["Uni-BW above Homo"]
    return table(header, rows, left=2)


TIMES = ("time_llama2", "time_qwen35", "server_time")


def fit(data: Data) -> str:
    """What came of the fit, in words."""
    infer = data["infer"]
    best = infer["readings"][infer["best"]]
    own, at = best["directions"]["own_deviation"], best["parameters"]
    kept = [entry for entry in infer["readings"] if not entry["rejected"]]
    times = ", ".join(
        f"{text} {1e3 * at[name]:.1f} ms +- {own[name]:.0%}"
        for name, text in zip(TIMES, ("T_S Llama-2", "T_S Qwen3.5", "Cen-SPIN's drafting"), strict=True)
    )
    presets, phone = infer["presets"], infer["phone"]
    ratios = phone["values"].values()
    shares = infer["profiles"]["a share of its own in each"]
    least = min(min(entry["chi2"]) for entry in shares.values())
    ranges = {
        name: [v for v, c in zip(shares[name]["values"], shares[name]["chi2"], strict=True) if c < least + 3.84]
        for name in ("share_6", "share_78")
    }
    return textwrap.fill(
        f"{len(kept)} of {len(infer['readings'])} readings are not rejected at 5 %. The likeliest is "
        f"**{best['name']}** (p = {best['p']:.2f}): p/N0 {at['snr_db']:.1f} dB +- {own['snr_db']:.0%}, {times}. "
        f"The presets' numbers are no worse than chance would have it (p = {presets['p']:.2f}). With a share of Table "
        f"I's variance between prompts of its own for each, chi square is within 3.84 of its least where the share of "
        f"Fig. 6 is at most {max(ranges['share_6']):.2f}, and that of Figs. 7 and 8 at least "
        f"{min(ranges['share_78']):.2f}. With {phone['snr_db']:.0f} dB, which a phone of 10 to 100 mW would have with "
        f"the printed noise and gains, the gains over Fixed BW&L would be {min(ratios) - 1:+.0%} to "
        f"{max(ratios) - 1:+.0%} in place of the printed +21 to +88 %.",
        width=118,
        break_on_hyphens=False,
    )


def decomposition(data: Data) -> str:
    """How much of the headline is the fixed length: Hete over each scheme at 5 MHz."""
    rows = []
    for pair, found in data["figures"]["curves"].items():
        for law in ("A", "B"):
            ratios = [found[NARROW][law][name]["hete_over"] for name in list(NAMES)[:0:-1]]
            cells = [
                f"{gain(r)} ({r['ci95'][0] - 1:+.0%}, {r['ci95'][1] - 1:+.0%})" if r["mean"] > 1.2 else
                f"{share(r['mean'])} ({share(r['ci95'][0])}, {share(r['ci95'][1])})"
                for r in ratios
            ]  # fmt: skip
            rows.append([PAIRS[pair], law, *cells])
    return table(["pair", "scoring", *(f"over {NAMES[name]}" for name in list(NAMES)[:0:-1])], rows, left=2)


def protocols(data: Data) -> str:
    """Hete beside the protocols, batched drafting and the server alone."""
    names = {"multi_spin": "Hete", "p2p": "P2P-SPIN", "cen": "Cen-SPIN, one after the other"}
    names |= {"cen_batched": "Cen-SPIN, in batches", "server_only": "server only"}
    rows = [
        [PAIRS[pair], law, *(f"{found[COMMON][law][name]['goodput']['mean']:.0f}" for name in names)]
        for pair, found in data["figures"]["curves"].items()
        for law in ("A", "B")
    ]
    alone = [
        f"{found[COMMON]['A']['server_only']['hete_over']['mean']:.1f} ({PAIRS[pair]})"
        for pair, found in data["figures"]["curves"].items()
    ]
    shown = table(["pair", "scoring", *names.values()], rows, left=2)
    return f"{shown}\n\nHete has {' and '.join(alone)} times what the server alone has, scored by A."


def algorithm(data: Data) -> str:
    """Algorithm 1 beside the certificate."""
    rows = []
    for pair, found in data["figures"]["algorithm"].items():
        for name, rule in found["rules"].items():
            shown = f"`{name}`" if name == "heterogeneous" else name
            numbers = [lost(rule["median"]), lost(rule["worst"]), f"{rule['optimal']:.0%}"]
            times = [f"{1e3 * rule[key]:.2g}" for key in ("seconds", "seconds_batched")]
            rows.append([PAIRS[pair], shown, *numbers, *times])
        label = f"certificate, {found['closed']} of {found['cells']} closed"
        rows.append([PAIRS[pair], label, "", lost(found["largest_gap"]), "", f"{1e3 * found['seconds']:.2g}", ""])
    header = ["median lost", "worst lost", "optimal", "ms, one cell", "ms a cell in a batch"]
    return table(["pair", "rule", *header], rows, left=2)


def lost(value: float) -> str:
    """Write a share that is lost; the certificates do not see less than a millionth."""
    return "<= 0.0001%" if value <= 1.01e-6 else f"{value:.4%}"


def negative(data: Data) -> str:
    """What does not fit, from the results."""
    lines = []
    for law in ("A", "B"):
        missed = []
        for row in data["figures"]["printed"]:
            if row["law"] == law and row["verdict"].startswith("not"):
                pair, _, what = row["value"].partition(": ")
                ours = gain(row) if "Fixed" in what else f"{row['mean']:.3g}"
                inside = "" if row["inside_ten"] else ", outside the spread of ten draws"
                missed.append(f"{PAIRS[pair]}, {what}: {ours} (printed {row['text']}{inside})")
        lines.append(f"- Scored by {law}: " + "; ".join(missed) + ".")
    for entry in data["infer"]["readings"]:
        if "check" not in entry:
            continue
        below = [
            PAIRS[pair]
            for pair, found in entry["check"].items()
            if all(ratio["mean"] < 1.0 for ratio in found["uni_bw_over_homo"].values())
        ]
        if below:
            server = " (T_fix and T_lin swapped)" if entry["swapped"] else ""
            lines.append(
                f"- Under *{entry['name']}*{server}, as fitted, Uni-BW lies below Homo in all conditions for "
                f"{' and '.join(below)}; the paper has it above."
            )
    best = data["infer"]["readings"][data["infer"]["best"]]
    for pair, found in best["check"].items():
        low, high = found["fig7_range"]
        first, last = found["axis"]
        lines.append(
            f"- {PAIRS[pair]}: Fig. 7's curves run from {low:.0f} to {high:.0f} token/s under the likeliest reading; "
            f"its axis from {first:.0f} to {last:.0f}."
        )
    return "\n".join(lines)


def commands(data: Data) -> str:
    """How to make the results again."""
    return "\n".join(["```bash", *(data[name]["command"] for name in ("infer", "figures")), "```"])


BLOCKS: dict[str, Callable[[Data], str]] = {
    "printed": printed,
    "claims": claims,
    "fit": fit,
    "readings": readings,
    "decomposition": decomposition,
    "protocols": protocols,
    "algorithm": algorithm,
    "negative": negative,
    "commands": commands,
}


def render(page: str, data: Data) -> str:
    """Return the page with its generated parts replaced."""
    for mark, block in BLOCKS.items():
        begin, end = f"<!-- begin {mark} -->\n", f"<!-- end {mark} -->"
        before, _, rest = page.partition(begin)
        after = rest.partition(end)[2]
        page = f"{before}{begin}{block(data)}\n{end}{after}"
    return page


if __name__ == "__main__":
    new = PAGE.with_suffix(".tmp")
    new.write_text(render(PAGE.read_text(encoding="utf-8"), results()), encoding="utf-8")
    os.replace(new, PAGE)
