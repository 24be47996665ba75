"""``multispin list``: what there is to play, to play it with, and to compare with."""

from __future__ import annotations

import argparse
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from multispin_gym._text_tables import text_table
from multispin_gym._validation import check_choice, one_line
from multispin_gym.agents.pretrained_agents import list_pretrained, pretrained_card
from multispin_gym.baselines.estimators import estimator_summaries
from multispin_gym.baselines.registry import list_controllers, make_controller
from multispin_gym.envs.variants import VARIANTS
from multispin_gym.scenarios.library import list_scenarios
from multispin_gym.scenarios.measured_tables import PRESETS, list_measurements, load_measurement

Rows = list[list[str]]


def scenarios() -> Rows:
    """Return name, users, server and purpose of every preset."""
    rows = [["scenario", "users", "server", "what it is for"]]
    for name in list_scenarios():
        table = tomllib.loads(PRESETS.joinpath(f"{name}.toml").read_text(encoding="utf-8"))
        server = describe_server(table["cell"]["verification"])
        rows.append([name, str(table.get("num_users", 8)), server, table.get("description", "")])
    return rows


def controllers() -> Rows:
    """Return name and summary of every controller."""
    return [["controller", "decides"], *([name, make_controller(name).summary] for name in list_controllers())]


def estimators() -> Rows:
    """Return name and summary of every estimating controller."""
    return [["estimator", "decides, where something is hidden"], *map(list, estimator_summaries().items())]


def agents() -> Rows:
    """Return name, scenario, numbers of users, ratios and regrets of every agent that ships, as its card has them."""
    rows = [["agent", "trained in", "users", "ratio to the reference in held-out cells", "regret to nested_polished"]]
    for name in list_pretrained():
        card = pretrained_card(name)
        held = ", ".join(f"{each['ratio_to_reference']:.3f} (K = {each['num_users']})" for each in card["held_out"])
        users = ", ".join(map(str, card["trained_num_users"]))
        regret = ", ".join(f"{each['regret_to_nested_polished']:+.2%}" for each in card["held_out"])
        rows.append([f"pretrained:{name}", card["scenario"], users, held, regret])
    return rows


def environments() -> Rows:
    """Return id, default scenario and summary of every environment."""
    rows = [["environment", "default scenario", "what it is"]]
    return rows + [[row.id, row.scenario, row.summary] for row in VARIANTS.values()]


def tables() -> Rows:
    """Return name, range and source of every measured verification table."""
    rows = [["measured table", "tokens", "time", "source"]]
    for name in list_measurements():
        sizes, seconds, source = load_measurement(name)
        times = f"{1e3 * min(seconds):.4g} to {1e3 * max(seconds):.4g} ms"
        rows.append([name, f"{min(sizes):.0f} to {max(sizes):.0f}", times, source])
    return rows


SECTIONS: dict[str, Callable[[], Rows]] = {
    "scenarios": scenarios,
    "controllers": controllers,
    "estimators": estimators,
    "agents": agents,
    "environments": environments,
    "tables": tables,
}


def describe_server(verification: Mapping[str, Any]) -> str:
    """Say how long a server verifies, given the table of a scenario's file."""
    if "table" in verification:
        scale = verification.get("scale", 1.0)
        text = f"{verification['table']}" + (f" x {scale:g}" if scale != 1.0 else "")
    elif "num_tokens" in verification:
        text = f"table of {len(verification['num_tokens'])} points"
    else:
        units = {"fixed": "", "per_draft": " per draft", "per_token": " per token"}
        parts = [f"{1e3 * verification[key]:.4g} ms{unit}" for key, unit in units.items() if verification.get(key)]
        text = " + ".join(parts)
    return f"{text}, {verification.get('batching', 'padded')}"


def main(args: Sequence[str], prog: str = "multispin list") -> int:
    """Print what there is, all of it or one section; exit status 0, or 2 on bad input."""
    parser = argparse.ArgumentParser(prog=prog, description="Show what the library comes with, a line each.")
    parser.add_argument("section", nargs="?", help=f"only this: {', '.join(SECTIONS)}")
    chosen = parser.parse_args(args).section
    try:
        shown = SECTIONS if chosen is None else {chosen: SECTIONS[check_choice("section", chosen, SECTIONS)]}
    except ValueError as error:
        print(f"{prog}: error: {one_line(error)}", file=sys.stderr)
        return 2
    print("\n\n".join("\n".join(text_table(section())) for section in shown.values()))
    return 0
