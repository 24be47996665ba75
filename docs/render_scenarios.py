"""Write the generated parts of scenarios.md from the scenario files: ``python docs/render_scenarios.py``."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from multispin_gym.commands.listing import describe_server

PAGE = Path(__file__).with_name("scenarios.md")
PRESETS = Path(__file__).parents[1] / "multispin_gym" / "scenarios" / "presets"
DEFAULT = "paper_qwen35"
UNITS = {
    "reference_power": "W",
    "distance": "m",
    "mean_gain": "1",
    "transmit_power_dbm": "dBm",
    "cell.bandwidth": "Hz",
    "cell.noise_psd": "W/Hz",
    "cell.noise_power": "W",
    "cell.payload": "bit",
    "cell.min_draft_length": "token",
    "cell.max_draft_length": "token",
    "cell.round_trip": "s",
    "cell.downlink": "bit/s",
    "cell.downlink_payload": "bit",
    "cell.verification.fixed": "s",
    "cell.verification.per_draft": "s",
    "cell.verification.per_token": "s",
    "path_loss.gain_at_1m_db": "dB",
    "devices.speed_range": "token/s",
    "devices.speeds": "token/s",
    "devices.time_range": "s",
    "clock.episode_seconds": "s",
    "clock.round_timeout": "s",
    "clock.coherence_time": "s",
    "clock.report_age": "s",
    "clock.report_noise_db": "dB",
    "clock.cutoff_min": "s",
    "clock.cutoff_max": "s",
    "clock.requests.reference_goodput": "token/s",
    "clock.requests.reference_time_per_token": "s",
    "clock.requests.length_tokens": "token",
    "clock.requests.count_window": "s",
    "clock.requests.measured_rate": "1/s",
}


def read(name: str) -> dict[str, Any]:
    """Read one preset as plain TOML."""
    return tomllib.loads((PRESETS / f"{name}.toml").read_text(encoding="utf-8"))


def names() -> list[str]:
    """Names of all presets, the default first."""
    return sorted((path.stem for path in PRESETS.glob("*.toml")), key=lambda name: (name != DEFAULT, name))


def leaves(tree: dict[str, Any], path: str = "") -> dict[str, list[Any]]:
    """Values of every dotted key that holds a number or names a table; one entry for each array element."""
    found: dict[str, list[Any]] = {}
    for key, value in tree.items():
        full = f"{path}.{key}" if path else key
        if full in ("name", "description", "sources"):
            continue
        if key == "payload" and isinstance(value, dict):
            found[full] = [", ".join(f"{name} {entry}" for name, entry in value.items())]
        elif isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict)):
            for entry in value if isinstance(value, list) else [value]:
                for name, values in leaves(entry, full).items():
                    found.setdefault(name, []).extend(values)
        elif key not in ("task", "pair", "name"):
            found[full] = [value]
    return found


def covers(key: str, leaf: str) -> bool:
    """Whether a source's key is about a leaf."""
    return leaf == key or leaf.startswith(f"{key}.")


def text_of(value: Any) -> str:
    """Write a value as the page shows it."""
    if isinstance(value, list):
        return "[" + ", ".join(text_of(entry) for entry in value) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def summary() -> str:
    """Return the table of presets."""
    lines = [
        "| name | users | server | power | draft lengths | channel | what it is for |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names():
        tree = read(name)
        cell, fading = tree["cell"], tree["fading"]
        where = "mean_gain" if "mean_gain" in tree else "distance"
        low, high = tree[where]
        rho = fading["correlation"]
        coherence = tree.get("clock", {}).get("coherence_time")
        passing = f"coherent for {coherence:g} s" if coherence else f"correlation {rho:g}" if rho else "independent"
        law = f"{fading['model']}, {passing}"
        place = f"mean gain {low:g}..{high:g}" if where == "mean_gain" else f"{low:g}..{high:g} m"
        lengths = f"{cell['min_draft_length']}..{cell['max_draft_length']}"
        lines.append(
            f"| `{name}` | {tree['num_users']} | {describe_server(cell['verification'])} | {cell['power']} | {lengths} "
            f"| {place}, {law} | {tree['description']} |"
        )
    return "\n".join(lines)


def numbers() -> str:
    """Return every number of every preset with its status and source."""
    text = []
    for name in names():
        tree = read(name)
        found = leaves(tree)
        text += [f"### `{name}`", "", tree["description"], "", "| numbers | status | source |", "|---|---|---|"]
        for source in tree["sources"]:
            cells = []
            for leaf, values in found.items():
                if any(covers(key, leaf) for key in source["keys"]):
                    shown = "; ".join(text_of(value) for value in values)
                    unit = f" {UNITS[leaf]}" if leaf in UNITS and not isinstance(values[0], str) else ""
                    cells.append(f"`{leaf}` = {shown}{unit}")
            lines = "<br>".join(cells)
            text.append(f"| {lines} | {source['status']} | {source['source']} |")
        text.append("")
    return "\n".join(text).rstrip()


def render(page: str) -> str:
    """Return the page with its generated parts replaced."""
    for mark, part in (("summary", summary()), ("numbers", numbers())):
        begin, end = f"<!-- begin {mark} -->\n", f"<!-- end {mark} -->"
        before, _, rest = page.partition(begin)
        after = rest.partition(end)[2]
        page = f"{before}{begin}{part}\n{end}{after}"
    return page


if __name__ == "__main__":
    new = PAGE.with_suffix(".tmp")
    new.write_text(render(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    os.replace(new, PAGE)
